"""Layers of a network that reads texts and that Keras does not have; registered.

Throughout, *places* are words as `layout` has them, `(n, length)` int32, and *vectors* are what
stands for the words, `(n, length, d)` float32. Padding counts as nothing.
"""

from typing import Any

import keras
import tensorflow as tf

from models.networks.layout import PADDING

FAR = 1e9
"""What is taken off an attention score to hide it, and off a value so that it is no maximum."""


@keras.saving.register_keras_serializable(package="fettle")
class Columns(keras.layers.Layer):  # type: ignore[misc]
    """Columns `start` to `stop` of a matrix; `places`: as int32, else as they are."""

    def __init__(self, start: int, stop: int, *, places: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start
        self.stop = stop
        self.places = places

    def call(self, matrix: Any) -> Any:
        """`(n, d)` to `(n, stop - start)`."""
        part = matrix[:, self.start : self.stop]
        return keras.ops.cast(part, "int32") if self.places else part

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {"start": self.start, "stop": self.stop, "places": self.places}
        return {**super().get_config(), **own}


def _shown(places: Any) -> Any:
    """`(n, length, 1)` float32: 1 for a word, 0 for padding."""
    return keras.ops.cast(places != PADDING, "float32")[..., None]


@keras.saving.register_keras_serializable(package="fettle")
class Hide(keras.layers.Layer):  # type: ignore[misc]
    """The vectors with zeros for padding."""

    def call(self, vectors: Any, places: Any) -> Any:
        """`(n, length, d)`."""
        return vectors * _shown(places)


@keras.saving.register_keras_serializable(package="fettle")
class Mean(keras.layers.Layer):  # type: ignore[misc]
    """The mean of a text's vectors; zeros for a text without words."""

    def call(self, vectors: Any, places: Any) -> Any:
        """`(n, d)`."""
        shown = _shown(places)
        count = keras.ops.maximum(keras.ops.sum(shown, axis=1), 1.0)
        return keras.ops.sum(vectors * shown, axis=1) / count


@keras.saving.register_keras_serializable(package="fettle")
class Largest(keras.layers.Layer):  # type: ignore[misc]
    """The largest value of each place of a text's vectors; zeros for a text without words."""

    def call(self, vectors: Any, places: Any) -> Any:
        """`(n, d)`."""
        shown = _shown(places)
        found = keras.ops.max(vectors - FAR * (1.0 - shown), axis=1)
        return keras.ops.where(keras.ops.any(shown > 0, axis=1), found, 0.0)


@keras.saving.register_keras_serializable(package="fettle")
class Positions(keras.layers.Layer):  # type: ignore[misc]
    """Adds to each vector one that is learned for its position in the text."""

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """One vector a position."""
        self.kernel = self.add_weight(
            shape=input_shape[1:],
            initializer=keras.initializers.RandomUniform(seed=self.seed),
            name="positions",
        )

    def call(self, vectors: Any) -> Any:
        """`(n, length, d)`."""
        return vectors + self.kernel

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="fettle")
class Attend(keras.layers.Layer):  # type: ignore[misc]
    """Scaled dot-product attention with several heads, without weights of its own.

    Vaswani et al., "Attention is all you need", NeurIPS 2017. Keras's own layer would give its
    queries, keys and values the same initial weights from one seeded initializer.
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, queries: Any, keys: Any, values: Any, places: Any) -> Any:
        """Three times `(n, length, heads * e)` to the same shape."""
        length, width = queries.shape[1:]
        each = width // self.heads

        def parted(vectors: Any) -> Any:
            return keras.ops.reshape(vectors, (-1, length, self.heads, each))

        scores = keras.ops.einsum("nqhe,nkhe->nhqk", parted(queries), parted(keys)) / each**0.5
        hidden = 1.0 - keras.ops.cast(places != PADDING, "float32")[:, None, None, :]
        # Keras's softmax warns of texts of a single word.
        shares = tf.nn.softmax(scores - FAR * hidden, axis=-1)
        mixed = keras.ops.einsum("nhqk,nkhe->nqhe", shares, parted(values))
        return keras.ops.reshape(mixed, (-1, length, width))

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "heads": self.heads}
