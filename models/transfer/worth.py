"""Is transfer worth it: the same network from scratch and transferred, by how much is labelled.

What to look at is not the figure alone: transfer pays where labels are scarce, and where it saves
training (Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS 2014).
Free of Keras.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np

from metrics.classification import Truth
from metrics.intervals import Bootstrap, Interval, Sample
from metrics.objective import Importance, Measure
from models.training import Run

if TYPE_CHECKING:
    import pandas as pd

Way = Literal["scratch", "frozen", "tuned"]
WAYS: tuple[Way, ...] = ("scratch", "frozen", "tuned")
"""From fresh weights; the new head alone; the head and then the base."""


@dataclass(frozen=True)
class Worth:
    """One row of worth.csv.

    The difference is that of the objective to scratch, paired by example and seed, in the metric's
    own unit. None where a fit diverged, and of scratch itself.
    """

    share: float
    examples: int
    way: Way
    seeds: int
    score: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    loss: float | None
    epochs: int
    examples_seen: int


def table(rows: Sequence[Worth]) -> "pd.DataFrame":
    """worth.csv; without rows its header alone."""
    import pandas as pd

    columns = [field.name for field in fields(Worth)]
    return pd.DataFrame([asdict(row) for row in rows], columns=columns)


@dataclass(frozen=True)
class Judge:
    """What runs are judged by, on the validation examples."""

    measure: Measure
    truth: Truth
    importance: Importance
    bootstrap: Bootstrap

    def rows(self, share: float, examples: int, runs: Mapping[Way, Sequence[Run]]) -> list[Worth]:
        """Those of a share of the labels, `examples` many; `runs`: of the same seeds, by way."""
        samples = {way: self._sample(runs[way]) for way in WAYS}
        reference = samples["scratch"]
        rows = []
        for way in WAYS:
            own = samples[way]
            apart = None
            if own is not None and reference is not None and way != "scratch":
                apart = self.bootstrap.difference(own, reference)
            rows.append(
                Worth(
                    share,
                    examples,
                    way,
                    len(runs[way]),
                    *self._ends(None if own is None else self._interval(own), own),
                    *self._ends(apart, own),
                    self._loss(runs[way]),
                    sum(run.epochs for run in runs[way]),
                    sum(run.examples for run in runs[way]),
                )
            )
        return rows

    def _sample(self, runs: Sequence[Run]) -> Sample | None:
        if any(run.diverged for run in runs):
            return None
        predictions = np.stack([run.predictions for run in runs])
        self.measure.score(predictions[0], self.truth, self.importance)
        figures = {"score": self.measure.figure}
        return self.bootstrap.sample(figures, predictions, self.truth, self.importance)["score"]

    def _interval(self, sample: Sample) -> Interval:
        trials = self.measure.trials(self.truth, self.importance)
        if trials is None:
            found = self.bootstrap.interval(float(sample.value), sample.draws)
            return found.within(*self.measure.reading.bounds)
        return self.bootstrap.share(float(sample.value), sample.draws, trials)

    def _ends(
        self, interval: Interval | None, sample: Sample | None
    ) -> tuple[float | None, float | None, float | None]:
        """Value, low and high as the file holds them."""
        if interval is None or sample is None:
            return None, None, None
        value, low, high = (
            None if np.isnan(end) else self.measure.reading.rounded(end, abs(float(sample.value)))
            for end in (interval.value, interval.low, interval.high)
        )
        return value, low, high

    @staticmethod
    def _loss(runs: Sequence[Run]) -> float | None:
        if any(run.diverged for run in runs):
            return None
        return float(f"{np.mean([run.loss for run in runs]):.6g}")
