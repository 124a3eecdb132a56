"""What networks of keras.applications are shown, as far as Keras has no layer for it.

Registered, so that saved models load safely.
"""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="fettle")
class ReverseChannels(keras.layers.Layer):  # type: ignore[misc]
    """Red, green and blue to blue, green and red, `(n, h, w, 3)`."""

    def call(self, pictures: Any) -> Any:
        """As the class says."""
        return pictures[..., ::-1]

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """As it is."""
        return input_shape
