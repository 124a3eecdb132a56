"""What can be transferred from: each source becomes a base, encoded examples in, features out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.examples import Schema
from models import training
from models.fitting import curves, determinism
from models.fitting.curves import Line
from models.settings import FitSettings, NetworkSpec
from models.transfer import source_data, source_digits, source_files, source_pictures, source_tables
from models.transfer.source_settings import (
    Application,
    Earlier,
    OtherData,
    SelfMade,
    TransferSource,
    told,
)
from models.transfer.source_task import SourceTask
from pipeline.errors import InputError

if TYPE_CHECKING:
    pass


def offered(schema: Schema) -> tuple[SelfMade, ...]:
    """The source tasks without files that suit the data, the usual one first."""
    if schema.kind == "table":
        return ("masked",)
    # Digits are drawn in grey; a colour picture's trunk would learn that all channels are one.
    grey = schema.shape[-1] == 1
    return ("fonts", "rotated", "denoised") if grey else ("rotated", "denoised")


def check(source: TransferSource, schema: Schema, given: str | None) -> None:
    """Raise InputError for what can be told without training: a source of the other kind, a file
    that is not there or is not what it should be, and what would fit instead.

    `given`: the path of `finetune.pretrained`, None where there is none.
    """
    if isinstance(source, str):
        if source not in offered(schema):
            raise InputError(_unsuited(source, schema))
    elif isinstance(source, Application):
        if schema.kind == "table":
            raise InputError(_unsuited(told(source), schema))
        # Before Keras is imported, or TensorFlow says what it thinks of the machine.
        determinism.pin()
        from models.transfer import applications

        applications.check(source, given, schema.shape)
    elif isinstance(source, Earlier):
        path = source_files.found(given, source.model)
        determinism.pin()
        from models.transfer import source_earlier

        source_earlier.check(path, schema)
    else:
        source_data.check(source_files.found(given, source.data), source.target, schema)


def _unsuited(source: str, schema: Schema) -> str:
    what = "a table" if schema.kind == "table" else "pictures"
    if schema.kind == "pictures" and schema.shape[-1] > 1:
        what = "pictures in colour"
    fitting = " or ".join(offered(schema))
    return (
        f"params.yaml: finetune is to transfer from {source}, but the data are {what}: put "
        f"{fitting} there, a model of an earlier run or another data set"
    )


@dataclass(frozen=True)
class SourceRun:
    """A source to be made a base of, once for all seeds."""

    development: str
    model: str
    """Where the base is written, a keras file: see `pretrain`."""
    source: TransferSource
    given: str | None
    """Where the source's files lie, `finetune.pretrained`; None: there are none."""
    spec: NetworkSpec
    settings: FitSettings
    pictures: int
    """How many digits are drawn, for `fonts`, or pictures shown at the most, for `rotated` and
    `denoised`; a fifth more are for validation."""
    swap: float
    """Fraction of values swapped and of words hidden, for `masked`."""
    seed: int
    name: str
    minutes: float | None = None
    """Of the clock; None: as long as it takes."""


@dataclass(frozen=True)
class SourceResult:
    """What the source's piece gives back."""

    lines: tuple[Line, ...]
    """None where nothing had to be trained."""
    examples: int
    """Training examples seen."""
    diverged: bool


NOTHING_TRAINED = SourceResult((), 0, diverged=False)


def pretrain(item: SourceRun) -> SourceResult:
    """Piece: make the base, a model of that name, of the source and write it.

    It takes encoded examples, `(d,)` or `(h, w, c)` float32 as the encoder of the item's
    development set gives them, and gives features `(d,)`, of `tabm` `(members, d)`. Of a source
    task it is the network of the item's spec, trained, without its last layer and without what
    changes pictures or rows in training. Raises InputError as `check` does, and where an earlier
    run's columns were encoded otherwise.
    """
    data = training.encoded(item.development)
    to = Path(item.model)
    if isinstance(item.source, Application):
        from models.transfer import applications

        applications.write(item.source, item.given, data, to)
        return NOTHING_TRAINED
    if isinstance(item.source, Earlier):
        from models.transfer import source_earlier

        path = source_files.found(item.given, item.source.model)
        source_earlier.write(path, data.statistics, data.schema, to)
        return NOTHING_TRAINED
    return _train(item, item.source, data, to)


def _train(
    item: SourceRun, source: SelfMade | OtherData, data: training.Encoded, to: Path
) -> SourceResult:
    from models import archive
    from models.fitting import fit
    from models.networks import network
    from models.transfer import source_base
    from models.transfer.bases import BASE

    task = _task(item, source, data)
    determinism.start(item.seed)
    built = network.build(data.shape, task.outputs, _spec(item), item.seed, data.layout, task.kind)
    fitted = fit.fit(
        built,
        task.train,
        task.validation,
        item.settings,
        item.seed,
        name=item.name,
        criterion=task.criterion,
        minutes=item.minutes,
    )
    archive.save(source_base.cut(built, BASE), to)
    [lines] = curves.lines([("source", fitted.epochs)], item.seed)
    return SourceResult(lines, len(lines) * len(task.train[0]), fitted.diverged)


def _task(item: SourceRun, source: SelfMade | OtherData, data: training.Encoded) -> SourceTask:
    if isinstance(source, OtherData):
        path = source_files.found(item.given, source.data)
        return source_data.task(data, item.development, path, source.target, item.seed)
    if source == "fonts":
        return source_digits.task(data, item.pictures, item.seed)
    if source == "rotated":
        return source_pictures.rotated(data, item.pictures, item.seed)
    if source == "denoised":
        return source_pictures.denoised(data, item.pictures, item.seed)
    return source_tables.masked(data, item.development, item.swap, item.seed)


def _spec(item: SourceRun) -> NetworkSpec:
    """The network, without such changes as the source task itself is about."""
    if item.source == "rotated":
        return source_pictures.upright(item.spec)
    return source_pictures.still(item.spec) if item.source == "denoised" else item.spec
