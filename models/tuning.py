"""Keras Tuner's oracles as ask and tell: they propose values, others train.

Proposals are asked in rounds of a fixed size, whatever the number of workers, so the sequence
depends on the seed and the results alone. The tuner's own loop is not used: it trains one trial
after the other, in this process.
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from models.settings import Text

Method = Literal["random", "bayesian"]
ROUND = 4
"""Proposals asked for before any of their results is told."""
DIGITS = 3
"""Significant digits kept of a learning rate: more mean nothing and are hard to read."""


@dataclass(frozen=True)
class Space:
    """Where to look."""

    learning_rate: tuple[float, float]
    """Lowest and highest, searched on a logarithmic scale."""
    width: Sequence[int]
    depth: Sequence[int]
    batch_size: Sequence[int]
    text: Sequence[Text]


@dataclass(frozen=True)
class Values:
    """What a trial is trained with; the fields are columns of trials.csv."""

    learning_rate: float
    width: int
    depth: int
    batch_size: int
    text: Text

    def seed(self, seed: int) -> int:
        """A seed that follows from these values and the search's seed, the same everywhere.

        `hash()` would differ between processes for text, and a trial's number would give the
        same values another result in another place of the sequence.
        """
        text = json.dumps([seed, asdict(self)], sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % (2**31 - 1) + 1


class Oracle:
    """Proposes values and learns from their results; a context, as it keeps files meanwhile."""

    def __init__(
        self, method: Method, space: Space, trials: int, seed: int, *, higher: bool
    ) -> None:
        """`higher`: whether a higher score is better. Raises ValueError where `space` names no
        values."""
        self._folder = tempfile.TemporaryDirectory(prefix="fettle-")
        self._running: dict[Values, Any] = {}
        with _silenced():
            self._oracle = _oracle(method, space, trials, seed, "max" if higher else "min")
            self._oracle._set_project_dir(Path(self._folder.name), "search")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def ask(self, count: int) -> list[Values]:
        """Up to `count` proposals; fewer where the space is exhausted."""
        proposed = []
        for place in range(count):
            with _silenced():
                trial = self._oracle.create_trial(f"place-{place}")
            if trial.status != "RUNNING":
                break
            values = _values(trial.hyperparameters.values)
            # Rounding can make two proposals of a round one; it is then trained once.
            if values in self._running:
                self._end(trial, None)
                continue
            self._running[values] = trial
            proposed.append(values)
        return proposed

    def tell(self, values: Values, score: float | None) -> None:
        """What proposed values scored on validation; None where their fit diverged."""
        self._end(self._running.pop(values), score)

    def _end(self, trial: Any, score: float | None) -> None:
        with _silenced():
            if score is None:
                trial.status = "FAILED"
            else:
                self._oracle.update_trial(trial.trial_id, {"score": score})
                trial.status = "COMPLETED"
            self._oracle.end_trial(trial)


def _oracle(method: Method, space: Space, trials: int, seed: int, direction: str) -> Any:
    import keras_tuner

    searched = keras_tuner.HyperParameters()
    low, high = space.learning_rate
    searched.Float("learning_rate", low, high, sampling="log")
    for name in ("width", "depth", "batch_size", "text"):
        searched.Choice(name, list(getattr(space, name)))
    options = {
        "objective": keras_tuner.Objective("score", direction),
        "max_trials": trials,
        "seed": seed,
        "hyperparameters": searched,
        # A diverged trial is a result like any other; it does not end the search.
        "max_consecutive_failed_trials": trials + 1,
    }
    if method == "random":
        return keras_tuner.oracles.RandomSearchOracle(**options)
    # By default twelve random trials precede the first guided one: more than most searches have.
    return keras_tuner.oracles.BayesianOptimizationOracle(num_initial_points=ROUND, **options)


def _values(proposed: dict[str, Any]) -> Values:
    return Values(
        float(f"{proposed['learning_rate']:.{DIGITS}g}"),
        proposed["width"],
        proposed["depth"],
        proposed["batch_size"],
        proposed["text"],
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Oracles print tables, use a deprecated call, and their Gaussian process warns of bounds."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
