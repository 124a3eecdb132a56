"""Examples: rows of a table or pictures, with their targets, and the parts of a split.

What the pipeline keeps between `ingest`, `split` and the stages that train: raw values, as the
saved models take them. All of it is Parquet, written and read a block of rows at a time where it
would be too much at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataset import folding
from dataset.folding import Places
from dataset.target import Target, Task, Transform, learn
from pipeline.artifacts import Folder, Json, replacing

Kind = Literal["table", "pictures"]
PICTURE = "picture"
"""Name of the one feature that pictures have."""
GIVEN = "given part"
"""Name of the column set aside that says in which part an example came: train, validation, test."""


class Column(BaseModel):
    """One feature of a table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Literal["numeric", "categorical", "text", "time"]


class Schema(BaseModel):
    """What one example looks like. Holds no statistic of the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    task: Task
    targets: tuple[str, ...]
    """The target columns; one for classification."""
    columns: tuple[Column, ...]
    """The features of a table in order; empty for pictures."""
    shape: tuple[int, ...]
    """Height, width and channels of a picture; empty for a table."""

    def names(self) -> list[str]:
        """The features' names, in the order the models take them."""
        return [PICTURE] if self.kind == "pictures" else [column.name for column in self.columns]


Weights = npt.NDArray[np.float32] | None
"""`(n,)`, how much each example counts; None: all alike."""
Units = npt.NDArray[np.uint64] | None
"""`(n,)`, equal for examples of one group, such as a patient; None: they come in none."""
Scaling = Literal["standard", "quantile"]
"""How networks see a table's numbers: standardised, or as the normal scores of their ranks."""
Known = Literal["train", "validation"]
"""The parts of a development set."""


@dataclass(frozen=True)
class Examples:
    """n examples in memory.

    features: by name. For a table `(n,)`: float32 with NaN where a number is missing; str (object
    dtype) with "" where a category or text is missing; float64 days since 1970-01-01 with NaN
    where a time is missing. For pictures `PICTURE`: `(n, h, w, c)` uint8 or float32.
    targets: for classification `(n,)` str (object dtype), for multilabel `(n, k)` float32 of 0 and
    1, for regression `(n, k)` float32. rows: `(n,)` int64, the place in the raw data.
    weights: `(n,)` float32, how much each example counts; None: all alike.
    """

    features: dict[str, npt.NDArray[np.generic]]
    targets: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    weights: Weights = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: npt.NDArray[np.int64]) -> "Examples":
        """The examples at `indices` `(m,)`, in that order."""
        return Examples(
            {name: values[indices] for name, values in self.features.items()},
            self.targets[indices],
            self.rows[indices],
            None if self.weights is None else self.weights[indices],
        )


def joined(blocks: Sequence["Examples"]) -> "Examples":
    """All examples of one or more blocks."""
    first = blocks[0]
    weights = [block.weights for block in blocks if block.weights is not None]
    return Examples(
        {
            name: np.concatenate([block.features[name] for block in blocks])
            for name in first.features
        },
        np.concatenate([block.targets for block in blocks]),
        np.concatenate([block.rows for block in blocks]),
        np.concatenate(weights) if weights else None,
    )


Texts = dict[str, npt.NDArray[np.generic]]
"""Columns that are not features, by name: `(n,)` str, "" where a cell is missing."""
BLOCK_ROWS = 1 << 17
"""Rows that are written, read and handled at once, at the most."""
BLOCK_BYTES = 1 << 26
"""Bytes of pictures that are written, read and handled at once, at the most (64 MiB)."""
_ARROW = {"numeric": "float32", "categorical": "string", "text": "string", "time": "float64"}
"""How each type of column is stored."""


def block_rows(schema: Schema) -> int:
    """How many examples are handled at once."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(1, prod(schema.shape) * 4)))


class Writer:
    """Writes examples to a Parquet file, as many at a time as one likes.

    A picture is a cell of bytes. Columns set aside lie beside the features, so that a block of rows
    is whole. Blocks of `block_rows` are compressed each by itself: a reader never needs them all.
    """

    def __init__(self, schema: Schema, path: Path) -> None:
        self._schema = schema
        self._types = {column.name: _ARROW[column.type] for column in schema.columns}
        self._path = path
        self._writer: Any = None

    def append(self, examples: Examples, aside: Texts | None = None) -> None:
        """Write examples behind the others; the same columns are set aside every time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(self._columns(examples, aside or {}))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table, row_group_size=block_rows(self._schema))

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()

    def _columns(self, examples: Examples, aside: Texts) -> dict[str, Any]:
        import pyarrow as pa

        columns = {
            f"feature.{name}": pa.array(values, type=self._types[name], from_pandas=False)
            if name in self._types
            else _pictures(values)
            for name, values in examples.features.items()
        }
        if self._schema.task == "classification":
            columns["target"] = pa.array(examples.targets, type=pa.string())
        else:
            columns |= {
                f"target.{target}": pa.array(examples.targets[:, place], type=pa.float32())
                for place, target in enumerate(self._schema.targets)
            }
        columns["row"] = pa.array(examples.rows, type=pa.int64())
        if examples.weights is not None:
            columns["weight"] = pa.array(examples.weights, type=pa.float32())
        return columns | {
            f"aside.{name}": pa.array(values, type=pa.string()) for name, values in aside.items()
        }


