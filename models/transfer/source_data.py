"""Another data set as a source: its examples, encoded as the target's are, with labels of its own.

It may hold rows that the target has too. Those of the target's validation part are left out, since
a network that has seen them would be judged by what it knows by heart; of its holdout nothing is
known here, so whoever brings data that hold it brings a leak.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import PICTURE, Development, Examples, Schema
from dataset.partition import content_keys
from dataset.tables.cells import Cells, Missing, Origin, read_cells
from dataset.target import Task, learn
from models.fitting import sample
from models.fitting.rows import IN_MEMORY_BYTES
from models.training import Encoded
from models.transfer.source_task import SourceTask
from models.transfer.source_units import alike
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from dataset.pictures.labelled import PictureSettings

ARRAYS = ".npz"
NOTHING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""Cells that hold nothing. What they are in the target's own table says nothing of another."""
UNSEEN = 0.2
"""Share of the examples that validates, where the data do not say which."""
JUDGED = 10_000
"""Pictures by which units are told apart, at the most."""
FEWEST = 10
"""Examples that there must be to train on."""


@dataclass(frozen=True)
class Other:
    """Another data set: the target's features, and its own targets."""

    where: Path
    examples: Examples
    task: Task
    names: tuple[str, ...]
    """Of the targets, see `dataset.examples.Schema`."""
    parts: npt.NDArray[Any] | None
    """`(n,)` train, validation or test, where the data say so."""

    def take(self, places: npt.NDArray[np.int64]) -> "Other":
        """The examples at rising places."""
        if len(places) == len(self.examples):
            return self
        parts = None if self.parts is None else self.parts[places]
        return replace(self, examples=self.examples.take(places), parts=parts)


def check(path: Path, column: str | None, schema: Schema) -> None:
    """Raise InputError where the data cannot be read as a source for the schema's.

    A folder of pictures is not decoded for it.
    """
    if schema.kind == "pictures" and path.is_dir():
        from dataset.pictures.folders import list_folder

        _require_no_column(path, column)
        list_folder(path)
    else:
        read(path, column, schema)


def read(path: Path, column: str | None, schema: Schema) -> Other:
    """The data set at `path` with the features of `schema` and the target `column`.

    Pictures: a folder with a folder for each class, or an `.npz` file, brought to the schema's size
    and channels; there is no column. Tables: every feature of the schema must be a column and hold
    what it says; others are passed over. `column` holds classes if the schema's task is
    classification or if it holds texts, else quantities; None: the schema's own targets. Raises
    InputError.
    """
    return _pictures(path, column, schema) if schema.shape else _table(path, column, schema)


