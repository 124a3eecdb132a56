"""Examples: rows of a table or pictures, with their labels, and the parts of a split.

What the pipeline keeps between `ingest`, `split` and the stages that train: raw values, as the
saved models take them. A table is Parquet, pictures are npz arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipeline.artifacts import Folder, Json, replacing

Kind = Literal["table", "pictures"]
PICTURE = "picture"
"""Name of the one feature that pictures have."""


class Column(BaseModel):
    """One feature of a table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Literal["numeric", "categorical"]


class Schema(BaseModel):
    """What one example looks like. Holds no statistic of the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    task: Literal["classification"]
    target: str
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

    features: by name, for a table `(n,)` float32 with NaN where a number is missing, or `(n,)` str
    (object dtype) with "" where a category is missing; for pictures `PICTURE`: `(n, h, w, c)`
    float32. labels: `(n,)` str (object dtype). rows: `(n,)` int64, the place in the raw data.
    """

    features: dict[str, npt.NDArray[np.generic]]
    labels: npt.NDArray[np.object_]
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: npt.NDArray[np.int64]) -> "Examples":
        """The examples at `indices` `(m,)`, in that order."""
        return Examples(
            {name: values[indices] for name, values in self.features.items()},
            self.labels[indices],
            self.rows[indices],
        )

    def codes(self, classes: Sequence[str]) -> npt.NDArray[np.int32]:
        """Labels as `(n,)` int32 places in `classes`; KeyError for a label that is not there."""
        places = {label: place for place, label in enumerate(classes)}
        return np.array([places[label] for label in self.labels], dtype=np.int32)


def write_examples(examples: Examples, schema: Schema, folder: Path, name: str) -> None:
    """Write `folder/name.parquet` for a table, `folder/name.npz` for pictures."""
    if schema.kind == "pictures":
        with replacing(folder / f"{name}.npz") as temporary:
            np.savez_compressed(
                temporary,
                picture=examples.features[PICTURE],
                label=examples.labels.astype(np.str_),
                row=examples.rows,
            )
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"numeric": pa.float32(), "categorical": pa.string()}
    columns = {
        f"feature.{column.name}": pa.array(
            examples.features[column.name], type=types[column.type], from_pandas=False
        )
        for column in schema.columns
    }
    columns["label"] = pa.array(examples.labels, type=pa.string())
    columns["row"] = pa.array(examples.rows, type=pa.int64())
    with replacing(folder / f"{name}.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def read_examples(schema: Schema, folder: Path, name: str) -> Examples:
    """Read what `write_examples` wrote."""
    if schema.kind == "pictures":
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            return Examples(
                {PICTURE: arrays["picture"]},
                arrays["label"].astype(object),
                arrays["row"],
            )
    import pyarrow.parquet as pq

    table = pq.read_table(folder / f"{name}.parquet")

    def column(name: str) -> npt.NDArray[np.generic]:
        values: npt.NDArray[np.generic] = table[name].to_numpy()
        return values

    return Examples(
        {feature.name: column(f"feature.{feature.name}") for feature in schema.columns},
        column("label").astype(object),
        column("row").astype(np.int64),
    )


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
    """What models are made and chosen with: train, validation, and the classes seen in train."""

    def write(self, train: Examples, validation: Examples, schema: Schema) -> None:
        """Write both parts; the classes are the sorted labels of the training rows."""
        _write_schema(schema, self.make())
        Json(self.path / "classes.json").write(sorted(set(train.labels.tolist())))
        write_examples(train, schema, self.path, "train")
        write_examples(validation, schema, self.path, "validation")

    def train(self) -> Examples:
        """The training examples."""
        return read_examples(self.schema(), self.path, "train")

    def validation(self) -> Examples:
        """The validation examples."""
        return read_examples(self.schema(), self.path, "validation")

    def schema(self) -> Schema:
        """What one example looks like."""
        return _read_schema(self.path)

    def classes(self) -> list[str]:
        """Class names in the order of the models' outputs."""
        names: list[str] = Json(self.path / "classes.json").read()
        return names


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
