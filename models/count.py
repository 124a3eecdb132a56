"""What a network costs at inference, counted: no clock, the same on every machine."""

from math import prod
from typing import Any

import keras

from models import text_layers


def parameters(model: keras.Model) -> int:
    """Numbers in the model's layers, trained or counted (normalisation keeps both kinds).

    The states of random generators are left out: they are no part of the function.
    """
    return sum(
        prod(weight.shape) for weight in model.weights if "seed_generator" not in weight.path
    )


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds that one example costs, over all dense, convolutional and attention layers.

    Dense: inputs x units, for every position. Convolution: kernel height x kernel width x
    (input channels / groups) x filters, for every position of the output; depthwise: kernel
    height x kernel width x input channels x multiplier. Over texts: window x channels x filters,
    for every word. Attention: words x words x width, once for the scores and once for the mix.
    Biases, activations, pooling and normalisation are left out: they grow with the outputs alone.
    An embedding is looked up, not multiplied.
    """
    return sum(_of(layer) for layer in model.layers)


def _of(layer: Any) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, keras.layers.Dense):
        return int(prod(layer.output.shape[1:-1]) * prod(layer.kernel.shape))
    if isinstance(layer, text_layers.Attend):
        words, width = layer.output.shape[1:]
        return int(2 * words * words * width)
    if isinstance(layer, keras.layers.Conv1D):
        return int(layer.output.shape[1] * prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
        axes = slice(1, 3) if layer.data_format == "channels_last" else slice(2, 4)
        # The kernel's shape holds what a position costs, for either kind and any groups.
        return int(prod(layer.output.shape[axes]) * prod(layer.kernel.shape))
    return 0
