"""What a network costs at inference, counted: no clock, the same on every machine."""

from math import prod
from typing import Any

import keras

from models.networks import member_layers, number_layers, text_layers


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
    height x kernel width x input channels x multiplier; separable: both. Over texts: window x
    channels x filters, for every word. Attention: words x words x width, once for the scores and
    once for the mix.
    Numbers as vectors and members of one network: inputs x units, for each number or member.
    Biases, scales, activations, pooling, normalisation and the bins or waves of numbers are left
    out: they grow with inputs and outputs alone. An embedding is looked up, not multiplied.
    """
    return sum(_of(layer) for layer in model.layers)


def _of(layer: Any) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, text_layers.Attend):
        words, width = layer.output.shape[1:]
        return int(2 * words * words * width)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = prod(layer.depthwise_kernel.shape) + prod(layer.pointwise_kernel.shape)
        return int(_positions(layer) * kernels)
    uses = _uses(layer)
    return int(uses * prod(layer.kernel.shape)) if uses else 0


def _uses(layer: Any) -> int:
    """How often one example needs each number of the layer's kernel; 0 where it has none."""
    if isinstance(layer, keras.layers.Dense):
        return prod(layer.output.shape[1:-1])
    if isinstance(layer, number_layers.EachLinear | member_layers.Heads):
        return 1
    if isinstance(layer, member_layers.Shared):
        return layer.members
    if isinstance(layer, keras.layers.Conv1D):
        return int(layer.output.shape[1])
    if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
        # The kernel's shape holds what a position costs, for either kind and any groups.
        return _positions(layer)
    return 0


def _positions(layer: Any) -> int:
    """Of the output of a convolution over pictures."""
    axes = slice(1, 3) if layer.data_format == "channels_last" else slice(2, 4)
    return prod(layer.output.shape[axes])
