"""The networks that are trained: encoded values in, logits out."""

from collections.abc import Sequence
from math import prod
from typing import Any

import keras

from dataset.target import Target, Task
from models.networks import augmentation, blocks, front, layers, residual, separable, tabm
from models.networks.blocks import Seeds
from models.networks.layout import Layout
from models.settings import NetworkSpec

LOGITS = "logits"
"""Name of the last layer; all layers before it are the trunk."""
POSITIONS = 64
"""Of more positions that are left of a picture, only the means go on: every position would have
weights of its own."""
BODIES = {
    "plain": blocks.plain,
    "residual": residual.residual,
    "tabm": tabm.tabm,
    "resnet": residual.resnet,
    "separable": separable.separable,
}
"""What stands between encoded values and the last layer, by architecture."""


def build(
    shape: Sequence[int],
    outputs: int,
    spec: NetworkSpec,
    seed: int,
    layout: Layout | None = None,
    task: Task | None = None,
) -> keras.Model:
    """The model "network": `shape` `(d,)` or `(h, w, c)` float32 to `outputs` numbers.

    `spec.architecture` says what its blocks are, see `BODIES`; `suited` which of them are for
    tables and which for pictures. A plain block is linear, with `width` units or 3x3 filters,
    normalised if wished, activated, pooled, dropped out; pictures are pooled as long as there is
    something to halve. What is left of a picture goes on as it is or, where that is much and of
    `resnet` always, as a mean for each filter.

    Of a table `layout` tells the columns apart: numbers that are to be vectors and texts stand
    beside the other columns in front of the blocks, see `front`. `task` says what is answered,
    which `tabm` has to know: see `member_layers.Heads`.

    Weights and dropout follow from `seed` alone. Keras would draw a seed for each of them from
    Python's global generator, which other threads of a process also draw from: the web socket of
    a Prefect worker does for its pings, and now and then came between.
    """
    seeds = Seeds(seed)
    encoded = keras.Input(tuple(shape), name="input")
    shown = augmentation.augment(encoded, layout, spec, seed)
    hidden = front.joined(shown, layout, spec, seeds)
    hidden = BODIES[spec.architecture](hidden, spec, seeds)
    if len(shape) > 1:
        large = prod(hidden.shape[1:3]) > POSITIONS or spec.architecture == "resnet"
        pooling = keras.layers.GlobalAveragePooling2D(name="average")
        hidden = (pooling if large else keras.layers.Flatten(name="flatten"))(hidden)
    if spec.architecture == "tabm":
        logits = tabm.heads(hidden, outputs, spec, seeds, task, LOGITS)
    else:
        logits = keras.layers.Dense(
            outputs,
            kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
            kernel_regularizer=blocks.penalty(spec),
            name=LOGITS,
        )(hidden)
    return keras.Model(encoded, logits, name="network")


def trunk(network: keras.Model) -> list[Any]:
    """The layers before the last, which transfer carries over."""
    return [layer for layer in network.layers if layer.name != LOGITS]


def assemble(encoder: keras.Model, network: keras.Model, target: Target) -> keras.Model:
    """The whole model: raw features by name to predictions, as `Target.decode` gives them.

    Its parts are found again as `get_layer("encoder")` and `get_layer("network")`.
    """
    inputs = {
        value.name: keras.Input(value.shape[1:], dtype=value.dtype, name=value.name)
        for value in encoder.inputs
    }
    outputs = clean(network)(encoder(inputs))
    return keras.Model(inputs, _last(target)(outputs), name="fettle")


def _last(target: Target) -> Any:
    if target.task == "classification":
        return keras.layers.Softmax(name="probabilities")
    if target.task == "multilabel":
        return keras.layers.Activation("sigmoid", name="probabilities")
    quantities = [quantity.model_dump(mode="json") for quantity in target.quantities]
    return layers.Quantities(quantities, name="quantities")


def clean(network: keras.Model, name: str | None = None) -> keras.Model:
    """A copy that was never trained, with equal weights; `name`: what it is called, if otherwise.

    For saving: the optimizer and the loss of a trained network would go into the file with it.
    """
    copy = type(network).from_config({**network.get_config(), "name": name or network.name})
    copy.set_weights(network.get_weights())
    return copy
