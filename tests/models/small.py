"""Small development sets, and predecessors of a stage, for the tests of what is trained."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from models.candidate import Record, Trained
from models.examples import PICTURE, Column, Development, Examples, Schema
from models.settings import FitSettings, NetworkSpec

SPEC = NetworkSpec.plain(4, 1)
SETTINGS = FitSettings(learning_rate=0.01, batch_size=32, epochs=2, patience=None)


def schema(*columns: str, kind: str = "table") -> Schema:
    """Columns named in capitals are categorical."""
    typed = tuple(
        Column(name=name, type="categorical" if name.isupper() else "numeric") for name in columns
    )
    shape = (8, 8, 1) if kind == "pictures" else ()
    return Schema.model_validate(
        {
            "kind": kind,
            "task": "classification",
            "target": "label",
            "columns": typed,
            "shape": shape,
        }
    )


def examples(labels, **features) -> Examples:
    """Lists of numbers become float32, lists of text objects."""
    arrays = {
        name: np.array(values, dtype=object if isinstance(values[0], str) else np.float32)
        for name, values in features.items()
    }
    return Examples(arrays, np.array(labels, dtype=object), np.arange(len(labels)))


def pictures(folder: Path, count: int = 160) -> Development:
    """The first of scikit-learn's digits, a quarter of them for validation."""
    digits = load_digits()
    every = Examples(
        {PICTURE: digits.images[:count, ..., None].astype(np.float32)},
        digits.target[:count].astype(str).astype(object),
        np.arange(count),
    )
    development = Development(folder)
    part = count * 3 // 4
    development.write(
        every.take(np.arange(part)),
        every.take(np.arange(part, count)),
        schema(kind="pictures"),
    )
    return development


def rows(count: int, seed: int) -> Examples:
    """A table whose label follows from a number and a category; one number in ten is missing."""
    generator = np.random.default_rng(seed)
    number = generator.normal(size=count).astype(np.float32)
    colour = generator.choice(["red", "green", ""], count)
    label = np.where(number + (colour == "red") > 0.3, "yes", "no")
    number[generator.random(count) < 0.1] = np.nan
    return Examples(
        {"number": number, "COLOUR": colour.astype(object)},
        label.astype(object),
        np.arange(count),
    )


def table(folder: Path) -> Development:
    """120 and 40 rows of the table above."""
    development = Development(folder)
    development.write(rows(120, 1), rows(40, 2), schema("number", "COLOUR"))
    return development


def record(stage: str, *, enabled: bool = True, spec: NetworkSpec = SPEC) -> Record:
    """A record as a stage leaves it."""
    return Record(
        stage=stage,
        enabled=enabled,
        summary="for a test",
        settings=spec.model_dump() | SETTINGS.model_dump() if enabled else {},
        seeds=(1,) if enabled else (),
        saved_seed=1 if enabled else None,
        parameters=1,
        multiply_adds=1,
        fits=1,
        epochs=1,
        examples=1,
    )


def predecessor(
    folder: Path, stage: str, *, enabled: bool = True, spec: NetworkSpec = SPEC
) -> Trained:
    """A stage's folder with nothing in it but its record."""
    trained = Trained(folder / stage)
    trained.write_record(record(stage, enabled=enabled, spec=spec))
    return trained


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
