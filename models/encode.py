"""From raw values to what networks take: statistics of the training rows, and the encoder.

`learn` reads the statistics with NumPy, `build` turns them into a Keras model that is saved inside
every candidate. So a saved model takes raw values, and nothing is encoded twice by two codes.
"""

from collections import Counter
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models import layers
from models.examples import PICTURE, Examples, Schema

CATEGORIES = 64
"""Categories of a column that get a place of their own; rarer ones share the unknown's."""
BATCH = 8192
"""Rows encoded or predicted at once: large, since small models are bound by Python."""


@dataclass(frozen=True)
class Numeric:
    """A numeric column: its name, mean and standard deviation, and whether values were missing."""

    name: str
    mean: float
    scale: float
    missing: bool


@dataclass(frozen=True)
class Categorical:
    """A categorical column and its categories, the most frequent first; "" is a missing value."""

    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Statistics:
    """What the training rows say about the features."""

    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]
    shape: tuple[int, ...]
    """Of a picture; empty for a table."""
    mean: float
    """Of all the pictures' values."""
    scale: float


def learn(train: Examples, schema: Schema) -> Statistics:
    """The statistics of the training examples, and of no others."""
    if schema.kind == "pictures":
        mean, scale = _moments(train.features[PICTURE])
        return Statistics((), (), schema.shape, mean, scale)
    numeric = tuple(
        _numeric(column.name, train.features[column.name])
        for column in schema.columns
        if column.type == "numeric"
    )
    categorical = tuple(
        _categorical(column.name, train.features[column.name])
        for column in schema.columns
        if column.type == "categorical"
    )
    return Statistics(numeric, categorical, (), 0.0, 1.0)


def _numeric(name: str, values: npt.NDArray[np.generic]) -> Numeric:
    numbers = values.astype(np.float64)
    missing = np.isnan(numbers)
    mean, scale = _moments(numbers[~missing])
    return Numeric(name, mean, scale, bool(missing.any()))


def _moments(values: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Mean and standard deviation, exact in float32; the latter 1 where nothing varies."""
    numbers = values.astype(np.float64)
    if numbers.size == 0:
        return 0.0, 1.0
    mean, scale = float(np.float32(numbers.mean())), float(np.float32(numbers.std()))
    # Rounding leaves a constant column a deviation of about 1e-17: compared with the values' size.
    return mean, scale if scale > 1e-6 * max(abs(mean), 1e-6) else 1.0


def _categorical(name: str, values: npt.NDArray[np.generic]) -> Categorical:
    counts = Counter(values.tolist())
    # Sorted by count, then by name, so that a tie does not depend on the rows' order.
    ranked = sorted(counts, key=lambda category: (-counts[category], category))
    return Categorical(name, tuple(ranked[:CATEGORIES]))


def input_name(column: str) -> str:
    """What a column is called as an input of a model; Keras allows no slash in a name."""
    return column.replace("%", "%25").replace("/", "%2F")


def build(statistics: Statistics) -> keras.Model:
    """The model "encoder": raw features by name to `(n, d)` or `(n, h, w, c)` float32."""
    if statistics.shape:
        picture = keras.Input(statistics.shape, name=PICTURE)
        rescaling = keras.layers.Rescaling(
            1 / statistics.scale, -statistics.mean / statistics.scale, name="standardise"
        )
        return keras.Model({PICTURE: picture}, rescaling(picture), name="encoder")
    inputs = {}
    parts = []
    for column in statistics.numeric:
        inputs[input_name(column.name)] = keras.Input((), name=input_name(column.name))
    if statistics.numeric:
        standardise = layers.Standardise(
            [column.mean for column in statistics.numeric],
            [column.scale for column in statistics.numeric],
            [place for place, column in enumerate(statistics.numeric) if column.missing],
            name="standardise",
        )
        parts.append(standardise(list(inputs.values())))
    for place, category in enumerate(statistics.categorical):
        name = input_name(category.name)
        inputs[name] = keras.Input((), dtype="string", name=name)
        lookup = keras.layers.StringLookup(
            vocabulary=list(category.categories), output_mode="one_hot", name=f"categories_{place}"
        )
        parts.append(lookup(inputs[name]))
    encoded = keras.layers.Concatenate(name="encoded")(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, encoded, name="encoder")


def run(model: keras.Model, examples: Examples) -> npt.NDArray[np.float32]:
    """What a model of raw features gives for the examples, `(n, …)` float32, in large batches.

    Works for the encoder and for a whole saved model.
    """
    features = {input_name(name): values for name, values in examples.features.items()}
    types = {value.name: value.dtype for value in model.inputs}

    outputs = []
    for start in range(0, len(examples), BATCH):
        batch = {
            name: tf.constant(features[name][start : start + BATCH], dtype=types[name])
            for name in types
        }
        # Neither `Model.predict` nor a traced function: with few large batches both cost more to
        # prepare than they save.
        outputs.append(model(batch, training=False).numpy())
    if not outputs:
        return np.zeros((0, *model.output_shape[1:]), dtype=np.float32)
    values: npt.NDArray[np.float32] = np.concatenate(outputs)
    return values
