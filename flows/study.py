"""`fettle study batch-size`: what batch sizes cost and give here, and which learning rate suits.

Nothing that a stage depends on is written: what only a clock or a memory meter can say is printed
for people, who may put it into params.yaml.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from dataset.examples import Development
from metrics.objective import Measure, Objective
from metrics.readings import significant
from models import training
from models.fitting import batch_size
from models.fitting.batch_size import MIB, Pace
from models.networks import suited
from models.settings import Recipe
from pipeline.artifacts import Json
from pipeline.errors import EnvironmentFault, InputError
from pipeline.executor import Executor
from pipeline.params_file import load_some
from pipeline.run_params import RunParams
from pipeline.runners.processes import ProcessPool

DEVELOPMENT = Path("artifacts/split/development")
WRITTEN = Path(".fettle/studies/batch-size.json")
SEEDS = 2
"""At the least: a spread needs two."""
UNSTEADY = 0.2
"""Spread of speeds, as a share of their median, above which they say little."""

log = logging.getLogger("fettle")


@dataclass(frozen=True)
class Wish:
    """What was said on the command line; None: nothing."""

    sizes: tuple[int, ...] | None
    """Batch sizes to be timed."""
    retune: int | None
    """The size for which learning rates are tried."""
    epochs: int | None
    """Of every fit."""
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Tried:
    """Fits with one batch size and one learning rate, one for each seed."""

    size: int
    rate: float
    losses: tuple[float, ...]
    """Lowest validation loss of each seed's fit; infinite where it diverged."""
    epochs: tuple[int, ...]
    """The epoch of each."""
    last: tuple[float, ...]
    """Validation loss after the last epoch."""
    scores: tuple[float, ...]
    """The objective on validation after the last epoch."""
    restlessness: tuple[float, ...]
    """See `models.fitting.batch_size`."""

    @property
    def loss(self) -> float:
        """The mean of the lowest losses, by which rates are compared."""
        return fmean(self.losses)


@dataclass(frozen=True)
class Study:
    """What a study is of."""

    development: Development
    recipe: Recipe
    measure: Measure
    rows: int
    """Training examples."""
    workers: int
    seeds: tuple[int, ...]

    def tried(self, executor: Executor, pairs: Sequence[tuple[int, float]]) -> list[Tried]:
        """A fit for every pair of size and rate and every seed, with equally many epochs each."""
        items = [
            training.SeedRun(
                str(self.development.path),
                None,
                self.recipe.network,
                self.recipe.changed(
                    {"batch_size": size, "learning_rate": rate, "patience": None}
                ).fit,
                seed,
                f"batch size {size}, learning rate {rate:g}, seed {seed}",
            )
            for size, rate in pairs
            for seed in self.seeds
        ]
        runs = executor.map(training.train, items, [item.name for item in items])
        each = len(self.seeds)
        return [
            self._tried(size, rate, runs[each * place : each * (place + 1)])
            for place, (size, rate) in enumerate(pairs)
        ]

    def _tried(self, size: int, rate: float, runs: Sequence[training.Run]) -> Tried:
        truth, importance = self.development.truth("validation")
        curves = [[line.val_loss for line in run.lines[-1]] for run in runs]
        return Tried(
            size,
            rate,
            tuple(
                np.inf if run.diverged else min(curve)
                for run, curve in zip(runs, curves, strict=True)
            ),
            tuple(1 + int(np.argmin(curve)) for curve in curves),
            tuple(run.loss for run in runs),
            tuple(self.measure.value(run.predictions, truth, importance) for run in runs),
            tuple(batch_size.restlessness(curve) for curve in curves),
        )


def study_batch_size(wish: Wish) -> None:
    """Time batch sizes, try learning rates for one, compare small, middle and large ones; print it.

    The figures also go to `WRITTEN`. Raises InputError where there are no parts yet or a size has
    more examples than there are.
    """
    study = opened(wish.epochs, wish.seeds)
    sizes = wish.sizes or batch_size.sizes(study.rows)
    retuned = wish.retune or study.recipe.batch_size
    _require(sizes, study.rows, "--sizes")
    _require([retuned], study.rows, "recipe.batch_size" if wish.retune is None else "--retune")
    room = batch_size.room()
    paces = _paces(study, sizes)
    largest = batch_size.largest_gaining(paces, room / study.workers)
    print(*_throughput(paces, largest, room, study), sep="\n", flush=True)
    recipe = study.recipe
    rates = batch_size.rates(recipe.learning_rate, recipe.batch_size, retuned)
    banded = batch_size.banded([pace.size for pace in paces])
    pairs = [
        (size, rate)
        for _, size in banded
        for rate in batch_size.scaled(recipe.learning_rate, recipe.batch_size, size)
    ]
    # What is in both lists is trained once.
    wanted = list(dict.fromkeys([*((retuned, rate) for rate in rates), *pairs]))
    log.info(
        "%d fits of %d epochs: learning rates for batches of %d, then small and large batches",
        len(wanted) * len(study.seeds),
        recipe.epochs,
        retuned,
    )
    with ProcessPool(study.workers) as pool:
        tried = dict(zip(wanted, study.tried(pool, wanted), strict=True))
    found = [tried[retuned, rate] for rate in rates]
    bands = [
        (name, size, _best([tried[pair] for pair in pairs if pair[0] == size]))
        for name, size in banded
    ]
    print("", *_rates(found, retuned, study), sep="\n")
    print("", *_bands(bands, paces, study), sep="\n")
    WRITTEN.parent.mkdir(parents=True, exist_ok=True)
    Json(WRITTEN).write(_figures(study, paces, largest, found, bands))
    print(f"\nAll figures: {WRITTEN}. Nothing in params.yaml was changed.")


