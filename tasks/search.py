"""The search: trials proposed by Keras Tuner, the best ones retrained with several seeds.

A trial's seed follows from its values. One that Hyperband promotes is trained anew for its longer
budget, from the same seed, rather than gone on with: schedules of the learning rate depend on the
number of epochs, and what a trial cost is then what is counted.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from pydantic import Field, model_validator

from dataset.examples import Development
from metrics.objective import Measure, Objective
from models import results, training
from models.budget import Budget
from models.candidate import Searched
from models.search import rounds
from models.search.rounds import Method
from models.search.space import Dimension, Space, combinations, fitting
from models.settings import Changes, Recipe, Seed, Seeds
from models.training import Run
from pipeline.declaration import Cost, stage
from pipeline.errors import FettleError
from pipeline.executor import Executor
from pipeline.params import Section
from tasks import search_rates, search_rounds
from tasks.search_rounds import Trial

if TYPE_CHECKING:
    import pandas as pd


class TrialBudget(Section):
    """When a search's trials end; no round begins once any of it is spent. Half of the shared
    section `budget` is a bound as well, which is never passed: see `search_rounds.Limits`."""

    trials: int | None = Field(ge=1, le=100_000)
    """Fits with different values; null: until grid or hyperband end by themselves."""
    epochs: int | None = Field(ge=1)
    """Trained in all trials together, over all folds."""
    minutes: float | None = Field(gt=0)
    """Of the clock, which makes two runs differ."""


class SearchParams(Section):
    """The section `search`."""

    enabled: bool
    """Whether to search at all."""
    method: Method
    """How values are proposed."""
    factor: int = Field(ge=2, le=10)
    """Of hyperband: one trial in so many goes on, for so many times the epochs."""
    round: int = Field(ge=1, le=10_000)
    """Proposals asked for before any of their results is told: so many trials can run at once."""
    budget: TrialBudget
    space: Space
    """What is varied."""
    set: Changes
    """Other values of the recipe that differ, for trials and retrainings."""
    validation: Literal["holdout", "folds"]
    """What a trial is scored on: the validation part, or the mean over the folds of `split`."""
    finder: bool
    """Whether a range test says where learning rates are looked for; the space's own range counts
    where it suggests nothing."""
    share: float = Field(gt=0, le=1)
    """Of the training examples, evenly spread, that trials see; retrainings see all."""
    hopeless: bool
    """Whether trials that do worse than the median of earlier ones are stopped."""
    retrain: int = Field(ge=1, le=20)
    """The best trials, so many, are trained again with every seed."""
    seed: Seed
    """Of the proposals."""
    seeds: Seeds
    """One retraining of each of the best trials for each."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.budget.trials is None and self.method in ("random", "bayesian"):
            raise ValueError(
                f"budget.trials must be a number: {self.method} does not end by itself, as grid "
                "and hyperband do"
            )
        if self.method == "grid":
            combinations(self.space)
        if self.method == "hyperband" and "epochs" in self.space:
            raise ValueError("space: hyperband itself says for how many epochs; leave them out")
        if self.finder and self.method == "grid":
            raise ValueError("finder gives learning rates without steps, and grid needs steps")
        both = [name for name in self.space if name in self.set]
        if both:
            raise ValueError(f"{both[0]} is both varied, in space, and set; leave one out")
        if self.finder and search_rates.RATE not in self.space:
            raise ValueError("finder: there is no learning_rate in space for it to look for")
        return self

    def longest(self, recipe: Recipe) -> int:
        """Epochs of the settings that it finds, at the most; those of the recipe without it."""
        if not self.enabled:
            return recipe.epochs
        return rounds.longest(self.space, self.set.get("epochs", recipe.epochs))


class _Split(Protocol):
    """What the section `split` says of folds."""

    @property
    def folds(self) -> int:
        """Of one partition."""

    @property
    def repeats(self) -> int:
        """Partitions."""