@contextmanager
def writing(schema: Schema, path: Path) -> Iterator[Writer]:
    """A writer of `path`, which is put in place in one step if the block succeeds."""
    with replacing(path) as temporary:
        writer = Writer(schema, temporary)
        try:
            yield writer
        finally:
            writer.close()


def read_blocks(schema: Schema, path: Path) -> Iterator[tuple[Examples, Texts]]:
    """The examples and the columns set aside, a block at a time, in their order."""
    import pyarrow.parquet as pq

    size = block_rows(schema)
    with pq.ParquetFile(path) as file:
        # Group by group: `iter_batches` reads ahead, to the end of the file if it can.
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for start in range(0, table.num_rows, size):
                block = table.slice(start, size)
                yield _examples(schema, block), _aside(block)


def read_examples(schema: Schema, path: Path) -> Examples:
    """All examples at once."""
    import pyarrow.parquet as pq

    return _examples(schema, pq.read_table(path))


def read_targets(schema: Schema, path: Path) -> tuple[npt.NDArray[Any], Weights]:
    """What `Examples` has as targets and weights, without reading the features."""
    import pyarrow.parquet as pq

    names = [name for name in pq.read_schema(path).names if name.split(".")[0] in _TOLD]
    # As a dictionary a class is one text, however many examples have it.
    table = pq.read_table(path, columns=names, read_dictionary=["target"])
    return _targets(schema, table), _weights(table)


_TOLD = ("target", "weight")
UNIT = "unit"
"""Name of the column set aside that says which examples belong together."""


def as_texts(units: npt.NDArray[np.uint64]) -> Texts:
    """What `Writer.append` sets aside, from `(n,)` hashes that are equal for what belongs
    together."""
    return {UNIT: np.array([f"{unit:016x}" for unit in units.tolist()])}


def read_units(path: Path) -> Units:
    """`(n,)` hashes that are equal for what belongs together; None where none were set aside."""
    import pyarrow.parquet as pq

    name = f"aside.{UNIT}"
    if name not in pq.read_schema(path).names:
        return None
    return _units(_column(pq.read_table(path, columns=[name]), name))


def _units(texts: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    return np.array([int(str(unit), 16) for unit in texts.tolist()], dtype=np.uint64)


def _pictures(pictures: npt.NDArray[Any]) -> Any:
    """`(n, h, w, c)` as an Arrow array of n cells of bytes, without copying."""
    import pyarrow as pa

    whole = np.ascontiguousarray(pictures)
    size = int(np.prod(whole.shape[1:])) * whole.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(size), len(whole), [None, pa.py_buffer(whole)]
    )


def _examples(schema: Schema, table: Any) -> Examples:
    if schema.kind == "pictures":
        features = {PICTURE: _picture_array(table[f"feature.{PICTURE}"], schema.shape)}
    else:
        features = {
            column.name: _column(table, f"feature.{column.name}") for column in schema.columns
        }
    return Examples(
        features, _targets(schema, table), _column(table, "row").astype(np.int64), _weights(table)
    )


