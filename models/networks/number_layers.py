"""Layers that turn a table's numbers into vectors; registered.

Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning",
NeurIPS 2022, https://arxiv.org/abs/2203.05556. k numbers, `(n, k)` float32, become `(n, k, d)`.
"""

from collections.abc import Sequence
from math import tau
from typing import Any

import keras
import numpy as np

from models.networks.member_layers import glorot

APART = 1e-5
"""Edges of bins are at least so far from each other; rounding alone tells nearer ones apart, and
what lies beyond the last bin would be counted in bins."""


@keras.saving.register_keras_serializable(package="fettle")
class Select(keras.layers.Layer):  # type: ignore[misc]
    """Some columns of a matrix, in the order given."""

    def __init__(self, columns: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    def call(self, matrix: Any) -> Any:
        """`(n, d)` to `(n, k)`."""
        return keras.ops.take(matrix, self.columns, axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "columns": self.columns}


def edges(quantiles: Sequence[float], bins: int) -> list[float]:
    """Edges of at most `bins` bins that hold equally many of the values with these quantiles.

    quantiles: from the least to the largest, evenly spaced in rank. A value that fills several
    bins leaves fewer; one that never varies gets a bin of width 1.
    """
    known = np.linspace(0, 1, len(quantiles))
    kept: list[float] = []
    for edge in np.interp(np.linspace(0, 1, bins + 1), known, quantiles).tolist():
        if not kept or edge - kept[-1] >= APART:
            kept.append(edge)
    return kept if len(kept) > 1 else [kept[0], kept[0] + 1]


@keras.saving.register_keras_serializable(package="fettle")
class Piecewise(keras.layers.Layer):  # type: ignore[misc]
    """How far each number has come through each of its bins, `(n, k, t)`.

    1 for bins below it, 0 for bins above it, `(x - b) / (b' - b)` in the bin from b to b'; this
    also below the first and above the last bin, so that nothing is lost (equation 1 of the
    paper). `edges` holds a rising list for each number, t + 1 at the most; for a number with fewer
    bins the remaining places are 0.
    """

    def __init__(self, edges: list[list[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges = edges
        self.bins = max(len(own) for own in edges) - 1

    def call(self, numbers: Any) -> Any:
        """As the class says."""
        shape = (len(self.edges), self.bins)
        starts, rates = np.zeros(shape), np.zeros(shape)
        least, most = np.zeros(shape), np.ones(shape)
        for place, own in enumerate(self.edges):
            count = len(own) - 1
            starts[place, :count] = own[:-1]
            rates[place, :count] = 1 / np.diff(own)
            least[place, 0], most[place, count - 1] = -np.inf, np.inf
        start, rate, low, high = (
            keras.ops.convert_to_tensor(array, dtype="float32")
            for array in (starts, rates, least, most)
        )
        passed = (numbers[:, :, None] - start) * rate
        return keras.ops.minimum(keras.ops.maximum(passed, low), high)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, k, t)`."""
        return (input_shape[0], len(self.edges), self.bins)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "edges": self.edges}


@keras.saving.register_keras_serializable(package="fettle")
class Periodic(keras.layers.Layer):  # type: ignore[misc]
    """Sines, then cosines, of each number at frequencies of its own that are learned.

    `sin(2 pi c x)` and `cos(2 pi c x)`, `(n, k, 2 * frequencies)` (equation 3 of the paper); every
    c is normal with the standard deviation `deviation` at first.
    """

    def __init__(self, frequencies: int, deviation: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frequencies = frequencies
        self.deviation = deviation
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """The frequencies of each number."""
        self.kernel = self.add_weight(
            shape=(input_shape[1], self.frequencies),
            initializer=keras.initializers.RandomNormal(0.0, self.deviation, self.seed),
            name="frequencies",
        )

    def call(self, numbers: Any) -> Any:
        """As the class says."""
        angles = tau * self.kernel * numbers[:, :, None]
        return keras.ops.concatenate([keras.ops.sin(angles), keras.ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, k, 2 * frequencies)`."""
        return (*input_shape, 2 * self.frequencies)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {
            "frequencies": self.frequencies,
            "deviation": self.deviation,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="fettle")
class EachLinear(keras.layers.Layer):  # type: ignore[misc]
    """A linear layer for each number: `(n, k, d)` to `(n, k, units)`."""

    def __init__(
        self, units: int, seed: int, kernel_regularizer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.seed = seed
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """A kernel and a bias for each number."""
        _, numbers, inputs = input_shape
        self.kernel = self.add_weight(
            shape=(numbers, inputs, self.units),
            initializer=glorot(inputs, self.units, self.seed),
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(numbers, self.units), initializer="zeros", name="bias")

    def call(self, vectors: Any) -> Any:
        """As the class says."""
        return keras.ops.einsum("nki,kio->nko", vectors, self.kernel) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, k, units)`."""
        return (*input_shape[:2], self.units)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {
            "units": self.units,
            "seed": self.seed,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
        return {**super().get_config(), **own}
