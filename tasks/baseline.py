"""The baseline: a network as the recipe has it, and what it must beat."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from dataset.examples import Development
from models import results, training
from models.budget import Allowance, Budget
from models.candidate import Baseline
from models.judging import shares, yardsticks
from models.settings import Recipe, Seeds
from models.training import Run
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor
from pipeline.params import Section


def _rising(shares: tuple[float, ...]) -> tuple[float, ...]:
    if any(one >= other for one, other in pairwise(shares)):
        raise ValueError(f"must rise, got {list(shares)}")
    return shares


class BaselineParams(Section):
    """The section `baseline`."""

    seeds: Seeds
    """One fit each."""
    shares: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        Field(max_length=10),
        AfterValidator(_rising),
    ]
    """Of the training rows, on which the recipe is trained too, to foretell what more of them
    would gain; each costs as many steps as all rows."""


def _allowed(params: BaselineParams, recipe: Recipe, budget: Budget) -> Allowance:
    """The network and the shares are shortened alike: all are then still trained for as many
    steps, as what is foretold from them takes for granted."""
    parts = [shares.lengthened(recipe.fit, share).epochs for share in params.shares]
    return budget.among([recipe.epochs, *parts] * len(params.seeds))


def _cost(params: BaselineParams, recipe: Recipe, budget: Budget) -> Cost:
    allowed = _allowed(params, recipe, budget)
    return Cost(allowed.fits, allowed.most)


def _caution(budget: Budget) -> str | None:
    return budget.caution()


@stage(cost=_cost, caution=_caution)
def baseline(
    out: Baseline,
    development: Development,
    recipe: Recipe,
    budget: Budget,
    params: BaselineParams,
    executor: Executor,
) -> None:
    """A network as the recipe has it, beside a constant answer and a linear model."""
    allowed = _allowed(params, recipe, budget)
    own = allowed.shorten(recipe)
    runs = training.train_seeds(
        executor, development, out.model.make(), own, params.seeds, "baseline", allowed.minutes
    )
    [measured] = executor.map(yardsticks.predict, [str(development.path)], ["baseline yardsticks"])
    out.yardsticks.write(measured)
    less = _learn(executor, development, out.model.path / "shares", recipe, allowed, params)
    rows = [
        shares.learned(run, share, len(shares.sampled(development, share)))
        for share, held in less.items()
        for run in held
        if not run.diverged
    ]
    if rows:
        rows += [shares.learned(run, 1.0, development.count("train")) for run in runs]
    out.learning.write(shares.table(rows))
    results.gather(
        out,
        runs,
        stage="baseline",
        summary=f"The recipe as it is: width {own.width} and depth {own.depth}, trained for "
        f"{'' if own.patience is None else 'up to '}{own.epochs} epochs.",
        settings=own.model_dump(),
        development=development,
        before=[
            results.called(run, f"{100 * share:g} % of the rows")
            for share, held in less.items()
            for run in held
        ],
    )


def _learn(
    executor: Executor,
    development: Development,
    folder: Path,
    recipe: Recipe,
    allowed: Allowance,
    params: BaselineParams,
) -> dict[float, list[Run]]:
    """The runs of all seeds by share; no model is kept."""
    with _parts(development, params.shares, folder) as parts:
        items = [
            training.SeedRun(
                str(part.path),
                None,
                recipe.network,
                allowed.shorten(shares.lengthened(recipe.fit, share)),
                seed,
                f"baseline {100 * share:g} % seed {seed}",
                minutes=allowed.minutes,
            )
            for share, part in zip(params.shares, parts, strict=True)
            for seed in params.seeds
        ]
        runs = executor.map(training.train, items, [item.name for item in items], keep=True)
    seeds = len(params.seeds)
    return {share: runs[at * seeds : (at + 1) * seeds] for at, share in enumerate(params.shares)}


@contextmanager
def _parts(
    development: Development, wanted: Sequence[float], folder: Path
) -> Iterator[list[Development]]:
    """Development sets with shares of the training rows, which are gone afterwards."""
    try:
        yield [shares.write(development, share, folder / f"{100 * share:g}") for share in wanted]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
