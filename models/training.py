"""Pieces of training that an executor may run in any process: one seed, one network.

A piece is handed a small frozen item that names paths, and gives a small result; the trained
model stays in the stage's folder. This module loads Keras only inside functions, so that a task
which merely hands out pieces never waits for TensorFlow.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Development, Examples, Known, Scaling, Schema
from dataset.target import Target
from models.fitting import curves, determinism, rows
from models.fitting.curves import Line
from models.fitting.rows import Rows
from models.networks import suited
from models.settings import FitSettings, NetworkSpec, Recipe
from pipeline import journal
from pipeline.executor import Executor, Label, Mark, Reads, Writes

if TYPE_CHECKING:
    import keras

    from models.fitting.fit import Fitted, Weights
    from models.networks.encode import Statistics
    from models.networks.layout import Layout


@dataclass(frozen=True)
class Encoded:
    """A development set as networks take it.

    train, validation: `(n, d)` or `(n, h, w, c)` float32; truth and codes: as `dataset.target` has
    them; weights: `(n,)` float32, how much each example counts in the loss, None: all alike.
    """

    train: Rows
    train_truth: npt.NDArray[Any]
    train_codes: npt.NDArray[Any]
    train_weights: npt.NDArray[np.float32] | None
    validation: Rows
    validation_truth: npt.NDArray[Any]
    validation_codes: npt.NDArray[Any]
    validation_weights: npt.NDArray[np.float32] | None
    target: Target
    schema: Schema
    statistics: "Statistics"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one encoded example."""
        return self.train.shape[1:]

    @property
    def layout(self) -> "Layout":
        """What the columns of an encoded table are."""
        return self.statistics.layout

    @property
    def weights(self) -> "Weights":
        """Those of training and validation."""
        return self.train_weights, self.validation_weights

    def encoder(self) -> "keras.Model":
        """A new encoder with the statistics of the training examples."""
        from models.networks import encode

        return encode.build(self.statistics)


def encoded(development: str) -> Encoded:
    """The development set in a folder, encoded; kept for the next piece in this process."""
    folder = Path(development)
    return _encoded(str(folder.resolve()), stamp(folder))


def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a folder's files do, as far as one process has to know."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files)


@lru_cache(maxsize=1)
def _encoded(development: str, stamp: tuple[tuple[str, int, int], ...]) -> Encoded:
    determinism.start(1)
    source = Development(Path(development))

    def part(known: Known) -> Part:
        truth, importance = source.truth(known)
        return Part(lambda: source.blocks(known), source.count(known), truth, importance)

    return encode(
        part("train"), part("validation"), source.schema(), source.target(), source.scaling()
    )


@dataclass(frozen=True)
class Part:
    """Examples to be encoded."""

    read: Callable[[], Iterable[Examples]]
    """A block at a time, anew at each call."""
    count: int
    truth: npt.NDArray[Any]
    """As `dataset.target` has it."""
    importance: npt.NDArray[np.float32] | None
    """`(n,)`, how much each counts; None: all alike."""


def encode(
    train: Part, validation: Part, schema: Schema, target: Target, scaling: Scaling
) -> Encoded:
    """Both parts as networks take them, with the statistics of the first."""
    from models.networks import encode

    statistics = encode.learn_blocks(train.read, schema, scaling)
    encoder = encode.build(statistics)

    def encoded(part: Part) -> Rows:
        return rows.collect((encode.run(encoder, block) for block in part.read()), part.count)

    return Encoded(
        train=encoded(train),
        train_truth=train.truth,
        train_codes=target.encode(train.truth),
        train_weights=target.weights(train.truth, train.importance),
        validation=encoded(validation),
        validation_truth=validation.truth,
        validation_codes=target.encode(validation.truth),
        validation_weights=target.weights(validation.truth, validation.importance),
        target=target,
        schema=schema,
        statistics=statistics,
    )


@dataclass(frozen=True)
class Run:
    """What a piece that trained a network gives back."""

    seed: int
    lines: tuple[tuple[Line, ...], ...]
    """Of every fit, in order."""
    predictions: npt.NDArray[np.float32]
    """Of the validation examples, `(n, k)`, see `dataset.target`."""
    loss: float
    """On validation: log loss in nats, or the squared error of standardised quantities."""
    parameters: int
    multiply_adds: int
    examples: int
    """Training examples seen over all fits."""
    diverged: bool
    out_of_time: bool = False
    """Whether the clock ended one of its fits."""

    @property
    def epochs(self) -> int:
        """Epochs trained over all fits."""
        return sum(len(lines) for lines in self.lines)

    @property
    def lasting(self) -> bool:
        """Whether another time it would come to the same; a clock shows another time then."""
        return not self.out_of_time


