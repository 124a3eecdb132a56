"""From raw values to what networks take: statistics of the training rows, and the encoder.

`learn` reads the statistics, `build` turns them into a Keras model that is saved inside every
candidate. So a saved model takes raw values, and nothing is encoded twice by two codes: even the
words of texts are counted by the operations that the model has.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dataset.examples import PICTURE, Examples, Scaling, Schema
from dataset.quantiles import KNOTS, normal_scores
from models.networks import layers, member_layers, text_layers
from models.networks.layout import Layout, NumberLayout, TextLayout

RANKED = 100_000
"""Rows of which quantiles are taken, at the most or a few more."""
RANKED_VALUES = 1 << 26
"""Values of which they are taken, over all columns: of a very wide table fewer rows."""
CROWD = 1 / 32
"""Share of the rows that one value of a column counts for at the most, where bins are made."""
CATEGORIES = 64
"""Categories of a column that get a place of their own; rarer ones share the unknown's."""
VOCABULARY = 10_000
"""Words of a text column that get a place of their own."""
LENGTH = 256
"""Words of a text that are looked at, at the most."""
COVERED = 95
"""Percent of the training texts that are looked at whole, where `LENGTH` allows."""
BATCH = 8192
"""Rows encoded or predicted at once: large, since small models are bound by Python."""
MEMORY = 64 * 2**20
"""Bytes that the largest part of a batch may take, where `BATCH` rows would take more."""


@dataclass(frozen=True)
class Numeric:
    """A column of numbers: its mean and standard deviation, and whether values were missing.

    Also for times, in days.
    """

    name: str
    mean: float
    scale: float
    missing: bool
    knots: tuple[float, ...] = ()
    """Where numbers are scored by rank: see `dataset.quantiles.normal_scores`; mean and scale are
    then those of normal scores, 0 and 1."""
    scores: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    """Of the values as they are, from the least to the largest, see `_quantiles`; empty where all
    are missing."""

    def encoded_quantiles(self) -> tuple[float, ...]:
        """The quantiles of what networks see of it; of values that are all missing, of the mean."""
        values = np.array(self.quantiles or (self.mean,))
        if self.knots:
            values = np.interp(values, self.knots, self.scores)
        return tuple(((values - self.mean) / self.scale).tolist())


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
    times: tuple[Numeric, ...]
    texts: tuple[TextLayout, ...]
    shape: tuple[int, ...]
    """Of a picture; empty for a table."""
    mean: float
    """Of all the pictures' values."""
    scale: float

    @property
    def layout(self) -> Layout:
        """Which columns of the encoded table are what."""
        numbers = range(len(self.numeric))
        times = range(len(numbers), len(numbers) + len(self.times))
        angles = [feature for feature in times for _ in layers.CYCLES]
        groups = [*numbers, *_marked(numbers, self.numeric)]
        # The trends of times come first of what is told of them.
        trends = range(len(groups), len(groups) + len(times))
        groups += [*times, *angles, *angles, *_marked(times, self.times)]
        for feature, column in enumerate(self.categorical, times.stop):
            groups += [feature] * (1 + len(column.categories))
        embedded = tuple(
            NumberLayout(place, column.encoded_quantiles())
            for place, column in zip((*numbers, *trends), (*self.numeric, *self.times), strict=True)
        )
        return Layout(len(groups), self.texts, len(numbers), tuple(groups), embedded)


def _marked(features: Iterable[int], columns: Iterable[Numeric]) -> list[int]:
    """Those of the features that have a mark for missing values."""
    return [feature for feature, column in zip(features, columns, strict=True) if column.missing]


def learn(train: Examples, schema: Schema, scaling: Scaling = "standard") -> Statistics:
    """The statistics of the training examples, and of no others."""
    return learn_blocks(lambda: [train], schema, scaling)


def learn_blocks(
    read: Callable[[], Iterable[Examples]], schema: Schema, scaling: Scaling
) -> Statistics:
    """The same of examples that come a block at a time; `read` begins anew at each call.

    They are read twice, so that standard deviations are taken about the mean. `scaling` says how a
    table's numbers are scaled; quantiles are those of at most about `RANKED` rows, evenly spread.
    """
    kinds = {PICTURE: "picture"} | {column.name: column.type for column in schema.columns}
    numbers = {name: _Moments() for name in schema.names() if kinds[name] in _NUMBERS}
    categories = {name: Counter[str]() for name in schema.names() if kinds[name] == "categorical"}
    rows = 0
    texts = {name: _WordCounts() for name in schema.names() if kinds[name] == "text"}
    for block in read():
        rows += len(block)
        for name, moments in numbers.items():
            moments.add(block.features[name])
        for name, counts in categories.items():
            counts.update(block.features[name].tolist())
        for name, words in texts.items():
            words.add(block.features[name])
    sample = _Sample([name for name in numbers if kinds[name] in _RANKED], rows)
    for block in read() if numbers else ():
        for name, moments in numbers.items():
            moments.add_squares(block.features[name])
        sample.add(block)
    if schema.kind == "pictures":
        told = numbers[PICTURE].told(PICTURE)
        return Statistics((), (), (), (), schema.shape, told.mean, told.scale)
    return Statistics(
        numeric=tuple(
            _numeric(moments.told(name), sample.values(name), scaling)
            for name, moments in numbers.items()
            if kinds[name] == "numeric"
        ),
        categorical=tuple(
            Categorical(name, _frequent(counts, CATEGORIES)) for name, counts in categories.items()
        ),
        times=tuple(
            replace(moments.told(name, np.float64), quantiles=_quantiles(sample.values(name)))
            for name, moments in numbers.items()
            if kinds[name] == "time"
        ),
        texts=tuple(words.layout(name) for name, words in texts.items()),
        shape=(),
        mean=0.0,
        scale=1.0,
    )


