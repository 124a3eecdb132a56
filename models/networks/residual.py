"""Networks whose blocks add to what they are given.

He et al., "Identity mappings in deep residual networks", ECCV 2016: normalised and activated in
front of each linear layer, so that nothing stands between one sum and the next. For tables as in
Gorishniy et al., "Revisiting deep learning models for tabular data", NeurIPS 2021.
"""

from typing import Any

import keras

from models.networks import blocks
from models.networks.blocks import Seeds
from models.settings import NetworkSpec

STAGE = 2
"""Blocks of a stage of `resnet`."""


def residual(hidden: Any, spec: NetworkSpec, seeds: Seeds) -> Any:
    """A linear layer to `width`, then `depth` blocks; pictures are halved behind each block."""
    hidden = blocks.linear(hidden, spec, "stem", seeds)
    for place in range(spec.depth):
        hidden = _block(hidden, spec, str(place), seeds, spec.width, blocks_of_network=spec.depth)
        hidden = blocks.halve(hidden, str(place))
    return _last(hidden, spec)


def resnet(hidden: Any, spec: NetworkSpec, seeds: Seeds) -> Any:
    """Of pictures: a 3x3 convolution, then `depth` stages of `STAGE` blocks.

    From the second stage on a stage halves the picture, while it is large enough, and doubles the
    filters, of which there are `width` at first.
    """
    hidden, filters = blocks.linear(hidden, spec, "stem", seeds), spec.width
    for stage in range(spec.depth):
        halving = stage > 0 and blocks.halves(hidden)
        filters *= 2 if halving else 1
        for place in range(STAGE):
            hidden = _block(
                hidden,
                spec,
                f"{stage}_{place}",
                seeds,
                filters,
                blocks_of_network=STAGE * spec.depth,
                strides=2 if halving and not place else 1,
            )
    return _last(hidden, spec)


def _block(
    hidden: Any,
    spec: NetworkSpec,
    name: str,
    seeds: Seeds,
    units: int,
    *,
    blocks_of_network: int,
    strides: int = 1,
) -> Any:
    """Twice normalised, activated and linear, with dropout between, and added.

    Where shapes differ, what it is added to goes through a linear layer, 1x1 for pictures. The
    last layer's initial weights are smaller, the more blocks there are: without normalisation the
    sum would grow with each.
    """
    seen = _seen(hidden, spec, f"{name}_first")
    inner = blocks.linear(seen, spec, f"first_{name}", seeds, units=units, strides=strides)
    inner = blocks.drop(_seen(inner, spec, f"{name}_second"), spec, f"dropout_{name}", seeds)
    share = 1 / blocks_of_network
    inner = blocks.linear(
        inner, spec, f"second_{name}", seeds, units=units, share=share, bias=False
    )
    if hidden.shape[1:] != inner.shape[1:]:
        hidden = blocks.linear(
            seen,
            spec,
            f"shortcut_{name}",
            seeds,
            units=units,
            kernel=1,
            strides=strides,
            bias=False,
        )
    return keras.layers.Add(name=f"sum_{name}")([hidden, inner])


def _seen(hidden: Any, spec: NetworkSpec, name: str) -> Any:
    return blocks.activate(blocks.normalise(hidden, spec, name), spec, name)


def _last(hidden: Any, spec: NetworkSpec) -> Any:
    # The sums themselves were never activated.
    return _seen(hidden, spec, "last")
