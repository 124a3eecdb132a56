"""Changes of encoded tables in training; registered layers.

Tables are `(n, d)` float32: dense columns, then the words of texts, see `models.networks.layout`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from models.networks.change import Change
from models.networks.layout import PADDING, UNKNOWN


@keras.saving.register_keras_serializable(package="fettle")
class Noise(Change):
    """Gaussian noise of this standard deviation on the first `numbers` columns."""

    def __init__(self, deviation: float, numbers: int, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.deviation = deviation
        self.numbers = numbers

    def changed(self, values: Any) -> Any:
        """As the class says."""
        shape = (keras.ops.shape(values)[0], self.numbers)
        noise = keras.random.normal(shape, 0.0, self.deviation, seed=self.generator)
        return tf.concat([values[:, : self.numbers] + noise, values[:, self.numbers :]], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {"deviation": self.deviation, "numbers": self.numbers}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="fettle")
class Swap(Change):
    """Features that are, each with probability `rate`, those of another row of the batch.

    groups: for each of the first columns the number of the feature that it tells of, from 0 on.
    Columns of one feature go together: a category stays one, a number keeps its mark. "Swap noise",
    as in Yoon et al., "VIME", NeurIPS 2020. A row that is alone in its batch stays as it is.
    """

    def __init__(self, rate: float, groups: Sequence[int], seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = rate
        self.groups = list(groups)

    def changed(self, values: Any) -> Any:
        """As the class says."""
        features, columns = 1 + max(self.groups), len(self.groups)
        drawn = self.drawn(values, 2 * features)
        count = tf.shape(values)[0]
        own = tf.range(count)[:, None]
        others = tf.cast(tf.maximum(count - 1, 1), tf.float32)
        further = 1 + tf.cast(tf.floor(drawn[:, features:] * others), tf.int32)
        rows = tf.where(drawn[:, :features] < self.rate, (own + further) % count, own)
        places = tf.gather(rows, self.groups, axis=1)
        taken = tf.gather(
            tf.transpose(values[:, :columns]), tf.transpose(places), axis=1, batch_dims=1
        )
        return tf.concat([tf.transpose(taken), values[:, columns:]], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "rate": self.rate, "groups": self.groups}


@keras.saving.register_keras_serializable(package="fettle")
class HideWords(Change):
    """Words, the columns from `start` on, that are made unknown with probability `rate`.

    Padding stays: texts keep their length.
    """

    def __init__(self, rate: float, start: int, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = rate
        self.start = start

    def changed(self, values: Any) -> Any:
        """As the class says."""
        places = values[:, self.start :]
        hidden = (self.drawn(values, places.shape[1]) < self.rate) & (places != PADDING)
        shown = tf.where(hidden, tf.constant(UNKNOWN, values.dtype), places)
        return tf.concat([values[:, : self.start], shown], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "rate": self.rate, "start": self.start}