def opened(epochs: int | None, seeds: tuple[int, ...]) -> Study:
    """What this checkout has to study; `epochs` rather than those of the recipe, if given.

    Raises InputError where there are no parts yet.
    """
    params = load_some({"recipe": Recipe, "objective": Objective, "run": RunParams})
    recipe, objective, run = params["recipe"], params["objective"], params["run"]
    assert isinstance(recipe, Recipe)
    assert isinstance(objective, Objective)
    assert isinstance(run, RunParams)
    development = Development(DEVELOPMENT)
    if not (DEVELOPMENT / "target.json").is_file():
        raise InputError(
            f"{DEVELOPMENT} is not there, whose training examples are what is studied.\n"
            "Make it first with: ./fettle run"
        )
    suited.require(recipe, development.schema())
    return Study(
        development,
        recipe.changed({} if epochs is None else {"epochs": epochs}),
        objective.metric_for(development.target()),
        development.count("train"),
        run.workers,
        seeds,
    )


def _require(sizes: Sequence[int], rows: int, named: str) -> None:
    large = [size for size in sizes if size > rows]
    if large:
        raise InputError(
            f"{named}: {large[0]:,} was given, but there are {rows:,} training examples.\n"
            f"Give a batch size of {rows:,} at the most."
        )


def _paces(study: Study, sizes: Sequence[int]) -> list[Pace]:
    """Each size in a process of its own, one after the other; those that a process dies of, and
    all larger ones, are left out."""
    paces: list[Pace] = []
    log.info("timing %d batch sizes, each in a process of its own", len(sizes))
    for size in sorted(set(sizes)):
        item = batch_size.PaceRun(str(study.development.path), study.recipe, size, study.seeds)
        try:
            with ProcessPool(1) as pool:
                paces += pool.map(batch_size.pace, [item], [f"batch size {size}"])
        except EnvironmentFault:
            log.info("batch size %d: its process was ended, most likely for want of memory", size)
            break
    if not paces:
        raise EnvironmentFault(
            f"No batch size could be timed: the process with {min(sizes):,} examples a batch was "
            "ended, most likely for want of memory.\nTry a smaller one with --sizes, or a smaller "
            "network."
        )
    return paces


def _best(tried: Sequence[Tried]) -> Tried:
    return min(tried, key=lambda one: one.loss)


def _throughput(
    paces: Sequence[Pace], largest: Pace | None, room: int, study: Study
) -> Iterator[str]:
    yield (
        f"Throughput on {study.rows:,} training examples with the network of params.yaml, medians "
        f"of {len(paces[0].speeds)} epochs with {len(study.seeds)} seeds"
    )
    yield f"{'batch size':>10}  {'examples/s':>10}  {'(middle half)':>21}  {'peak memory, MiB':>16}"
    for pace in paces:
        low, high = np.quantile(pace.speeds, (0.25, 0.75))
        marks = " <- in params.yaml" if pace.size == study.recipe.batch_size else ""
        yield (
            f"{pace.size:>10,}  {pace.speed:>10,.0f}  {f'({low:,.0f} to {high:,.0f})':>21}  "
            f"{pace.peak / MIB:>16,.0f}{marks}"
        )
    unsteady = [pace.size for pace in paces if _width(pace) > UNSTEADY]
    if unsteady:
        yield (
            f"Speeds with batches of {', '.join(f'{size:,}' for size in unsteady)} vary by more "
            f"than {UNSTEADY:.0%}: something else is running. Repeat it on an idle machine."
        )
    processes = f"{study.workers} at a time (run.workers), {room / MIB:,.0f} MiB are free"
    if largest is None:
        yield f"None fits: {processes}. Lower run.workers."
        return
    yield (
        f"The largest that gains at least {batch_size.GAIN:.0%} over half its size and fits "
        f"({processes}): {largest.size:,}."
    )
    if largest.size != study.recipe.batch_size:
        yield (
            f"To take it: recipe.batch_size: {largest.size} in params.yaml. "
            f"A learning rate for it: ./fettle study batch-size --retune {largest.size}"
        )


