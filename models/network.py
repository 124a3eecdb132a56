"""The networks that are trained: encoded values in, logits out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from models.settings import NetworkSpec

LOGITS = "logits"
"""Name of the last layer; all layers before it are the trunk."""
SMALLEST = 4
"""Pictures are halved while both sides have at least this many points."""


def build(shape: Sequence[int], outputs: int, spec: NetworkSpec, seed: int) -> keras.Model:
    """The model "network": `shape` `(d,)` or `(h, w, c)` float32 to `outputs` logits.

    Tables get `depth` dense blocks of `width` units; pictures `depth` 3x3 convolutions with
    `width` filters, each followed by max pooling as long as there is something to halve. A block
    is linear, normalised if wished, rectified, pooled, dropped out.

    Weights and dropout follow from `seed` alone. Keras would draw a seed for each of them from
    Python's global generator, which other threads of a process also draw from: the web socket of
    a Prefect worker does for its pings, and now and then came between.
    """
    seeds = _Seeds(seed)
    encoded = keras.Input(tuple(shape), name="input")
    hidden = encoded
    for place in range(spec.depth):
        hidden = _block(hidden, spec, place, seeds)
    if len(shape) > 1:
        hidden = keras.layers.Flatten(name="flatten")(hidden)
    logits = keras.layers.Dense(
        outputs,
        kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
        kernel_regularizer=_penalty(spec),
        name=LOGITS,
    )(hidden)
    return keras.Model(encoded, logits, name="network")


class _Seeds:
    """Independent seeds for the parts of one network."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def draw(self) -> int:
        """The next one."""
        return int(self._generator.integers(2**31))


def _block(hidden: Any, spec: NetworkSpec, place: int, seeds: _Seeds) -> Any:
    pictures = len(hidden.shape) > 2
    # The normalisation that follows would take a bias away again.
    options = {
        "use_bias": not spec.batch_norm,
        "kernel_initializer": keras.initializers.GlorotUniform(seeds.draw()),
        "kernel_regularizer": _penalty(spec),
    }
    if pictures:
        linear = keras.layers.Conv2D(spec.width, 3, padding="same", name=f"conv_{place}", **options)
    else:
        linear = keras.layers.Dense(spec.width, name=f"dense_{place}", **options)
    hidden = linear(hidden)
    if spec.batch_norm:
        hidden = keras.layers.BatchNormalization(name=f"norm_{place}")(hidden)
    hidden = keras.layers.ReLU(name=f"relu_{place}")(hidden)
    if pictures and min(hidden.shape[1:3]) >= SMALLEST:
        hidden = keras.layers.MaxPooling2D(name=f"pool_{place}")(hidden)
    if spec.dropout:
        hidden = keras.layers.Dropout(spec.dropout, seed=seeds.draw(), name=f"dropout_{place}")(
            hidden
        )
    return hidden


def _penalty(spec: NetworkSpec) -> Any:
    return keras.regularizers.L2(spec.l2) if spec.l2 else None


def trunk(network: keras.Model) -> list[Any]:
    """The layers before the last, which transfer carries over."""
    return [layer for layer in network.layers if layer.name != LOGITS]


def assemble(encoder: keras.Model, network: keras.Model) -> keras.Model:
    """The whole model: raw features by name to class probabilities.

    Its parts are found again as `get_layer("encoder")` and `get_layer("network")`.
    """
    inputs = {
        value.name: keras.Input(value.shape[1:], dtype=value.dtype, name=value.name)
        for value in encoder.inputs
    }
    logits = clean(network)(encoder(inputs))
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(inputs, probabilities, name="fettle")


def clean(network: keras.Model) -> keras.Model:
    """A copy that was never trained, with equal weights.

    For saving: the optimizer and the loss of a trained network would go into the file with it.
    """
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    return copy