_NUMBERS = ("numeric", "time", "picture")
"""Kinds of features of which means are taken."""
_RANKED = ("numeric", "time")
"""Kinds of which quantiles are."""


class _Sample:
    """The values of some columns in some of `rows` rows, evenly spread."""

    def __init__(self, names: Sequence[str], rows: int) -> None:
        most = min(RANKED, max(1, RANKED_VALUES // max(1, len(names))))
        self._step, self._begin = max(1, -(-rows // most)), 0
        self._kept: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}

    def add(self, block: Examples) -> None:
        """The next rows."""
        for name, kept in self._kept.items():
            # Every so many rows of all, wherever the block begins; a copy, or the block would stay.
            kept.append(block.features[name][-self._begin % self._step :: self._step].copy())
        self._begin += len(block)

    def values(self, name: str) -> npt.NDArray[np.float64]:
        """Those of a column that are not missing."""
        values = np.concatenate(self._kept[name] or [np.zeros(0)]).astype(np.float64)
        present: npt.NDArray[np.float64] = values[~np.isnan(values)]
        return present


def _numeric(plain: Numeric, values: npt.NDArray[np.float64], scaling: Scaling) -> Numeric:
    """A column of numbers with its quantiles, scored by rank if wished."""
    plain = replace(plain, quantiles=_quantiles(values))
    if scaling == "standard":
        return plain
    knots, scores = normal_scores(values) if len(values) else ((0.0,), (0.0,))
    return replace(plain, mean=0.0, scale=1.0, knots=knots, scores=scores)


def _quantiles(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Evenly spaced in rank, but that no value counts for more than `CROWD` of the rows.

    Else a column that is mostly 0, as gains and losses are, would have all of its bins there, and
    none where it tells something.
    """
    if not len(values):
        return ()
    distinct, counts = np.unique(values, return_counts=True)
    most = max(1, round(CROWD * len(values)))
    thinned = np.repeat(distinct, np.minimum(counts, most))
    return tuple(np.quantile(thinned, np.linspace(0, 1, KNOTS)).tolist())


class _Moments:
    """Mean and standard deviation of the values that are not missing, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.squares = 0.0
        self.missing = False

    def add(self, values: npt.NDArray[np.generic]) -> None:
        """Count values that were not seen yet."""
        for part in _parts(values):
            known = part[~np.isnan(part)]
            self.missing |= len(known) < len(part)
            self.count += len(known)
            self.total += float(known.sum())

    def add_squares(self, values: npt.NDArray[np.generic]) -> None:
        """The same values again, once the mean is known."""
        mean = self.total / max(self.count, 1)
        for part in _parts(values):
            self.squares += float(np.square(part[~np.isnan(part)] - mean).sum())

    def told(self, name: str, exact: type[np.floating[Any]] = np.float32) -> Numeric:
        """What they say of a column, exact in `exact`; the deviation is 1 where nothing varies."""
        if not self.count:
            return Numeric(name, 0.0, 1.0, self.missing)
        mean = float(exact(self.total / self.count))
        scale = float(exact(np.sqrt(self.squares / self.count)))
        # Rounding leaves a constant column a deviation of about 1e-17 of the values' size. Times
        # are far from 0 and may yet lie within seconds.
        least = (1e-6 if exact is np.float32 else 1e-14) * max(abs(mean), 1e-6)
        return Numeric(name, mean, scale if scale > least else 1.0, self.missing)


def _parts(values: npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.float64]]:
    """The values in float64, a part at a time: all of many pictures would not fit."""
    flat, size = values.reshape(-1), MEMORY // 8
    return (flat[start : start + size].astype(np.float64) for start in range(0, len(flat), size))


class _WordCounts:
    """How often each word comes in a text column, and how many words the texts have."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()

    def add(self, texts: npt.NDArray[np.generic]) -> None:
        """Count `(n,)` texts."""
        for start in range(0, len(texts), BATCH):
            words = layers.words(tf.constant(texts[start : start + BATCH], tf.string))
            self.lengths.update(words.row_lengths().numpy().tolist())
            # Bytes of equal length would be an array that drops zeros at their end.
            self.counts.update(word.decode() for word in words.flat_values.numpy().tolist())

    def layout(self, name: str) -> TextLayout:
        """The most frequent words, and a length that covers most texts."""
        lengths = sorted(self.lengths)
        covered = np.cumsum([self.lengths[length] for length in lengths])
        place = np.searchsorted(covered, COVERED / 100 * self.lengths.total())
        length = lengths[place] if lengths else 0
        return TextLayout(name, min(max(length, 1), LENGTH), _frequent(self.counts, VOCABULARY))


def _frequent(counts: Counter[str], most: int) -> tuple[str, ...]:
    # Sorted by count, then by name, so that a tie does not depend on the rows' order.
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:most])


def input_name(column: str) -> str:
    """What a column is called as an input of a model; Keras allows no slash in a name."""
    return column.replace("%", "%25").replace("/", "%2F")


def build(statistics: Statistics) -> keras.Model:
    """The model "encoder": raw features by name to `(n, d)` or `(n, h, w, c)` float32.

    The columns of the `(n, d)` matrix are those of `Statistics.layout`: numbers, categories and
    times, then the words of texts.
    """
    if statistics.shape:
        picture = keras.Input(statistics.shape, name=PICTURE)
        rescaling = keras.layers.Rescaling(
            1 / statistics.scale, -statistics.mean / statistics.scale, name="standardise"
        )
        return keras.Model({PICTURE: picture}, rescaling(picture), name="encoder")
    inputs: dict[str, Any] = {}

    def entry(column: str, dtype: str) -> Any:
        name = input_name(column)
        inputs[name] = keras.Input((), dtype=dtype, name=name)
        return inputs[name]

    parts = []
    for columns, dtype, layer, name in (
        (statistics.numeric, "float32", layers.Standardise, "standardise"),
        (statistics.times, "float64", layers.Calendar, "calendar"),
    ):
        if columns:
            entries = [entry(column.name, dtype) for column in columns]
            if all(column.knots for column in columns):
                entries = layers.NormalScores(
                    [list(column.knots) for column in columns],
                    [list(column.scores) for column in columns],
                    name="normal_scores",
                )(entries)
            parts.append(layer(**_moments_of(columns), name=name)(entries))
    for place, column in enumerate(statistics.categorical):
        one_hot = layers.OneHot(list(column.categories), name=f"categories_{place}")
        parts.append(one_hot(entry(column.name, "string")))
    for place, text in enumerate(statistics.texts):
        words = layers.Words(list(text.vocabulary), text.length, name=f"words_{place}")
        parts.append(words(entry(text.name, "string")))
    encoded = keras.layers.Concatenate(name="encoded")(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, encoded, name="encoder")


def _moments_of(columns: tuple[Numeric, ...]) -> dict[str, Any]:
    """The arguments of the layers for numbers and times."""
    return {
        "means": [column.mean for column in columns],
        "scales": [column.scale for column in columns],
        "missing": [place for place, column in enumerate(columns) if column.missing],
    }


def rows(model: keras.Model) -> int:
    """How many examples `model` takes at once: `BATCH`, or as many as `MEMORY` has room for."""
    return max(1, min(BATCH, MEMORY // (4 * _largest(model))))


def _largest(model: keras.Model) -> int:
    """The most numbers that one example has anywhere in the model."""
    sizes = [1]
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            sizes.append(_largest(layer))
        elif isinstance(layer, text_layers.Attend):
            sizes.append(layer.heads * layer.output.shape[1] ** 2)
        elif isinstance(layer, member_layers.Shared):
            sizes.append(prod(layer.scale_in.shape))
        elif isinstance(layer, member_layers.Heads):
            sizes.append(prod(layer.bias.shape))
        sizes += [prod(output.shape[1:]) for output in keras.tree.flatten(layer.output)]
    return max(sizes)


def run(model: keras.Model, examples: Examples) -> npt.NDArray[np.float32]:
    """What a model of raw features gives for the examples, `(n, …)` float32, in large batches.

    Works for the encoder and for a whole saved model. Memory is bounded: see `rows`.
    """
    features = {input_name(name): values for name, values in examples.features.items()}
    types = {value.name: value.dtype for value in model.inputs}

    size, outputs = rows(model), []
    for start in range(0, len(examples), size):
        batch = {
            name: tf.constant(features[name][start : start + size], dtype=types[name])
            for name in types
        }
        # Neither `Model.predict` nor a traced function: with few large batches both cost more to
        # prepare than they save.
        outputs.append(model(batch, training=False).numpy())
    if not outputs:
        return np.zeros((0, *model.output_shape[1:]), dtype=np.float32)
    values: npt.NDArray[np.float32] = np.concatenate(outputs)
    return values
