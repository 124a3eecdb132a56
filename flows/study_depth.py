"""`fettle study depth`: from a shallow network to deeper ones, as long as validation gains.

Where a gain is proven by the paired bootstrap over seeds and examples, one goes on; else the depth
before is enough. Nothing in params.yaml is changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flows.study import Study, opened
from metrics.intervals import Bootstrap, Interval, Sample
from models import training
from pipeline.executor import Executor
from pipeline.runners.processes import ProcessPool

DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16)
"""What is tried, one after the other."""
BOOTSTRAP = Bootstrap(replicates=2000, level=0.95, seed=1)


@dataclass(frozen=True)
class Grown:
    """Networks of one depth, one for each seed."""

    depth: int
    score: Sample
    """Of the objective on validation."""
    multiply_adds: int
    parameters: int
    diverged: bool


def study_depth(epochs: int | None, seeds: tuple[int, ...]) -> None:
    """Train deeper and deeper networks of the recipe until none is proven to be better; print what
    each gained, and which depth is enough.

    Raises InputError where there are no parts yet.
    """
    study = opened(epochs, seeds)
    print(*_head(study), sep="\n", flush=True)
    with ProcessPool(study.workers) as pool:
        grown: list[Grown] = []
        for one in _growing(study, pool):
            print(_line(one, grown[-1] if grown else None, study), flush=True)
            grown.append(one)
    print(_enough(grown, study))


def _growing(study: Study, executor: Executor) -> Iterator[Grown]:
    """Deeper and deeper, and the first that gains nothing last."""
    before = None
    for depth in DEPTHS:
        one = _grown(study, depth, executor)
        yield one
        if one.diverged or (before is not None and _gain(before, one, study).low <= 0):
            return
        before = one


def _grown(study: Study, depth: int, executor: Executor) -> Grown:
    recipe = study.recipe.changed({"depth": depth})
    items = [
        training.SeedRun(
            str(study.development.path),
            None,
            recipe.network,
            recipe.fit,
            seed,
            f"depth {depth}, seed {seed}",
        )
        for seed in study.seeds
    ]
    runs = executor.map(training.train, items, [item.name for item in items])
    truth, importance = study.development.truth("validation")
    predictions = np.stack([run.predictions for run in runs])
    diverged = any(run.diverged for run in runs)
    score = (
        Sample(np.asarray(np.nan), np.full(BOOTSTRAP.replicates, np.nan))
        if diverged
        else BOOTSTRAP.among(study.development.units("validation")).sample(
            {"": study.measure.figure}, predictions, truth, importance
        )[""]
    )
    return Grown(depth, score, runs[0].multiply_adds, runs[0].parameters, diverged)


def _gain(before: Grown, after: Grown, study: Study) -> Interval:
    """How much better the deeper one is, so that more is better."""
    difference = BOOTSTRAP.difference(after.score, before.score)
    if study.measure.sign > 0:
        return difference
    return Interval(-difference.value, -difference.high, -difference.low)


def _head(study: Study) -> Iterator[str]:
    reading = study.measure.reading
    yield (
        f"From shallow to deep with the recipe of params.yaml, {study.recipe.epochs} epochs, "
        f"{len(study.seeds)} seeds: {reading.title} on validation, and its difference to the depth "
        f"before with a {100 * BOOTSTRAP.level:g} % interval"
    )
    yield f"{'depth':>5}  {reading.title:>20}  {'difference' + reading.points:>42}  multiply-adds"


def _line(one: Grown, before: Grown | None, study: Study) -> str:
    reading = study.measure.reading
    told = "diverged" if one.diverged else reading.text(float(one.score.value))
    span = ""
    if before is not None and not one.diverged:
        found = BOOTSTRAP.difference(one.score, before.score)
        value, low, high = map(reading.difference, (found.value, found.low, found.high))
        span = f"{value} ({low} to {high})"
    marks = " <- in params.yaml" if one.depth == study.recipe.depth else ""
    return f"{one.depth:>5}  {told:>20}  {span:>42}  {one.multiply_adds:,}{marks}"


def _enough(grown: Sequence[Grown], study: Study) -> str:
    last = grown[-1]
    if last.diverged:
        lower = "Lower recipe.learning_rate, or set recipe.batch_norm to true."
        if len(grown) == 1:
            return f"A single block diverged already. {lower}"
        return f"Depth {grown[-2].depth} is as deep as it trains. {lower}"
    if len(grown) == len(DEPTHS):
        return f"Every step gained, up to depth {last.depth}: recipe.depth: {last.depth}"
    enough = grown[-2].depth
    told = (
        f"Depth {enough} is enough: with {len(study.seeds)} seeds depth {last.depth} is not proven "
        "to gain."
    )
    return told if enough == study.recipe.depth else f"{told} To take it: recipe.depth: {enough}"
