"""The last hidden vector of a network: what its last layer makes the outputs of."""

from typing import Any

import keras

ELEMENTWISE = (keras.layers.Activation, keras.layers.Softmax, keras.layers.ReLU)
"""Layers that may stand behind the last linear one."""


def last(model: keras.Model) -> Any | None:
    """The symbolic `(n, d)` vector, or None where the outputs do not follow from one by a linear
    layer, as those of several networks do not."""
    tensor = model.outputs[0]
    for layer in reversed(model.layers):
        if not any(output is tensor for output in keras.tree.flatten(layer.output)):
            continue
        if isinstance(layer, keras.layers.Dense):
            return layer.input if len(layer.input.shape) == 2 else None
        if not isinstance(layer, ELEMENTWISE):
            return None
        tensor = layer.input
    return None
