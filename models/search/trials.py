"""Trials: networks trained to learn what values are worth. None is kept, some come to nothing."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from dataset.examples import Development
from metrics.objective import Objective
from models import training
from models.training import Run, SeedRun
from pipeline.errors import EnvironmentFault, FettleError, as_fault

if TYPE_CHECKING:
    import keras

    from models.fitting.fit import Fitted
    from models.training import Encoded

Status = Literal["completed", "stopped", "diverged", "failed", "memory"]
"""Trained to its end; stopped as hopeless; its loss was no number any more; an error; it did not
fit into memory."""
SCORED: tuple[Status, ...] = ("completed", "stopped")
"""What has a score."""
GRACE = 0.25
"""Share of the epochs in which no trial is stopped: losses say little then."""
LETTERS = 200
"""Of a reason, at the most."""


@dataclass(frozen=True)
class Attempt(SeedRun):
    """A trial, or one fold of it; its model is not kept."""

    fold: int | None
    """Which of `Development.folds`; None: train and validation as they are."""
    share: float
    """Of the training examples."""
    stops: tuple[float, ...]
    """By epoch, see `thresholds`; none: it is not stopped."""
    objective: Objective
    """What it is scored by."""


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt."""

    status: Status
    reason: str
    """Why it came to nothing, or ended by the clock; else empty."""
    run: Run | None
    """Without its predictions; None where there was an error."""
    score: float | None = None
    """Of the objective on what it was validated on; NaN where predictions are not finite."""

    @property
    def lasting(self) -> bool:
        """Whether another time it would come to the same; memory or time may suffice then."""
        return self.status != "memory" and (self.run is None or self.run.lasting)


def attempt(item: Attempt) -> Outcome:
    """Piece: one network from scratch, whatever becomes of it.

    Raises EnvironmentFault, such as that the disk is full: that says nothing of the trial; and
    InputError where the objective cannot be told from what it is validated on.
    """
    stopped = False

    def fit(network: "keras.Model", data: "Encoded") -> "Sequence[tuple[str, Fitted]]":
        nonlocal stopped
        fitted = training.fit_to_target(
            network, data, item.settings, item.seed, item.name, item.stops, item.minutes
        )
        stopped = fitted.stopped
        return [("trial", fitted)]

    from models.search import folded

    try:
        data = folded.encoded(item.development, item.fold, item.share)
        run = training.train_on(data, item, fit)
    except Exception as error:
        fault = as_fault(error)
        if isinstance(fault, EnvironmentFault):
            raise
        return Outcome("memory" if _no_memory(error) else "failed", _reason(fault or error), None)
    return scored(item, *_ended(run, stopped), run)


def _ended(run: Run, stopped: bool) -> tuple[Status, str]:
    if run.diverged:
        return "diverged", f"its loss was no number any more in epoch {run.epochs}"
    if stopped:
        return "stopped", f"worse than most before in epoch {run.epochs}"
    return "completed", f"out of time in epoch {run.epochs}" if run.out_of_time else ""


def scored(item: Attempt, status: Status, reason: str, run: Run) -> Outcome:
    """The outcome of a run. It is scored here, where its predictions are: of a thousand trials on
    millions of examples nobody could hold them."""
    from models.search import folded

    score = None
    if status in SCORED:
        truth, weights = folded.held(item.development, item.fold)
        metric = item.objective.metric_for(Development(Path(item.development)).target())
        score = metric.score(run.predictions, truth, weights)
    return Outcome(status, reason, replace(run, predictions=run.predictions[:0].copy()), score)


def _no_memory(error: BaseException | None) -> bool:
    """Whether memory was short; Keras may have wrapped what TensorFlow said."""
    if error is None:
        return False
    named = type(error).__name__ == "ResourceExhaustedError"
    return isinstance(error, MemoryError) or named or _no_memory(error.__cause__)


def _reason(error: BaseException) -> str:
    """The first line of an error, the same every time: without addresses in memory."""
    first = next(iter(str(error).splitlines()), "")
    told = first if isinstance(error, FettleError) else f"{type(error).__name__}: {first}"
    return re.sub(r"0x[0-9a-f]+", "0x…", told)[:LETTERS]


def running_means(losses: Sequence[float]) -> tuple[float, ...]:
    """The mean of the losses up to each epoch."""
    return tuple(math.fsum(losses[:epoch]) / epoch for epoch in range(1, len(losses) + 1))


def thresholds(means: Sequence[Sequence[float]], epochs: int) -> tuple[float, ...]:
    """The validation loss by epoch that a trial's best one so far must not exceed.

    The median stopping rule (Golovin et al., "Google Vizier: a service for black-box
    optimization", KDD 2017): the median over earlier trials of the mean of each one's losses up to
    that epoch. `means`: their running means by epoch; one that ended sooner stays where it ended.
    Infinite within the grace, and without earlier trials there are none.
    """
    if not means:
        return ()
    grace = math.ceil(GRACE * epochs)
    return tuple(
        math.inf if epoch <= grace else median(own[min(epoch, len(own)) - 1] for own in means)
        for epoch in range(1, epochs + 1)
    )
