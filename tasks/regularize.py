"""Regularisation: the best settings so far, with the techniques that params.yaml lists."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, model_validator

from dataset.examples import Development
from metrics.intervals import Bootstrap
from metrics.objective import Objective
from models import results, training
from models.budget import Allowance, Budget
from models.candidate import Regularized, Trained
from models.judging import ablation
from models.judging.ablation import Ablation, Decision, Design, Outcome, Variant
from models.networks import suited
from models.settings import Changes, Recipe, Retraining
from models.training import Run
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor

WHY: dict[Decision, str] = {
    "earned": "gain proven",
    "cheaper": "no loss found, and cheaper",
    "neutral": "no gain proven",
    "harmful": "loss proven",
}
"""What a decision of the ablation says, in a summary."""


class RegularizeParams(Retraining):
    """The section `regularize`."""

    techniques: Annotated[dict[str, Changes], Field(min_length=1, max_length=50)]
    """By a name of one's own the values that differ from the best settings so far; where two
    techniques name one setting, the later counts."""
    ablation: bool
    """Whether to train each technique alone, and all but each, and to compare."""
    keep: Literal["all", "earned"]
    """Which techniques the stage's network has: all, or those that the ablation speaks for."""
    replicates: int = Field(ge=100, le=100_000)
    """Resamplings of the ablation's bootstrap."""
    level: float = Field(ge=0.5, lt=1)
    """How sure its decisions are, all of them together."""
    seed: int = Field(ge=0)
    """Of its resamplings."""

    @model_validator(mode="after")
    def _provable(self) -> Self:
        if self.keep == "earned" and not self.ablation:
            raise ValueError("keep: earned needs ablation: true, which says what earned its place")
        comparisons = 2 * len(self.techniques)
        needed = 2 * comparisons / (1 - self.level)
        if self.ablation and self.replicates < needed:
            raise ValueError(
                f"replicates: {self.replicates:,} resamplings can prove nothing among "
                f"{comparisons} comparisons at level {self.level:g}; give at least {needed:,.0f}"
            )
        return self

    def design(self, start: Mapping[str, Any]) -> Design:
        """What the ablation compares, given the settings that the techniques are added to."""
        return Design(self.techniques, start)

    def apart(self, design: Design) -> list[Variant]:
        """What is trained to be compared, beside the stage's own network."""
        if not self.ablation:
            return []
        # With all techniques kept, the full set is the stage's own network.
        return [
            one for one in design.variants() if self.keep == "earned" or one.changes != design.all
        ]


class _Search(Protocol):
    """What the section `search` says of the settings that this stage begins with."""

    def longest(self, recipe: Recipe) -> int:
        """Epochs that they have at the most."""


def _allowed(params: RegularizeParams, design: Design, epochs: int, budget: Budget) -> Allowance:
    """Every variant and the stage's own network are shortened alike; `epochs`: of the settings
    that the techniques are added to."""
    lengths = [one.changes.get("epochs", epochs) for one in params.apart(design)]
    own = design.all.get("epochs", epochs)
    if params.keep == "earned":
        # Which techniques it will have is not known before the others are trained.
        own = max(epochs, *(held.get("epochs", 0) for held in params.techniques.values()))
    return budget.among([*lengths, own] * len(params.seeds))


def _cost(params: RegularizeParams, recipe: Recipe, search: _Search, budget: Budget) -> Cost:
    if not params.enabled:
        return Cost()
    allowed = _allowed(params, params.design({}), search.longest(recipe), budget)
    return Cost(allowed.fits, allowed.most)


def _caution(params: RegularizeParams, budget: Budget) -> str | None:
    return budget.caution() if params.enabled else None


@stage(cost=_cost, caution=_caution)
def regularize(
    out: Regularized,
    development: Development,
    baseline: Trained,
    search: Trained,
    objective: Objective,
    budget: Budget,
    params: RegularizeParams,
    executor: Executor,
) -> None:
    """The best settings so far, with the techniques that params.yaml lists."""
    if not params.enabled:
        results.switched_off(out, "regularize")
        out.ablation.write(ablation.table([]))
        return
    start = results.latest(search, baseline)
    begun = Recipe.of(start.settings)
    design = params.design(begun.model_dump())
    allowed = _allowed(params, design, begun.epochs, budget)
    apart = _train_apart(executor, development, begun, allowed, params)
    kept = list(design.techniques)
    outcomes: list[Outcome] = []
    if params.keep == "earned":
        outcomes = _compare(design, apart, development, objective, params)
        decided = {one.technique for one in outcomes if one.decision in ablation.KEPT}
        kept = [name for name in kept if name in decided]
    changed = allowed.shorten(begun.changed(design.changes(kept)))
    runs = training.train_seeds(
        executor,
        development,
        out.model.make(),
        changed,
        params.seeds,
        "regularize",
        allowed.minutes,
    )
    if params.ablation and params.keep == "all":
        [own] = [one.name for one in design.variants() if one.changes == design.all]
        outcomes = _compare(design, {**apart, own: runs}, development, objective, params)
    out.ablation.write(ablation.table(outcomes))
    results.gather(
        out,
        runs,
        stage="regularize",
        summary=_summary(start.stage, kept, outcomes),
        settings=changed.model_dump(),
        development=development,
        before=[results.called(run, name) for name, held in apart.items() for run in held],
    )


def _train_apart(
    executor: Executor,
    development: Development,
    begun: Recipe,
    allowed: Allowance,
    params: RegularizeParams,
) -> dict[str, list[Run]]:
    """The runs of all seeds by the variant's name; no model is kept.

    Raises InputError where a technique does not suit the data.
    """
    variants = params.apart(params.design(begun.model_dump()))
    recipes = [allowed.shorten(begun.changed(variant.changes)) for variant in variants]
    for recipe in recipes:
        suited.require(recipe, development.schema())
    items = [
        training.SeedRun(
            str(development.path),
            None,
            recipe.network,
            recipe.fit,
            seed,
            f"regularize {variant.name} seed {seed}",
            minutes=allowed.minutes,
        )
        for variant, recipe in zip(variants, recipes, strict=True)
        for seed in params.seeds
    ]
    # Recalled by what they follow from: one technique more costs its own runs.
    runs = executor.map(training.train, items, [item.name for item in items], keep=True)
    seeds = len(params.seeds)
    return {
        variant.name: runs[at * seeds : (at + 1) * seeds] for at, variant in enumerate(variants)
    }


def _compare(
    design: Design,
    runs: Mapping[str, Sequence[Run]],
    development: Development,
    objective: Objective,
    params: RegularizeParams,
) -> list[Outcome]:
    truth, importance = development.truth("validation")
    bootstrap = Bootstrap(params.replicates, params.level, params.seed)
    bootstrap = bootstrap.among(development.units("validation"))
    measure = objective.metric_for(development.target())
    return Ablation(design, runs, measure, truth, importance, bootstrap).outcomes()


def _summary(start: str, kept: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """What was added to which settings, and what the ablation says of it."""
    decisions = {one.technique: f" ({WHY[one.decision]})" for one in outcomes}

    def told(names: Sequence[str]) -> str:
        return ", ".join(name.replace("_", " ") + decisions.get(name, "") for name in names)

    left = [name for name in decisions if name not in kept]
    return (
        f"The settings of {start} {f'with {told(kept)}' if kept else 'as they are'}"
        f"{f'; left out: {told(left)}' if left else ''}."
    )
