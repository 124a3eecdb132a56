"""Training in 16 bits: what is multiplied is, what is kept is not.

Weights, gradients and the optimizer's state stay float32, and so do the last layer, layers of our
own and all that a network answers at inference. What is saved is therefore an ordinary float32
network, and what is said of it was measured on that.

Micikevicius et al., "Mixed precision training", ICLR 2018.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from models.fitting.tensors import Tensors
from models.settings import Precision

FIRST = 2.0**15
"""By which the loss is multiplied at first, where gradients would otherwise fall below the smallest
number of float16."""
STEPS = 2000
"""Steps that went well after which it is multiplied by twice as much; the defaults of
`keras.optimizers.LossScaleOptimizer`."""


@contextmanager
def lowered(network: keras.Model, precision: Precision) -> Iterator[None]:
    """Let Keras's own layers of a network compute with that precision while it is called here."""
    if precision == "float32":
        yield
        return
    layers = list(_computing(network))
    before = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def _computing(network: keras.Model) -> Iterator[Any]:
    """Layers, those within layers too, but for what answers and what changes examples."""
    last = {id(tensor._keras_history.operation) for tensor in network.outputs}
    for layer in network._flatten_layers(include_self=False):
        module = type(layer).__module__
        ours = not module.startswith("keras.")
        whole = isinstance(layer, keras.Model | keras.layers.InputLayer)
        if not (ours or whole or id(layer) in last or ".preprocessing." in module):
            yield layer


class Scaling:
    """How the loss is scaled so that no gradient is lost: only for float16, whose smallest normal
    number is 6e-5. bfloat16 reaches as far as float32.

    Its state is two tensors: the factor, and the steps since it last changed.
    """

    def __init__(self, precision: Precision) -> None:
        self.on = precision == "mixed_float16"

    def begin(self) -> Tensors:
        """The state of an untrained fit."""
        return [tf.constant(FIRST), tf.constant(0, tf.int32)] if self.on else []

    def scaled(self, loss: Any, state: Tensors) -> Any:
        """What gradients are taken of."""
        return loss * state[0] if self.on else loss

    def restored(self, gradients: Tensors, state: Tensors) -> Tensors:
        """Gradients of the loss itself; None where there is none."""
        if not self.on:
            return gradients
        return [None if one is None else tf.convert_to_tensor(one) / state[0] for one in gradients]

    def went_well(self, gradients: Tensors) -> Any:
        """Whether all of them are numbers."""
        return tf.reduce_all(
            [tf.reduce_all(tf.math.is_finite(one)) for one in gradients if one is not None]
        )

    def after(self, well: Any, state: Tensors) -> Tensors:
        """Half the factor where a step went wrong, twice as much after `STEPS` that went well."""
        factor, steps = state
        long = steps + 1 >= STEPS
        grown = tf.where(long, factor * 2, factor)
        return [
            tf.where(well, grown, tf.maximum(factor / 2, 1.0)),
            tf.where(well & ~long, steps + 1, 0),
        ]
