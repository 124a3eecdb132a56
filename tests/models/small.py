"""Small development sets, and predecessors of a stage, for the tests of what is trained."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from dataset.examples import PICTURE, Column, Development, Examples, Schema
from models.budget import Budget
from models.candidate import Record, Trained
from models.settings import FitSettings, NetworkSpec, Recipe
from pipeline.params_file import read_raw
from tests.conftest import ROOT

RECIPE = Recipe.of(read_raw(ROOT / "params.yaml")["recipe"]).changed(
    {
        "width": 4,
        "depth": 1,
        "embedding": 4,
        "learning_rate": 0.01,
        "batch_size": 32,
        "epochs": 2,
    }
)
"""The project's own, made small."""
SPEC, SETTINGS = RECIPE.network, RECIPE.fit
FREE = Budget(epochs=None, minutes=None)
"""No bound."""


def spec(**changes: Any) -> NetworkSpec:
    """The small network, changed."""
    return RECIPE.changed(changes).network


def settings(**changes: Any) -> FitSettings:
    """The small training, changed."""
    return RECIPE.changed(changes).fit


def schema(*columns: str, kind="table", task="classification", targets=("label",)) -> Schema:
    """Columns named in capitals are categorical, those named text… and time… what they say."""
    typed = tuple(Column(name=name, type=_type(name)) for name in columns)
    shape = (8, 8, 1) if kind == "pictures" else ()
    return Schema(kind=kind, task=task, targets=targets, columns=typed, shape=shape)


def _type(name: str):
    for kind in ("text", "time"):
        if name.startswith(kind):
            return kind
    return "categorical" if name.isupper() else "numeric"


def examples(labels, **features) -> Examples:
    """Lists of numbers become float32, of times float64, of text objects."""
    kinds = {"numeric": np.float32, "time": np.float64}
    arrays = {
        name: np.array(values, dtype=kinds.get(_type(name), object))
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
        "none",
    )
    return development


def coloured(folder: Path) -> Development:
    """Four blank pictures in colour."""
    development = Development(folder)
    blank = Examples(
        {PICTURE: np.zeros((4, 8, 8, 3), dtype=np.uint8)},
        np.array(["a", "b"] * 2, dtype=object),
        np.arange(4),
    )
    looks = schema(kind="pictures").model_copy(update={"shape": (8, 8, 3)})
    development.write(blank, blank, looks, "none")
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
    development.write(rows(120, 1), rows(40, 2), schema("number", "COLOUR"), "none")
    return development


def letters(count: int, seed: int) -> Examples:
    """Texts, times and numbers; the label follows from one word. Some are missing."""
    generator = np.random.default_rng(seed)
    filler = ["the", "a", "of", "and", "to"]
    good = generator.random(count) < 0.5
    texts = [
        " ".join(
            [*generator.choice(filler, generator.integers(1, 9)), "good" if is_good else "bad"]
        )
        for is_good in good
    ]
    time = 19_000 + generator.uniform(0, 800, count)
    time[generator.random(count) < 0.1] = np.nan
    return Examples(
        {
            "text": np.array(texts, dtype=object),
            "time": time,
            "number": generator.normal(size=count).astype(np.float32),
            "text b": generator.choice(["", "a b c!", "d"], count).astype(object),
        },
        np.where(good, "yes", "no").astype(object),
        np.arange(count),
    )


def texts(folder: Path) -> Development:
    """160 and 60 of the rows above."""
    development = Development(folder)
    columns = schema("text", "time", "number", "text b")
    development.write(letters(160, 1), letters(60, 2), columns, "none")
    return development


def told(count: int, seed: int, task: str) -> Examples:
    """A table with three targets, of which the last never varies; importance is 1 or 2."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, count)).astype(np.float32)
    if task == "multilabel":
        targets = np.stack([x > 0, x + y > 1, np.zeros(count)], axis=1)
    else:
        targets = np.stack([100 + 5 * x + y, np.exp(y), np.full(count, 7)], axis=1)
    weights = generator.integers(1, 3, count).astype(np.float32)
    return Examples({"x": x, "y": y}, targets.astype(np.float32), np.arange(count), weights=weights)


def several(folder: Path, task: str, transform="none") -> Development:
    """160 and 60 of the rows above; `task` is multilabel or regression."""
    development = Development(folder)
    columns = schema("x", "y", task=task, targets=("one", "two", "three"))
    development.write(told(160, 1, task), told(60, 2, task), columns, transform)
    return development


def record(stage: str, *, enabled: bool = True, **changes: Any) -> Record:
    """A record as a stage leaves it; `changes` to the small recipe."""
    return Record(
        stage=stage,
        enabled=enabled,
        summary="for a test",
        settings=RECIPE.changed(changes).model_dump() if enabled else {},
        seeds=(1,) if enabled else (),
        saved_seed=1 if enabled else None,
        parameters=1,
        multiply_adds=1,
        fits=1,
        epochs=1,
        examples=1,
    )


def predecessor(folder: Path, stage: str, *, enabled: bool = True, **changes: Any) -> Trained:
    """A stage's folder with nothing in it but its record."""
    trained = Trained(folder / stage)
    trained.write_record(record(stage, enabled=enabled, **changes))
    return trained


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
