"""Examples: rows of a table or pictures, with their targets, and the parts of a split.

What the pipeline keeps between `ingest`, `split` and the stages that train: raw values, as the
saved models take them. A table is Parquet, pictures are npz arrays.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.target import Target, Task, Transform, learn
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
    weights: npt.NDArray[np.float32] | None = None

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


_ARROW = {"numeric": "float32", "categorical": "string", "text": "string", "time": "float64"}
"""How each type of column is stored."""


def write_examples(examples: Examples, schema: Schema, folder: Path, name: str) -> None:
    """Write `folder/name.parquet` for a table, `folder/name.npz` for pictures."""
    if schema.kind == "pictures":
        _write_pictures(examples, folder / f"{name}.npz")
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        f"feature.{column.name}": pa.array(
            examples.features[column.name], type=_ARROW[column.type], from_pandas=False
        )
        for column in schema.columns
    }
    if schema.task == "classification":
        columns["target"] = pa.array(examples.targets, type=pa.string())
    else:
        columns |= {
            f"target.{target}": pa.array(examples.targets[:, place], type=pa.float32())
            for place, target in enumerate(schema.targets)
        }
    columns["row"] = pa.array(examples.rows, type=pa.int64())
    if examples.weights is not None:
        columns["weight"] = pa.array(examples.weights, type=pa.float32())
    with replacing(folder / f"{name}.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def _write_pictures(examples: Examples, path: Path) -> None:
    arrays = {"picture": examples.features[PICTURE], "row": examples.rows}
    texts = examples.targets.dtype.kind == "O"
    arrays["target"] = examples.targets.astype(np.str_) if texts else examples.targets
    if examples.weights is not None:
        arrays["weight"] = examples.weights
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def read_examples(schema: Schema, folder: Path, name: str) -> Examples:
    """Read what `write_examples` wrote."""
    if schema.kind == "pictures":
        return _read_pictures(folder / f"{name}.npz")
    import pyarrow.parquet as pq

    table = pq.read_table(folder / f"{name}.parquet")

    def column(name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = table[name].to_numpy()
        return values

    if schema.task == "classification":
        targets = column("target").astype(object)
    else:
        targets = np.stack([column(f"target.{name}") for name in schema.targets], axis=1)
    return Examples(
        {feature.name: column(f"feature.{feature.name}") for feature in schema.columns},
        targets,
        column("row").astype(np.int64),
        column("weight") if "weight" in table.column_names else None,
    )


def _read_pictures(path: Path) -> Examples:
    with np.load(path, allow_pickle=False) as arrays:
        targets = arrays["target"]
        return Examples(
            {PICTURE: arrays["picture"]},
            targets.astype(object) if targets.dtype.kind == "U" else targets,
            arrays["row"],
            arrays["weight"] if "weight" in arrays.files else None,
        )


Places = npt.NDArray[np.int64]
"""Which examples, `(m,)`."""
Texts = dict[str, npt.NDArray[np.generic]]
"""Columns that are not features, by name: `(n,)` str, "" where a cell is missing."""


class Table(Folder):
    """All examples as `ingest` read and typed them: schema.json, and examples.parquet or .npz.

    Beside them aside.parquet: columns that no model sees, by which `split` may part the examples.
    """

    def write(self, examples: Examples, schema: Schema, aside: Texts | None = None) -> None:
        """Write the examples with their schema and the columns set aside."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        _write_schema(schema, self.make())
        write_examples(examples, schema, self.path, "examples")
        texts = {name: pa.array(values, type=pa.string()) for name, values in (aside or {}).items()}
        with replacing(self.path / "aside.parquet") as temporary:
            pq.write_table(pa.table(texts), temporary, compression="zstd")

    def aside(self) -> Texts:
        """The columns that are not features."""
        import pyarrow.parquet as pq

        table = pq.read_table(self.path / "aside.parquet")
        return {name: table[name].to_numpy().astype(object) for name in table.column_names}

    def read(self) -> tuple[Examples, Schema]:
        """The examples and their schema."""
        schema = _read_schema(self.path)
        return read_examples(schema, self.path, "examples"), schema


class Development(Folder):
    """What models are made and chosen with: train, validation, and what train says of the target.

    Files: schema.json, target.json, train and validation as `write_examples` writes them, and
    folds.parquet where folds are wished.
    """

    def write(
        self, train: Examples, validation: Examples, schema: Schema, transform: Transform
    ) -> None:
        """Write both parts; what the target looks like is learned from the training examples."""
        _write_schema(schema, self.make())
        target = learn(schema.task, schema.targets, train.targets, transform)
        Json(self.path / "target.json").write(target.model_dump(mode="json"))
        write_examples(train, schema, self.path, "train")
        write_examples(validation, schema, self.path, "validation")

    def train(self) -> Examples:
        """The training examples."""
        return read_examples(self.schema(), self.path, "train")

    def validation(self) -> Examples:
        """The validation examples."""
        return read_examples(self.schema(), self.path, "validation")

    def folds(self) -> list[tuple[Places, Places]]:
        """For every fold, places to train on and to validate on; empty where none were wished.

        Places in training and validation examples together, in this order. See `models.folds`.
        """
        from models import folds

        path = self.path / "folds.parquet"
        if not path.exists():
            return []
        rows = np.concatenate([self.train().rows, self.validation().rows])
        return folds.read(path, rows)

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
        _write_schema(schema, self.make())
        write_examples(examples, schema, self.path, "examples")

    def read(self) -> Examples:
        """The examples."""
        return read_examples(_read_schema(self.path), self.path, "examples")


def _write_schema(schema: Schema, folder: Path) -> None:
    Json(folder / "schema.json").write(schema.model_dump(mode="json"))


def _read_schema(folder: Path) -> Schema:
    return Schema.model_validate_json((folder / "schema.json").read_text(encoding="utf-8"))
