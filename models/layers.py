"""Layers of the encoder that Keras does not have; registered, so that models load safely."""

from typing import Any

import keras


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
