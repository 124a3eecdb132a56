"""Layers around the network that Keras does not have: raw values in front, quantities behind.

Registered, so that saved models load safely.
"""

from collections.abc import Sequence
from math import tau
from typing import Any

import keras
import tensorflow as tf

from dataset.target import LARGEST_EXPONENT
from models.networks.layout import PADDING, RESERVED, UNKNOWN

CYCLES = (365.2425, 7.0, 1.0)
"""Days of a year, a week and a day."""
SEPARATORS = r"[^\p{L}\p{M}\p{N}\p{S}]+"
"""What stands between words: neither letters, marks on letters, numbers nor symbols."""
SINGLE = r"[\p{S}\p{Han}\p{Hiragana}\p{Katakana}]"
"""What is a word by itself: symbols (currencies, emoji) and scripts that leave no spaces."""
CAPITALS = (("İ", "i"), ("Ì", "ì"), ("Í", "í"), ("Ĩ", "ĩ"), ("Į", "į"))
"""Capitals that TensorFlow would lower otherwise in a Turkish or Lithuanian environment."""


@keras.saving.register_keras_serializable(package="fettle")
class Standardise(keras.layers.Layer):  # type: ignore[misc]
    """Numeric columns to one matrix: imputed, standardised, missing values marked.

    Takes a list of k float32 tensors `(n,)` with NaN where a value is missing and gives
    `(n, k + m)` float32: `(value - mean) / scale` with 0 for missing ones (the mean), then one
    column of 0 and 1 for each of the m columns listed in `missing`.
    """

    def __init__(
        self, means: list[float], scales: list[float], missing: list[int], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.means = means
        self.scales = scales
        self.missing = missing

    def call(self, columns: list[Any]) -> Any:
        """As the class says."""
        values = keras.ops.stack(columns, axis=1)
        absent = keras.ops.isnan(values)
        means = keras.ops.convert_to_tensor(self.means, dtype="float32")
        scales = keras.ops.convert_to_tensor(self.scales, dtype="float32")
        standard = keras.ops.where(absent, 0.0, (values - means) / scales)
        if not self.missing:
            return standard
        marks = keras.ops.cast(keras.ops.take(absent, self.missing, axis=1), "float32")
        return keras.ops.concatenate([standard, marks], axis=1)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[Any, ...]:
        """`(n, k + m)`."""
        return (input_shape[0][0], len(self.means) + len(self.missing))

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {
            **super().get_config(),
            "means": self.means,
            "scales": self.scales,
            "missing": self.missing,
        }


@keras.saving.register_keras_serializable(package="fettle")
class NormalScores(keras.layers.Layer):  # type: ignore[misc]
    """Numbers to the normal scores of their ranks among the training rows.

    Takes a list of k float32 tensors `(n,)` and gives such a list; NaN stays NaN. `knots` and
    `scores` have a list for each column, see `dataset.quantiles.normal_scores`. So a long tail
    neither dwarfs what it is the tail of nor reaches far beyond what the network has seen.
    """

    def __init__(self, knots: list[list[float]], scores: list[list[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.knots = knots
        self.scores = scores

    def call(self, columns: list[Any]) -> list[Any]:
        """As the class says."""
        scored = []
        for values, knots, scores in zip(columns, self.knots, self.scores, strict=True):
            exact = tf.cast(values, tf.float64)
            known = tf.where(tf.math.is_nan(exact), tf.constant(knots[0], tf.float64), exact)
            told = tf.cast(interpolate(known, knots, scores), tf.float32)
            scored.append(tf.where(tf.math.is_nan(values), values, told))
        return scored

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> Any:
        """As the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "knots": self.knots, "scores": self.scores}


@keras.saving.register_keras_serializable(package="fettle")
class Calendar(keras.layers.Layer):  # type: ignore[misc]
    """Times to what repeats and what does not: the year, the week, the day, and the trend.

    Takes a list of k float64 tensors `(n,)`, days since 1970-01-01 with NaN where a time is
    missing, and gives `(n, 7 k + m)` float32: the standardised trends of all columns, the sines
    of their `CYCLES`, the cosines, then a mark for each of the m columns listed in `missing`. A
    missing time is 0 everywhere: the mean, and the middle of every circle. Reckoned in float64: a
    float32 cannot tell two minutes of today apart.
    """

    def __init__(
        self, means: list[float], scales: list[float], missing: list[int], **kwargs: Any
    ) -> None:
        # Keras would hand every layer float32.
        super().__init__(**{**kwargs, "autocast": False})
        self.means = means
        self.scales = scales
        self.missing = missing

    def call(self, columns: list[Any]) -> Any:
        """As the class says."""
        times = tf.stack([tf.cast(column, tf.float64) for column in columns], axis=1)
        absent = tf.math.is_nan(times)
        trend = (times - tf.constant(self.means, tf.float64)) / tf.constant(self.scales, tf.float64)
        cycles = tf.constant(CYCLES, tf.float64)
        turns = times[:, :, None] / cycles
        angles = tf.reshape(tau * (turns - tf.floor(turns)), (-1, len(self.means) * len(CYCLES)))
        parts = [trend, tf.sin(angles), tf.cos(angles)]
        values = tf.concat(parts, axis=1)
        values = tf.where(tf.math.is_nan(values), tf.zeros_like(values), values)
        marks = tf.cast(tf.gather(absent, tf.constant(self.missing, tf.int32), axis=1), tf.float64)
        return tf.cast(tf.concat([values, marks], axis=1), tf.float32)

    @property
    def width(self) -> int:
        """Columns it gives."""
        return len(self.means) * (1 + 2 * len(CYCLES)) + len(self.missing)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[Any, ...]:
        """`(n, 7 k + m)`."""
        return (input_shape[0][0], self.width)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {
            **super().get_config(),
            "means": self.means,
            "scales": self.scales,
            "missing": self.missing,
        }


def _table(keys: Sequence[str], first: int, other: int) -> tf.lookup.StaticHashTable:
    """Texts to places: `keys` from `first` on, everything else `other`."""
    places = tf.range(first, first + len(keys), dtype=tf.int64)
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(list(keys), tf.string), places)
    return tf.lookup.StaticHashTable(pairs, other)


@keras.saving.register_keras_serializable(package="fettle")
class OneHot(keras.layers.Layer):  # type: ignore[misc]
    """A categorical column `(n,)` of texts to `(n, 1 + k)` float32 of one 1 and else 0.

    The first place is for categories other than the k given ones.
    """

    def __init__(self, categories: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.categories = categories
        self.table = _table(categories, 1, 0)

    def call(self, texts: Any) -> Any:
        """As the class says."""
        return tf.one_hot(self.table.lookup(texts), 1 + len(self.categories), dtype=tf.float32)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, 1 + k)`."""
        return (input_shape[0], 1 + len(self.categories))

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "categories": self.categories}


def words(texts: Any) -> tf.RaggedTensor:
    """The words of `(n,)` texts, in small letters, as UTF-8.

    Words are what stands between whitespace and punctuation; a symbol is a word, and so is each
    sign of a script that leaves no spaces.
    """
    # Letters of ASCII first, and a few others: TensorFlow lowers the rest as the environment's
    # language has it, and a Turkish "I" would become another letter.
    lowered = tf.strings.lower(texts)
    for capital, small in CAPITALS:
        lowered = tf.strings.regex_replace(lowered, capital, small)
    lowered = tf.strings.lower(lowered, encoding="utf-8")
    parted = tf.strings.regex_replace(lowered, SEPARATORS, " ")
    return tf.strings.split(tf.strings.regex_replace(parted, SINGLE, r" \0 "))


@keras.saving.register_keras_serializable(package="fettle")
class Words(keras.layers.Layer):  # type: ignore[misc]
    """A text column `(n,)` to its first words' places in a vocabulary, `(n, length)` float32.

    `models.networks.layout` says what the places mean. A float32 holds every place exactly.
    """

    def __init__(self, vocabulary: list[str], length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary = vocabulary
        self.length = length
        # Never empty, as no table may be: no word is "".
        self.table = _table(["", *vocabulary], RESERVED - 1, UNKNOWN)

    def call(self, texts: Any) -> Any:
        """As the class says."""
        found = words(texts)
        places = found.with_flat_values(self.table.lookup(found.flat_values))
        padded = places.to_tensor(PADDING, shape=(None, self.length))
        return tf.cast(padded, tf.float32)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, length)`."""
        return (input_shape[0], self.length)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "vocabulary": self.vocabulary, "length": self.length}


@keras.saving.register_keras_serializable(package="fettle")
class Quantities(keras.layers.Layer):  # type: ignore[misc]
    """A network's outputs `(n, k)` to quantities in their own units, `(n, k)` float32.

    Undoes what `dataset.target.Quantity` does to each target; `quantities` are its fields. Reckoned
    in float64, as there.
    """

    def __init__(self, quantities: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantities = quantities

    def call(self, codes: Any) -> Any:
        """As the class says."""
        exact = tf.cast(codes, tf.float64)
        columns = [
            _decode(exact[:, place], quantity) for place, quantity in enumerate(self.quantities)
        ]
        return tf.cast(tf.stack(columns, axis=1), tf.float32)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, k)`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "quantities": self.quantities}


def _decode(codes: Any, quantity: dict[str, Any]) -> Any:
    transformed = codes * quantity["scale"] + quantity["mean"]
    if quantity["transform"] == "log":
        return tf.exp(tf.minimum(transformed, LARGEST_EXPONENT)) - quantity["shift"]
    if quantity["transform"] == "quantile":
        return interpolate(transformed, quantity["scores"], quantity["knots"])
    return transformed


def interpolate(values: Any, places: Sequence[float], heights: Sequence[float]) -> Any:
    """As `np.interp`: straight lines between points, level beyond the first and the last."""
    if len(places) == 1:
        return tf.fill(tf.shape(values), tf.constant(heights[0], tf.float64))
    across, up = tf.constant(places, tf.float64), tf.constant(heights, tf.float64)
    inside = tf.clip_by_value(values, across[0], across[-1])
    left = tf.searchsorted(across, inside, side="right") - 1
    left = tf.clip_by_value(left, 0, len(places) - 2)
    start, end = tf.gather(across, left), tf.gather(across, left + 1)
    low, high = tf.gather(up, left), tf.gather(up, left + 1)
    return low + (inside - start) * (high - low) / (end - start)