def _width(pace: Pace) -> float:
    """Of the middle half of the speeds, as a share of the median."""
    low, high = np.quantile(pace.speeds, (0.25, 0.75))
    return float((high - low) / pace.speed)


def _loss_unit(study: Study) -> str:
    quantities = study.development.target().task == "regression"
    return "variances of the target" if quantities else "nats"


def _spread(values: Sequence[float], digits: int = 4) -> str:
    """The mean, and the lowest and highest."""
    if not all(map(isfinite, values)):
        return "diverged" if np.isinf(values).any() else "not known"
    low, high = (significant(value, digits) for value in (min(values), max(values)))
    return f"{significant(fmean(values), digits)} ({low} to {high})"


def _rates(found: Sequence[Tried], size: int, study: Study) -> Iterator[str]:
    yield (
        f"Learning rates for batches of {size:,}: {study.recipe.epochs} epochs, lowest validation "
        f"loss in {_loss_unit(study)}, mean (lowest to highest) of {len(study.seeds)} seeds"
    )
    yield f"{'learning rate':>13}  {'validation loss':>27}  {study.measure.reading.title:>27}"
    for one in found:
        marks = " <- in params.yaml" if one.rate == study.recipe.learning_rate else ""
        yield f"{one.rate:>13g}  {_spread(one.losses):>27}  {_scored(one, study):>27}{marks}"
    best = _best(found)
    if not isfinite(best.loss):
        yield "All of them diverged: lower recipe.learning_rate."
        return
    yield f"The best: {best.rate:g}."
    if best.rate in (found[0].rate, found[-1].rate):
        yield "It is at an end of what was tried: a better one may lie beyond."


def _scored(one: Tried, study: Study) -> str:
    if not all(map(isfinite, one.scores)):
        return "not known"
    reading = study.measure.reading
    span = reading.span(min(one.scores), max(one.scores))
    return f"{reading.text(fmean(one.scores))} ({span})"


def _bands(
    bands: Sequence[tuple[str, int, Tried]], paces: Sequence[Pace], study: Study
) -> Iterator[str]:
    speeds = {pace.size: pace.speed for pace in paces}
    yield (
        f"Small, middle and large batches: {study.recipe.epochs} epochs each, the better of the "
        f"learning rates scaled by the square root and linearly, mean (lowest to highest) of "
        f"{len(study.seeds)} seeds"
    )
    yield (
        f"{'':<6}  {'batch size':>10}  {'learning rate':>13}  {'examples/s':>10}  "
        f"{'best epoch':>17}  {'lowest loss, ' + _unit_short(study):>27}  "
        f"{'restlessness':>27}  {study.measure.reading.title:>27}"
    )
    for name, size, one in bands:
        yield (
            f"{name:<6}  {size:>10,}  {one.rate:>13g}  {speeds[size]:>10,.0f}  "
            f"{_spread(one.epochs, 3):>17}  {_spread(one.losses):>27}  "
            f"{_spread(one.restlessness, 3):>27}  {_scored(one, study):>27}"
        )
    yield (
        "loss: of validation; restlessness: standard deviation of its change from epoch to epoch "
        f"over the last half, in {_loss_unit(study)}."
    )


def _unit_short(study: Study) -> str:
    return "variances" if study.development.target().task == "regression" else "nats"


def _figures(
    study: Study,
    paces: Sequence[Pace],
    largest: Pace | None,
    found: Sequence[Tried],
    bands: Sequence[tuple[str, int, Tried]],
) -> dict[str, Any]:
    """Everything that was measured, as JSON has it: null where there is no number."""
    return {
        "training_examples": study.rows,
        "recipe": study.recipe.model_dump(mode="json"),
        "seeds": study.seeds,
        "throughput": [
            {
                "batch_size": pace.size,
                "examples_per_second": pace.speed,
                "epochs_examples_per_second": pace.speeds,
                "peak_memory_bytes": pace.peak,
            }
            for pace in paces
        ],
        "largest_gaining": None if largest is None else largest.size,
        "learning_rates": [_plain(one) for one in found],
        "bands": [{"band": name, **_plain(one)} for name, _, one in bands],
        "objective": study.measure.name,
        "loss_unit": _loss_unit(study),
    }


def _plain(one: Tried) -> dict[str, Any]:
    names = {"size": "batch_size", "rate": "learning_rate", "epochs": "best_epochs"}
    return {
        names.get(name, name): [float(each) if isfinite(each) else None for each in value]
        if isinstance(value, tuple)
        else value
        for name, value in asdict(one).items()
    }