def _cost(params: SearchParams, recipe: Recipe, split: _Split, budget: Budget) -> Cost:
    if not params.enabled:
        return Cost()
    longest = params.longest(recipe)
    trials, epochs = rounds.expected(
        params.method, params.space, params.budget.trials, longest, params.factor
    )
    folds = max(1, split.folds * split.repeats) if params.validation == "folds" else 1
    epochs *= folds
    if params.budget.epochs is not None:
        # The last round may begin with one left.
        epochs = min(epochs, params.budget.epochs + params.round * folds * longest)
    if budget.epochs is not None:
        epochs = min(epochs, max(budget.epochs // 2, folds))
    again = min(params.retrain, trials) * len(params.seeds)
    fits, epochs = folds * trials + again, epochs + again * longest
    return Cost(fits, epochs if budget.epochs is None else min(epochs, max(budget.epochs, fits)))


def _caution(params: SearchParams, budget: Budget) -> str | None:
    if not params.enabled:
        return None
    own = None
    if params.budget.minutes is not None:
        own = (
            "search.budget.minutes ends it by the clock, so another run may try more or fewer "
            "values and choose others"
        )
    return "; ".join(filter(None, (own, budget.caution()))) or None


@stage(cost=_cost, caution=_caution)
def search(
    out: Searched,
    development: Development,
    objective: Objective,
    recipe: Recipe,
    budget: Budget,
    params: SearchParams,
    executor: Executor,
) -> None:
    """Trials proposed by Keras Tuner; the best ones retrained with several seeds."""
    if not params.enabled:
        results.switched_off(out, "search")
        out.trials.write(_table([], params.space))
        out.rates.write(search_rates.table(None))
        return
    begun = monotonic()
    metric = objective.metric_for(development.target())
    fixed = recipe.changed(params.set)
    space = fitting(params.space, development.schema(), fixed)
    folds = search_rounds.held_out(development, params.validation)
    found = None
    if params.finder:
        found = search_rates.look(development, fixed, params.seed, executor)
        space = search_rates.around(space, found)
    out.rates.write(search_rates.table(found))
    limits = search_rounds.limits_of(budget, params, space, fixed, len(folds))
    trials = search_rounds.run(
        development, space, folds, objective, fixed, limits, params, executor
    )
    out.trials.write(_table(trials, space))
    left = budget.less(sum(trial.epochs for trial in trials), (monotonic() - begun) / 60)
    best_trials = _ranked(trials, metric)[: params.retrain]
    finalists = _retrained(best_trials, out, development, fixed, left, params, executor)
    truth, weights = development.truth("validation")
    best = _winner(
        finalists, lambda run: metric.sign * metric.score(run.predictions, truth, weights)
    )
    for finalist in finalists:
        _settle(_folder(out, finalist.trial), out.model.path, won=finalist is best)
    losers = [finalist for finalist in finalists if finalist is not best]
    results.gather(
        out,
        best.runs,
        stage="search",
        summary=_summary(best.trial, len(trials), len(finalists), params),
        settings=best.recipe.model_dump(),
        development=development,
        before=[
            *(run for trial in trials for run in trial.runs),
            *(_as_finalist(run) for loser in losers for run in loser.runs),
        ],
    )


def _ranked(trials: Sequence[Trial], metric: Measure) -> list[Trial]:
    """Those trained to their end, the best score first; of equal ones the lowest loss, of those the
    first. Of several trials of the same values the one with the most epochs stands for them.

    Raises FettleError where there are none.
    """
    completed = [trial for trial in trials if trial.status == "completed"]
    if not completed:
        first = trials[0]
        raise FettleError(
            f"search: all {len(trials)} trials came to nothing; the first {first.status}: "
            f"{first.reason}.\nChange search.space in params.yaml: lower learning rates where they "
            "diverged, or leave out what fails."
        )
    longest: dict[tuple[Any, ...], Trial] = {}
    for trial in completed:
        key = tuple(trial.values.items())
        if key not in longest or trial.budget > longest[key].budget:
            longest[key] = trial
    return sorted(
        longest.values(),
        key=lambda trial: (-metric.sign * (trial.score or 0.0), trial.loss, trial.trial),
    )


@dataclass(frozen=True)
class _Finalist:
    """A trial that was retrained."""

    trial: Trial
    recipe: Recipe
    runs: Sequence[Run]


def _retrained(
    trials: Sequence[Trial],
    out: Searched,
    development: Development,
    fixed: Recipe,
    budget: Budget,
    params: SearchParams,
    executor: Executor,
) -> list[_Finalist]:
    """Every trial with every seed, all side by side, for as long as the budget has left."""
    for left in sorted(out.model.path.glob("trial-*")):  # by a run that was killed
        shutil.rmtree(left)
    asked = [fixed.changed(trial.values) for trial in trials]
    allowed = budget.among([varied.epochs for varied in asked for _ in params.seeds])
    recipes = [allowed.shorten(varied) for varied in asked]
    items = [
        training.SeedRun(
            str(development.path),
            str(_folder(out, trial)),
            varied.network,
            varied.fit,
            seed,
            f"search trial {trial.trial} seed {seed}",
            minutes=allowed.minutes,
        )
        for trial, varied in zip(trials, recipes, strict=True)
        for seed in params.seeds
    ]
    runs = executor.map(training.train, items, [item.name for item in items])
    each = len(params.seeds)
    return [
        _Finalist(trial, varied, runs[place * each : (place + 1) * each])
        for place, (trial, varied) in enumerate(zip(trials, recipes, strict=True))
    ]


def _folder(out: Searched, trial: Trial) -> Path:
    return out.model.path / f"trial-{trial.trial}"


def _winner(finalists: Sequence[_Finalist], score: Callable[[Run], float]) -> _Finalist:
    """The best mean over the seeds; of equal ones the lowest mean loss, of those the first. One
    that diverged wins only where all did, which is then said."""

    def order(finalist: _Finalist) -> tuple[Any, ...]:
        runs = finalist.runs
        lost = any(run.diverged for run in runs)
        if lost:
            return True, 0.0, 0.0
        return False, -fmean(map(score, runs)), fmean(run.loss for run in runs)

    return min(finalists, key=order)


def _settle(folder: Path, target: Path, *, won: bool) -> None:
    """Move a finalist's models to where they stay, or remove them."""
    if won:
        for model in sorted(folder.iterdir()):
            model.replace(target / model.name)
    shutil.rmtree(folder)


def _as_finalist(run: Run) -> Run:
    """The run with its phase called "finalist", so that fits.csv tells it from the winner's."""
    lines = tuple(tuple(replace(line, phase="finalist") for line in fit) for fit in run.lines)
    return replace(run, lines=lines)


def _summary(best: Trial, trials: int, finalists: int, params: SearchParams) -> str:
    values = ", ".join(
        f"{name.replace('_', ' ')} {value:g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in best.values.items()
    )
    chosen = (
        f", the best of {finalists} that were retrained with {len(params.seeds)} seeds each"
        if finalists > 1
        else ""
    )
    return f"Trial {best.trial} of {trials} by {params.method}{chosen}: {values}."


def _table(trials: Sequence[Trial], space: Mapping[str, Dimension]) -> "pd.DataFrame":
    import pandas as pd

    columns = ["trial", *space, "score", "spread", "loss", "epochs", "examples", "parameters"]
    columns += ["seed", "status", "reason"]
    rows = [
        {
            **trial.values,
            **{name: getattr(trial, name) for name in ("trial", "score", "spread", "loss")},
            "epochs": trial.epochs,
            "examples": sum(run.examples for run in trial.runs),
            "parameters": trial.runs[0].parameters if trial.runs else None,
            "seed": trial.seed,
            "status": trial.status,
            "reason": trial.reason or None,
        }
        for trial in trials
    ]
    # As objects: a whole number stays whole beside an empty cell.
    return pd.DataFrame(rows, columns=columns, dtype=object)