@dataclass(frozen=True)
class SeedRun:
    """A network to be trained from scratch with one seed."""

    development: Reads
    folder: Writes
    """Where `seed-N.keras` is written; None: the model is not kept."""
    spec: NetworkSpec
    settings: FitSettings
    seed: int
    name: Label
    """For the log."""
    minutes: Annotated[float | None, Mark.LABEL] = field(default=None, kw_only=True)
    """Of the clock, for each of its fits; None: as long as it takes. Nothing that may be kept
    follows from it: see `Run.lasting`."""


def train_seeds(
    executor: Executor,
    development: Development,
    folder: Path,
    recipe: Recipe,
    seeds: Sequence[int],
    stage: str,
    minutes: float | None = None,
) -> list[Run]:
    """One network from scratch for each seed, in their order; the models lie in `folder`.

    `minutes` of the clock has each fit at the most, None: as long as it takes.
    Raises InputError where the recipe does not suit the data.
    """
    suited.require(recipe, development.schema())
    items = [
        SeedRun(
            str(development.path),
            str(folder),
            recipe.network,
            recipe.fit,
            seed,
            f"{stage} seed {seed}",
            minutes=minutes,
        )
        for seed in seeds
    ]
    return executor.map(train, items, [item.name for item in items])


def train(item: SeedRun) -> Run:
    """Piece: one network from scratch."""
    return train_with(item, lambda network, data: fit_plainly(network, data, item))


def train_with(
    item: SeedRun, fit: "Callable[[keras.Model, Encoded], Sequence[tuple[str, Fitted]]]"
) -> Run:
    """Build the item's network, have it trained by `fit` in named phases, keep it if asked."""
    return train_on(encoded(item.development), item, fit)


def train_on(
    data: Encoded,
    item: SeedRun,
    fit: "Callable[[keras.Model, Encoded], Sequence[tuple[str, Fitted]]]",
) -> Run:
    """The same on data that are not simply the item's development set."""
    # After the data: whether they had to be encoded must not show in the network.
    determinism.start(item.seed)
    from models.networks import network

    built = network.build(
        data.shape, data.target.outputs, item.spec, item.seed, data.layout, data.target.task
    )
    with journal.given(item.spec.model_dump()):
        phases = fit(built, data)
    if item.folder is not None:
        keep(built, data, Path(item.folder) / f"seed-{item.seed}.keras")
    return told(built, data, item.seed, phases)


def fit_plainly(
    network: "keras.Model", data: Encoded, item: SeedRun
) -> "Sequence[tuple[str, Fitted]]":
    """One fit to the targets, called phase "train"."""
    fitted = fit_to_target(network, data, item.settings, item.seed, item.name, minutes=item.minutes)
    return [("train", fitted)]


def fit_to_target(
    network: "keras.Model",
    data: Encoded,
    settings: FitSettings,
    seed: int,
    name: str,
    stops: Sequence[float] = (),
    minutes: float | None = None,
    factors: Sequence[float] = (),
) -> "Fitted":
    """Train `network` in place on what the data say; `stops`, `minutes` and `factors`: see
    `models.fitting.fit.fit`."""
    from models.fitting import criterion, fit
    from models.fitting.mixing import Mixing

    mixing = Mixing(settings.mixup, data.target.task, seed) if settings.mixup else None
    return fit.fit(
        network,
        (data.train, data.train_codes),
        (data.validation, data.validation_codes),
        settings,
        seed,
        name=name,
        criterion=criterion.trained_by(data.target, settings),
        weights=data.weights,
        stops=stops,
        minutes=minutes,
        mixing=mixing,
        factors=factors,
    )


def told(
    network: "keras.Model", data: Encoded, seed: int, phases: "Sequence[tuple[str, Fitted]]"
) -> Run:
    """What a piece gives back of a network that was trained in named phases."""
    from models.fitting import criterion
    from models.networks import count

    outputs = phases[-1][1].outputs
    measure = criterion.of(data.target).measure
    numbered = curves.lines([(phase, fitted.epochs) for phase, fitted in phases], seed)
    return Run(
        seed,
        numbered,
        data.target.decode(outputs),
        measure(data.validation_codes, outputs, data.validation_weights)[0],
        count.parameters(network),
        count.multiply_adds(network),
        sum(len(fit) for fit in numbered) * len(data.train),
        any(fitted.diverged for _, fitted in phases),
        any(fitted.out_of_time for _, fitted in phases),
    )


def keep(built: "keras.Model", data: Encoded, path: Path) -> None:
    """Write a trained network as a whole model."""
    from models import archive
    from models.networks import network

    archive.save(network.assemble(data.encoder(), built, data.target), path)


def predict(model: "keras.Model", examples: Examples) -> npt.NDArray[np.float32]:
    """Predictions `(n, k)` float32 of a loaded model, see `dataset.target`, in large batches."""
    from models.networks import encode

    return encode.run(model, examples)
