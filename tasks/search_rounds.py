"""The rounds of a search: values are asked for, tried side by side, and told what they scored."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from dataset.examples import Development
from metrics.objective import Objective
from models.budget import Budget
from models.fitting import determinism
from models.search import rounds
from models.search.space import Dimension
from models.search.trials import (
    SCORED,
    Attempt,
    Outcome,
    Status,
    attempt,
    running_means,
    thresholds,
)
from models.settings import Recipe
from models.training import Run
from pipeline.errors import InputError
from pipeline.executor import Executor

if TYPE_CHECKING:
    from models.search.tuning import Proposal
    from tasks.search import SearchParams

_SEVEREST: tuple[Status, ...] = ("memory", "failed", "diverged", "stopped", "completed")
"""What is said of a trial whose folds came out differently."""


@dataclass(frozen=True)
class Trial:
    """What values came to."""

    trial: int
    """From 1, in the order asked."""
    values: Mapping[str, Any]
    """Of the settings varied and active."""
    budget: int
    """Epochs that it was given at the most."""
    seed: int
    score: float | None
    """Of the objective, the mean over folds; None where it came to nothing."""
    spread: float | None
    """The standard deviation between folds."""
    loss: float | None
    status: Status
    reason: str
    runs: tuple[Run, ...]
    """One a fold; fewer where there were errors; without their predictions."""

    @property
    def epochs(self) -> int:
        """Trained, over all folds."""
        return sum(run.epochs for run in self.runs)


def held_out(development: Development, validation: str) -> list[int | None]:
    """What every trial is validated on, one after the other: the validation part (None), or folds.

    Raises InputError where folds are wished and there are none.
    """
    if validation == "holdout":
        return [None]
    folds = development.folds()
    if not folds:
        raise InputError(
            "params.yaml: search.validation: folds was given, and split makes none.\n"
            "Set split.folds to their number, 5 for instance, or search.validation to holdout."
        )
    return list(range(len(folds)))


@dataclass(frozen=True)
class Limits:
    """What all trials together may have of the shared budget, half of it: the rest is for training
    the best ones again.

    A trial is begun only if it can be trained to its end, so the bound is never passed; but there
    is one trial always, of at least one epoch a fold.
    """

    epochs: int | None
    """Trained in all trials, over all folds."""
    longest: int
    """Epochs of one fit: at most what lets a round's trials be trained, since a single trial is no
    search."""
    minutes: float | None
    """Of the clock, after which no round begins."""
    minutes_each: float | None
    """Of the clock, for one fit: an even share of those."""


def limits_of(
    budget: Budget,
    params: "SearchParams",
    space: Mapping[str, Dimension],
    recipe: Recipe,
    folds: int,
) -> Limits:
    """The trials' half, less where retrainings could not even have an epoch each; `recipe` has the
    values of all that is not varied."""

    def trials(length: int) -> int:
        return rounds.expected(params.method, space, params.budget.trials, length, params.factor)[0]

    longest = rounds.longest(space, recipe.epochs)
    epochs = None
    if budget.epochs is not None:
        again = min(params.retrain, trials(longest)) * len(params.seeds)
        epochs = max(0, min(budget.epochs // 2, budget.epochs - again))
        longest = min(longest, max(1, epochs // (folds * min(params.round, trials(longest)))))
    minutes = None if budget.minutes is None else budget.minutes / 2
    each = None if minutes is None else minutes / (folds * trials(longest))
    return Limits(epochs, longest, minutes, each)


def run(
    development: Development,
    space: Mapping[str, Dimension],
    folds: Sequence[int | None],
    objective: Objective,
    recipe: Recipe,
    limits: Limits,
    params: "SearchParams",
    executor: Executor,
) -> list[Trial]:
    """All trials in the order asked. `recipe` has the values of all that is not varied; `folds`:
    see `held_out`."""
    begun = time.monotonic()
    # Before Keras Tuner imports TensorFlow, which would speak of drivers that nobody misses.
    determinism.start(params.seed)
    from models.search import tuning

    oracle = tuning.Oracle(
        params.method,
        space,
        params.seed,
        higher=objective.metric_for(development.target()).sign > 0,
        factor=params.factor,
        epochs=min(recipe.epochs, limits.longest),
        first=params.round,
    )
    trials: list[Trial] = []
    earlier = _Earlier(len(folds))
    while proposals := oracle.ask(_room(trials, len(folds), limits, params, begun)):
        attempts = [
            _attempt(
                len(trials) + place,
                proposal,
                fold,
                development,
                objective,
                recipe,
                limits,
                params,
                earlier,
            )
            for fold in folds  # fold by fold: a process keeps the last one that it encoded
            for place, proposal in enumerate(proposals, 1)
        ]
        outcomes = executor.map(attempt, attempts, [item.name for item in attempts], keep=True)
        for place, proposal in enumerate(proposals):
            own = outcomes[place :: len(proposals)]
            seed = attempts[place].seed
            budget = attempts[place].settings.epochs
            trial = _trial(len(trials) + 1, proposal.values, budget, seed, own)
            oracle.tell(proposal, trial.score)
            trials.append(trial)
        if params.hopeless:
            earlier.add(trials[-len(proposals) :])
    return trials


def _room(
    trials: Sequence[Trial], folds: int, limits: Limits, params: "SearchParams", begun: float
) -> int:
    """How many trials may still be asked for at once."""
    budget = params.budget
    spent = sum(trial.epochs for trial in trials)
    if budget.epochs is not None and spent >= budget.epochs:
        return 0
    clocks = [one for one in (budget.minutes, limits.minutes) if one is not None]
    if clocks and time.monotonic() - begun >= 60 * min(clocks):
        return 0
    room = params.round
    if budget.trials is not None:
        room = min(room, budget.trials - len(trials))
    if limits.epochs is None:
        return room
    whole = (limits.epochs - spent) // (folds * limits.longest)
    return min(room, whole if trials else max(1, whole))


class _Earlier:
    """Validation losses of the trials of earlier rounds, by the fold's place.

    Not of the same round: which of its trials ends first depends on the number of workers.
    """

    def __init__(self, folds: int) -> None:
        self._means: list[list[tuple[float, ...]]] = [[] for _ in range(folds)]
        self._stops: dict[tuple[int, int], tuple[float, ...]] = {}

    def add(self, trials: Sequence[Trial]) -> None:
        """A round has ended."""
        self._stops.clear()
        for trial in trials:
            if trial.status not in SCORED:
                continue
            for own, run in zip(self._means, trial.runs, strict=True):
                own.append(running_means([line.val_loss for fit in run.lines for line in fit]))

    def stops(self, place: int, epochs: int) -> tuple[float, ...]:
        """See `thresholds`; the same for all trials of a round that are as long."""
        if (place, epochs) not in self._stops:
            self._stops[place, epochs] = thresholds(self._means[place], epochs)
        return self._stops[place, epochs]


def _attempt(
    number: int,
    proposal: "Proposal",
    fold: int | None,
    development: Development,
    objective: Objective,
    recipe: Recipe,
    limits: Limits,
    params: "SearchParams",
    earlier: _Earlier,
) -> Attempt:
    from models.search import tuning

    changes = proposal.values | ({} if proposal.epochs is None else {"epochs": proposal.epochs})
    asked = recipe.changed(changes)
    varied = asked.changed({"epochs": min(asked.epochs, limits.longest)})
    return Attempt(
        development=str(development.path),
        folder=None,
        spec=varied.network,
        settings=varied.fit,
        # Of the values alone: for longer it is the same network, trained from its beginning.
        seed=tuning.seed_of(proposal.values, params.seed),
        name=f"search trial {number}" + ("" if fold is None else f" fold {fold + 1}"),
        minutes=limits.minutes_each,
        fold=fold,
        share=params.share,
        stops=earlier.stops(fold or 0, varied.epochs),
        objective=objective,
    )


def _trial(
    number: int,
    values: Mapping[str, Any],
    budget: int,
    seed: int,
    outcomes: Sequence[Outcome],
) -> Trial:
    worst = min(outcomes, key=lambda outcome: _SEVEREST.index(outcome.status))
    runs = tuple(outcome.run for outcome in outcomes if outcome.run is not None)
    status, reason = worst.status, worst.reason
    score = spread = loss = None
    if status in SCORED:
        scores = [one.score for one in outcomes if one.score is not None]
        if all(map(math.isfinite, scores)):
            score = float(f"{fmean(scores):.7g}")
            spread = float(f"{stdev(scores):.4g}") if len(scores) > 1 else None
            loss = float(f"{fmean(run.loss for run in runs):.6g}")
        else:
            status, reason = "failed", "the objective cannot be told from what it was validated on"
    return Trial(number, values, budget, seed, score, spread, loss, status, reason, runs)