def _picture_array(cells: Any, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    whole = cells.combine_chunks() if hasattr(cells, "combine_chunks") else cells
    if hasattr(whole, "chunks"):
        whole = whole.chunk(0)
    kind = np.uint8 if whole.type.byte_width == prod(shape) else np.float32
    size = whole.type.byte_width
    raw = np.frombuffer(whole.buffers()[1], dtype=np.uint8)
    own = raw[whole.offset * size : (whole.offset + len(whole)) * size]
    return own.view(kind).reshape(-1, *shape)


def _targets(schema: Schema, table: Any) -> npt.NDArray[Any]:
    if schema.task == "classification":
        # Coded first, so that a class is one text however many examples have it.
        told: npt.NDArray[Any] = _coded(table["target"]).to_numpy(zero_copy_only=False)
        return told.astype(object)
    return np.stack([_column(table, f"target.{name}") for name in schema.targets], axis=1)


def _coded(values: Any) -> Any:
    import pyarrow as pa

    return values if pa.types.is_dictionary(values.type) else values.dictionary_encode()


def _weights(table: Any) -> Weights:
    return _column(table, "weight") if "weight" in table.schema.names else None


def _aside(table: Any) -> Texts:
    names = [name for name in table.schema.names if name.startswith("aside.")]
    return {name.removeprefix("aside."): _column(table, name).astype(object) for name in names}


def _column(table: Any, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[name].to_numpy(zero_copy_only=False)
    return values


class Table(Folder):
    """All examples as `ingest` read and typed them: schema.json and examples.parquet.

    Columns that no model sees are set aside in it, by which `split` may part the examples.
    """

    def write(self, examples: Examples, schema: Schema, aside: Texts | None = None) -> None:
        """Write the examples with their schema and the columns set aside."""
        with self.writing(schema) as writer:
            writer.append(examples, aside)

    @contextmanager
    def writing(self, schema: Schema) -> Iterator[Writer]:
        """A writer for examples that come a block at a time."""
        self.make()
        with writing(schema, self.path / "examples.parquet") as writer:
            yield writer
        _write_schema(schema, self.path)

    def read(self) -> tuple[Examples, Schema]:
        """The examples and their schema."""
        schema = self.schema()
        return read_examples(schema, self.path / "examples.parquet"), schema

    def schema(self) -> Schema:
        """What one example looks like."""
        return _read_schema(self.path)

    def blocks(self) -> Iterator[tuple[Examples, Texts]]:
        """The examples and the columns set aside, a block at a time."""
        return read_blocks(self.schema(), self.path / "examples.parquet")

    def count(self) -> int:
        """How many examples there are."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.path / "examples.parquet").num_rows)

    def take(self, places: npt.NDArray[np.int64]) -> Examples:
        """The examples at some places, rising; no more than a block of the others is held."""
        taken, begin = [], 0
        for examples, _ in self.blocks():
            ends = np.searchsorted(places, [begin, begin + len(examples)])
            taken.append(examples.take(places[slice(*ends)] - begin))
            begin += len(examples)
        return joined(taken)

    def aside(self) -> Texts:
        """The columns that are not features."""
        import pyarrow.parquet as pq

        path = self.path / "examples.parquet"
        names = [name for name in pq.read_schema(path).names if name.startswith("aside.")]
        return _aside(pq.read_table(path, columns=names))


class Development(Folder):
    """What models are made and chosen with: train, validation, and what train says of the target.

    Files: schema.json, target.json, scaling.json, train.parquet and validation.parquet, and
    folds.parquet where folds are wished.
    """

    def write(
        self,
        train: Examples,
        validation: Examples,
        schema: Schema,
        transform: Transform,
        *,
        balanced: bool = False,
        scaling: Scaling = "standard",
    ) -> None:
        """Write both parts; what the target looks like is learned from the training examples, see
        `dataset.target.learn`."""
        with self.writing(schema) as (train_writer, validation_writer):
            train_writer.append(train)
            validation_writer.append(validation)
        self.learn(transform, scaling, balanced=balanced)

    @contextmanager
    def writing(self, schema: Schema) -> Iterator[tuple[Writer, Writer]]:
        """Writers of train and validation, for examples that come a block at a time; `learn` is to
        follow."""
        _write_schema(schema, self.make())
        with (
            writing(schema, self._file("train")) as train,
            writing(schema, self._file("validation")) as validation,
        ):
            yield train, validation

    def learn(self, transform: Transform, scaling: Scaling, *, balanced: bool) -> None:
        """Write target.json, what the training examples say of the target, and scaling.json, how
        networks are to see numbers."""
        schema = self.schema()
        targets, _ = read_targets(schema, self._file("train"))
        target = learn(schema.task, schema.targets, targets, transform, balanced=balanced)
        Json(self.path / "target.json").write(target.model_dump(mode="json"))
        Json(self.path / "scaling.json").write(scaling)

    def scaling(self) -> Scaling:
        """How networks are to see a table's numbers."""
        scaling: Scaling = Json(self.path / "scaling.json").read()
        return scaling

    def train(self) -> Examples:
        """The training examples."""
        return read_examples(self.schema(), self._file("train"))

    def validation(self) -> Examples:
        """The validation examples."""
        return read_examples(self.schema(), self._file("validation"))

    def blocks(self, part: Known) -> Iterator[Examples]:
        """The examples of a part, a block at a time."""
        return (examples for examples, _ in read_blocks(self.schema(), self._file(part)))

    def count(self, part: Known) -> int:
        """How many examples a part has."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self._file(part)).num_rows)

    def truth(self, part: Known) -> tuple[npt.NDArray[Any], Weights]:
        """What the examples of a part say, as `dataset.target` has it, and how much each counts."""
        targets, weights = read_targets(self.schema(), self._file(part))
        return self.target().truth(targets), weights

    def rows(self, part: Known) -> npt.NDArray[np.int64]:
        """`(n,)` which rows of the raw data the examples of a part are; a training row may be
        repeated (`split.balance: resample`)."""
        import pyarrow.parquet as pq

        return _column(pq.read_table(self._file(part), columns=["row"]), "row").astype(np.int64)

    def groups(self, part: Known) -> Units:
        """`(n,)` equal for examples of one group; None where they come in none."""
        return read_units(self._file(part))

    def units(self, part: Known) -> Units:
        """`(n,)` equal for examples of one group, else of one row; None where each is alone."""
        if (groups := self.groups(part)) is not None:
            return groups
        rows = self.rows(part)
        return None if len(np.unique(rows)) == len(rows) else rows.astype(np.uint64)

    def _file(self, part: Known) -> Path:
        return self.path / f"{part}.parquet"

    def folds(self) -> list[tuple[Places, Places]]:
        """For every fold, places to train on and to validate on; empty where none were wished.

        Places in training and validation examples together, in this order. See `dataset.folding`.
        """
        path = self.path / "folds.parquet"
        if not path.exists():
            return []
        rows = np.concatenate([self.rows("train"), self.rows("validation")])
        return folding.read(path, rows)

    def schema(self) -> Schema:
        """What one example looks like."""
        return _read_schema(self.path)

    def target(self) -> Target:
        """What a model's outputs mean, learned from the training examples."""
        return Target.model_validate_json((self.path / "target.json").read_text(encoding="utf-8"))


class Holdout(Folder):
    """The sealed test set: read by `evaluate` alone, once, after the choice is made."""

    def write(self, examples: Examples, schema: Schema) -> None:
        """Write the examples with their schema."""
        with self.writing(schema) as writer:
            writer.append(examples)

    @contextmanager
    def writing(self, schema: Schema) -> Iterator[Writer]:
        """A writer for examples that come a block at a time."""
        _write_schema(schema, self.make())
        with writing(schema, self._file) as writer:
            yield writer

    def read(self) -> Examples:
        """The examples."""
        return read_examples(_read_schema(self.path), self._file)

    def blocks(self) -> Iterator[Examples]:
        """The examples, a block at a time."""
        return (examples for examples, _ in read_blocks(_read_schema(self.path), self._file))

    def units(self) -> Units:
        """`(n,)` equal for examples of one group; None where they come in none."""
        return read_units(self._file)

    @property
    def _file(self) -> Path:
        return self.path / "examples.parquet"


class PromotionWriter:
    """Writes the examples of a promotion part."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def append(self, examples: Examples, units: npt.NDArray[np.uint64]) -> None:
        """Write examples behind the others; `units` `(n,)` are equal for what belongs together."""
        self._writer.append(examples, as_texts(units))


class Promotion(Folder):
    """What a champion and its challengers are compared on: no stage reads it.

    Files: schema.json, and examples.parquet where a promotion part is wished. It is compared on by
    `flows.champion`, outside of the pipeline.
    """

    def write_schema(self, schema: Schema) -> None:
        """Write what one example looks like, whether or not there will be any."""
        _write_schema(schema, self.make())

    @contextmanager
    def writing(self, schema: Schema) -> Iterator[PromotionWriter]:
        """A writer for examples that come a block at a time."""
        with writing(schema, self._file) as writer:
            yield PromotionWriter(writer)

    def schema(self) -> Schema:
        """What one example looks like."""
        return _read_schema(self.path)

    def blocks(self) -> Iterator[tuple[Examples, npt.NDArray[np.uint64]]]:
        """The examples, a block at a time, and for each what it belongs together with; nothing
        where no promotion part is wished."""
        if not self._file.is_file():
            return
        for examples, aside in read_blocks(self.schema(), self._file):
            yield examples, _units(aside[UNIT])

    @property
    def _file(self) -> Path:
        return self.path / "examples.parquet"


def _write_schema(schema: Schema, folder: Path) -> None:
    Json(folder / "schema.json").write(schema.model_dump(mode="json"))


def _read_schema(folder: Path) -> Schema:
    return Schema.model_validate_json((folder / "schema.json").read_text(encoding="utf-8"))