def task(data: Encoded, development: str, path: Path, column: str | None, seed: int) -> SourceTask:
    """To learn the other data's targets; as many examples as there is room for in memory.

    Pictures of other units are standardised by themselves, everything else by the statistics of the
    target's training examples, as all that the base will be given.
    """
    from models.fitting import criterion
    from models.networks import encode

    whole = _unknown(read(path, column, data.schema), Development(Path(development)))
    most = max(1, IN_MEMORY_BYTES // (4 * int(np.prod(data.shape))))
    other = whole.take(sample.spread(len(whole.examples), most, seed))
    train, validation = parted(other, seed)
    told = other.examples.targets
    target = learn(other.task, other.names, told[train], "none", balanced=False)
    encoder = data.encoder()
    inputs = [encode.run(encoder, other.examples.take(part)) for part in (train, validation)]
    if data.schema.shape:
        inputs = _in_units(inputs, other.where, seed)
    codes = [target.encode(target.truth(told[part])) for part in (train, validation)]
    return SourceTask(
        (inputs[0], codes[0]),
        (inputs[1], codes[1]),
        target.outputs,
        criterion.of(target),
        target.task,
    )


def _unknown(other: Other, development: Development) -> Other:
    """Without copies of the target's validation examples."""
    held = [content_keys(block) for block in development.blocks("validation")]
    keys = content_keys(other.examples)
    return other.take(np.flatnonzero(~np.isin(keys, np.concatenate(held))))


def parted(other: Other, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places to train on and to validate on, rising; classes have their share of both.

    By the data's own parts where they have some. Raises InputError where too few are left.
    """
    train, validation = _given(other) or _drawn(other, seed)
    if other.task == "classification":
        # What was never shown cannot be told.
        shown = set(other.examples.targets[train].tolist())
        validation = np.array(
            [place for place in validation if other.examples.targets[place] in shown], np.int64
        )
    if len(train) < FEWEST or not len(validation):
        raise InputError(
            f"{other.where}: {len(train):,} examples are left to train on and {len(validation):,} "
            f"to validate on; without copies of validation examples there must be at least "
            f"{FEWEST} and 1.\nBring more data, or transfer from something else."
        )
    return train, validation


def _given(other: Other) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """By the data's own parts: what is called validation, else test, validates."""
    if other.parts is None:
        return None
    places = {part: np.flatnonzero(other.parts == part) for part in ("train", "validation", "test")}
    held = places["validation"] if len(places["validation"]) else places["test"]
    return (places["train"], held) if len(places["train"]) and len(held) else None


def _drawn(other: Other, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    held = np.zeros(len(other.examples), dtype=bool)
    for places in _classes(other):
        held[generator.permutation(places)[: round(UNSEEN * len(places))]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _classes(other: Other) -> list[npt.NDArray[np.int64]]:
    """The places of each class, by its name; of what are no classes all together."""
    if other.task != "classification":
        return [np.arange(len(other.examples))]
    labels = other.examples.targets
    return [np.flatnonzero(labels == name) for name in sorted(set(labels.tolist()))]


def _in_units(
    inputs: list[npt.NDArray[np.float32]], where: Path, seed: int
) -> list[npt.NDArray[np.float32]]:
    """Pictures standardised by themselves, where they are not of the target's units."""
    train = inputs[0]
    judged = sample.taken(train, sample.spread(len(train), JUDGED, seed))
    mean, scale = float(judged.mean(dtype=np.float64)), float(judged.std(dtype=np.float64))
    if not scale > 1e-6 * max(abs(mean), 1e-6):
        raise InputError(f"{where}: all points of its pictures are alike: nothing to learn.")
    if alike(scale, 1.0):
        return inputs
    return [(part - np.float32(mean)) / np.float32(scale) for part in inputs]


def _pictures(path: Path, column: str | None, schema: Schema) -> Other:
    from dataset.pictures.files import read_pictures

    _require_no_column(path, column)
    if not path.is_dir() and path.suffix.lower() != ARRAYS:
        raise InputError(
            f"{path}: pictures to learn from first are a folder with a folder for each class, or "
            f"an {ARRAYS} file with pictures and labels."
        )
    held = read_pictures(path, _settings(schema))
    rows = np.arange(len(held.labels), dtype=np.int64)
    examples = Examples({PICTURE: held.pictures}, held.labels, rows)
    return Other(path, examples, "classification", ("label",), held.parts)


def _require_no_column(path: Path, column: str | None) -> None:
    if column is not None:
        raise InputError(
            f"{path}: the labels of pictures are their folders' names, or an array; {column!r} "
            "names a column. Set target to null in that source of finetune."
        )


def _settings(schema: Schema) -> "PictureSettings":
    from dataset.pictures.labelled import PictureSettings

    height, width, channels = schema.shape
    return PictureSettings((height, width), channels, None, None, None, ())


@dataclass(frozen=True)
class _Frame:
    """Rows of a table, all of them or some that are spread evenly."""

    frame: "pd.DataFrame"
    rows: npt.NDArray[np.int64]
    """Where they stand in the table."""
    parts: npt.NDArray[Any] | None
    origin: Origin

    def cells(self, name: str) -> Cells:
        """Of a column."""
        return replace(read_cells(self.frame[name], Missing(NOTHING, {})), rows=self.rows)


def _frame(path: Path) -> _Frame:
    from dataset.tables.read import read_raw_table
    from dataset.tables.stream import open_stream

    stream = open_stream(path)
    if stream is not None:
        rows, frame = stream.sample()
        return _Frame(frame, rows, stream.parts(rows) if stream.given else None, stream.origin)
    raw = read_raw_table(path)
    return _Frame(raw.frame, np.arange(len(raw.frame)), raw.given, raw.origin)


def _table(path: Path, column: str | None, schema: Schema) -> Other:
    from dataset.tables.read import require_columns
    from dataset.tables.targets import known, read_targets
    from dataset.tables.types import arrays

    held = _frame(path)
    features = [one.name for one in schema.columns]
    wanted = schema.targets if column is None else (column,)
    require_columns(held.frame, features, "feature column", held.origin)
    require_columns(held.frame, wanted, "target column", held.origin)
    if column in features:
        raise InputError(
            f"{path}: {column!r} is one of the features, so that the answer would be part of the "
            "question. Name another column as target of that source of finetune."
        )
    targets = [held.cells(name) for name in wanted]
    rows = np.flatnonzero(known(targets))
    if not len(rows):
        raise InputError(f"{path}: no row has its target, {', '.join(map(repr, wanted))}.")
    targets = [cells.take(rows) for cells in targets]
    kind = _kind(targets, column, schema)
    told = read_targets(targets, kind, held.origin)
    values = arrays([held.cells(name).take(rows) for name in features], schema.columns, held.origin)
    parts = None if held.parts is None else held.parts[rows]
    return Other(path, Examples(values, told.values, held.rows[rows]), kind, told.names, parts)


def _kind(targets: Sequence[Cells], column: str | None, schema: Schema) -> Task:
    from dataset.tables.types import types_of

    if column is None:
        return schema.task
    numeric = types_of(targets, {})[0].type == "numeric"
    return "regression" if numeric and schema.task != "classification" else "classification"
