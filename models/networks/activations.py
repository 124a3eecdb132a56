"""What blocks are activated by, where Keras's own will not do; registered."""

from typing import Any

import keras

LEAK = 0.2
"""Slope below 0, as Keras's."""


@keras.saving.register_keras_serializable(package="fettle")  # type: ignore[untyped-decorator]
def leaky(values: Any) -> Any:
    """Values above 0, and below it `LEAK` of them (Maas et al., 2013).

    With TensorFlow's own operation, and with a maximum, behind a convolution with a bias the
    optimizer of graphs gives up and says so as an error in the log.
    """
    return keras.ops.where(values > 0, values, LEAK * values)


def named(name: str) -> Any:
    """An activation as Keras's layers take it."""
    return leaky if name == "leaky_relu" else name
