"""A network of pictures with few multiply-adds: each filter looks at one channel.

Howard et al., "MobileNets", 2017, https://arxiv.org/abs/1704.04861.
"""

from typing import Any

import keras

from models.networks import blocks
from models.networks.blocks import Seeds
from models.settings import NetworkSpec

WINDOW = 3


def separable(hidden: Any, spec: NetworkSpec, seeds: Seeds) -> Any:
    """`depth` blocks; the first is plain, the others are separable.

    One filter a channel sees too little of a grey picture: hence the first.
    """
    hidden = blocks.block(hidden, spec, 0, seeds)
    for place in range(1, spec.depth):
        hidden = _block(hidden, spec, str(place), seeds)
    return hidden


def _block(hidden: Any, spec: NetworkSpec, name: str, seeds: Seeds) -> Any:
    """3x3 within each channel, then 1x1 over all, each normalised if wished and activated."""
    # Keras would take the channels for inputs of each filter, which has one.
    reach = (6 / (2 * WINDOW**2)) ** 0.5
    within = keras.layers.DepthwiseConv2D(
        WINDOW,
        padding="same",
        use_bias=not spec.batch_norm,
        depthwise_initializer=keras.initializers.RandomUniform(-reach, reach, seeds.draw()),
        depthwise_regularizer=blocks.penalty(spec),
        name=f"depthwise_{name}",
    )
    hidden = within(hidden)
    inner = f"{name}_depthwise"
    hidden = blocks.activate(blocks.normalise(hidden, spec, inner), spec, inner)
    hidden = blocks.linear(hidden, spec, f"pointwise_{name}", seeds, kernel=1)
    hidden = blocks.activate(blocks.normalise(hidden, spec, name), spec, name)
    return blocks.drop(blocks.halve(hidden, name), spec, f"dropout_{name}", seeds)
