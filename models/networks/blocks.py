"""What networks are put together from, and the plain block."""

from typing import Any

import keras
import numpy as np

from models.networks import activations
from models.settings import NetworkSpec

MEMORY = 0.9
"""How much of the running mean and variance of a normalisation each step keeps. With Keras's 0.99
they lag some hundred steps behind, which is many epochs of small data: measured on the digits, 17
steps an epoch, a validation accuracy of 50 to 80 % where training had 97 %, until early stopping
ended it."""
SMALLEST = 4
"""Pictures are halved while both sides have at least this many points."""


class Seeds:
    """Independent seeds for the parts of one network."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def draw(self) -> int:
        """The next one."""
        return int(self._generator.integers(2**31))


def penalty(spec: NetworkSpec) -> Any:
    """What the sizes of a kernel add to the loss; biases and normalisations are left alone."""
    if spec.l1:
        return keras.regularizers.L1L2(spec.l1, spec.l2)
    return keras.regularizers.L2(spec.l2) if spec.l2 else None


def linear(
    hidden: Any,
    spec: NetworkSpec,
    name: str,
    seeds: Seeds,
    *,
    units: int | None = None,
    kernel: int = 3,
    strides: int = 1,
    share: float = 1.0,
    bias: bool = True,
) -> Any:
    """The linear part of a block: `(n, d)` to `(n, units)`, or a convolution of pictures.

    Without `units` the network's width. `share`: of the usual variance of initial weights.
    """
    initializer = (
        keras.initializers.GlorotUniform(seeds.draw())
        if share == 1
        else keras.initializers.VarianceScaling(share, "fan_avg", "uniform", seeds.draw())
    )
    options = {
        # A normalisation that follows would take a bias away again.
        "use_bias": bias and not spec.batch_norm,
        "kernel_initializer": initializer,
        "kernel_regularizer": penalty(spec),
        "name": name,
    }
    units = units or spec.width
    if len(hidden.shape) > 2:
        layer = keras.layers.Conv2D(units, kernel, strides=strides, padding="same", **options)
    else:
        layer = keras.layers.Dense(units, **options)
    return layer(hidden)


def normalise(hidden: Any, spec: NetworkSpec, name: str) -> Any:
    """Batch normalisation, where it is wished."""
    return (
        keras.layers.BatchNormalization(momentum=MEMORY, name=f"norm_{name}")(hidden)
        if spec.batch_norm
        else hidden
    )


def activate(hidden: Any, spec: NetworkSpec, name: str) -> Any:
    """The activation that the network has everywhere."""
    name = f"{spec.activation}_{name}"
    if spec.activation == "relu":
        return keras.layers.ReLU(name=name)(hidden)
    return keras.layers.Activation(activations.named(spec.activation), name=name)(hidden)


def halve(hidden: Any, name: str) -> Any:
    """Pictures with half as many points a side, as long as there is something to halve."""
    return keras.layers.MaxPooling2D(name=f"pool_{name}")(hidden) if halves(hidden) else hidden


def halves(hidden: Any) -> bool:
    """Whether these are pictures that are large enough to be halved."""
    return len(hidden.shape) == 4 and min(hidden.shape[1:3]) >= SMALLEST


def drop(hidden: Any, spec: NetworkSpec, name: str, seeds: Seeds) -> Any:
    """Dropout, where it is wished."""
    if not spec.dropout:
        return hidden
    return keras.layers.Dropout(spec.dropout, seed=seeds.draw(), name=name)(hidden)


def plain(hidden: Any, spec: NetworkSpec, seeds: Seeds) -> Any:
    """`depth` blocks: linear, normalised if wished, activated, pooled, dropped out."""
    for place in range(spec.depth):
        hidden = block(hidden, spec, place, seeds)
    return hidden


def block(hidden: Any, spec: NetworkSpec, place: int, seeds: Seeds) -> Any:
    """One of them."""
    kind = "conv" if len(hidden.shape) > 2 else "dense"
    hidden = linear(hidden, spec, f"{kind}_{place}", seeds)
    hidden = activate(normalise(hidden, spec, str(place)), spec, str(place))
    return drop(halve(hidden, str(place)), spec, f"dropout_{place}", seeds)
