"""Layers of many networks in one, which share most of their weights; registered.

Gorishniy, Kotelnikov and Babenko, "TabM: Advancing tabular deep learning with parameter-efficient
ensembling", ICLR 2025, https://arxiv.org/abs/2410.24210, after Wen, Tran and Ba, "BatchEnsemble",
ICLR 2020. The networks are its *members*, m of them.
"""

from math import log
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dataset.target import Task


class _Signs:
    """Initial scales of 1 and -1, equally likely."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        drawn = np.random.default_rng(self.seed).choice([-1.0, 1.0], shape)
        return keras.ops.convert_to_tensor(drawn, dtype=dtype)


def glorot(inputs: int, outputs: int, seed: int) -> Any:
    """Glorot's uniform initializer for kernels that hold many of such a size.

    Keras's would take their number for a window of a convolution.
    """
    reach = (6 / (inputs + outputs)) ** 0.5
    return keras.initializers.RandomUniform(-reach, reach, seed)


@keras.saving.register_keras_serializable(package="fettle")
class Shared(keras.layers.Layer):  # type: ignore[misc]
    """A linear layer of all members: `((x * r) W) * s + b`, where they share W alone.

    Takes `(n, d)`, the same for all members, or `(n, m, d)` and gives `(n, m, units)`. r and s are
    1 at first and b is 0. With `signs`, a seed, r is 1 or -1 at random: that is what makes the
    members differ, and the paper has it in the first layer alone.
    """

    def __init__(
        self,
        units: int,
        members: int,
        seed: int,
        signs: int | None,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.members = members
        self.seed = seed
        self.signs = signs
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """One kernel, and two scales and a bias for each member."""
        inputs = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(inputs, self.units),
            initializer=keras.initializers.GlorotUniform(self.seed),
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.scale_in = self.add_weight(
            shape=(self.members, inputs),
            initializer="ones" if self.signs is None else _Signs(self.signs),
            name="scale_in",
        )
        own = (self.members, self.units)
        self.scale_out = self.add_weight(shape=own, initializer="ones", name="scale_out")
        self.bias = self.add_weight(shape=own, initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """As the class says."""
        given = inputs[:, None, :] if len(inputs.shape) == 2 else inputs
        scaled = keras.ops.reshape(given * self.scale_in, (-1, self.kernel.shape[0]))
        mixed = keras.ops.matmul(scaled, self.kernel)
        parted = keras.ops.reshape(mixed, (-1, self.members, self.units))
        return parted * self.scale_out + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, m, units)`."""
        return (input_shape[0], self.members, self.units)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {
            "units": self.units,
            "members": self.members,
            "seed": self.seed,
            "signs": self.signs,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="fettle")
class Heads(keras.layers.Layer):  # type: ignore[misc]
    """The last layer, one for each member: `(n, m, d)` to `(n, units)`, one answer of them all.

    The answer is such that what follows makes the mean of the members' predictions out of it: for
    `classification` the logarithm of the mean of their probabilities, for `multilabel` the log
    odds of that mean, for `regression` the mean itself. In training it gives all answers,
    `(n, m, units)`, so that each member has a loss of its own: see
    `models.fitting.criterion.each_member`.
    """

    def __init__(
        self, units: int, task: Task, seed: int, kernel_regularizer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.task = task
        self.seed = seed
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """A kernel and a bias for each member."""
        _, members, inputs = input_shape
        self.kernel = self.add_weight(
            shape=(members, inputs, self.units),
            initializer=glorot(inputs, self.units, self.seed),
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(members, self.units), initializer="zeros", name="bias")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """As the class says."""
        answers = keras.ops.einsum("nmi,mio->nmo", inputs, self.kernel) + self.bias
        return answers if training else merged(answers, self.task)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(n, units)`, as at inference."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {
            "units": self.units,
            "task": self.task,
            "seed": self.seed,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
        return {**super().get_config(), **own}


def merged(answers: Any, task: Task) -> Any:
    """`(n, m, k)` answers of the members to one, `(n, k)`, as `Heads` says."""
    if task == "classification":
        return _log_sum(tf.nn.log_softmax(answers)) - log(answers.shape[1])
    if task == "multilabel":
        # The members' number cancels out of the odds.
        return _log_sum(tf.math.log_sigmoid(answers)) - _log_sum(tf.math.log_sigmoid(-answers))
    return keras.ops.mean(answers, axis=1)


def _log_sum(logarithms: Any) -> Any:
    return tf.reduce_logsumexp(logarithms, axis=1)
