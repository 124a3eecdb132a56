"""The layer by which several networks answer as one; registered."""

from math import log
from typing import Any

import keras
import tensorflow as tf

from dataset.target import LARGEST_EXPONENT, Task
from models.networks import layers, member_layers


@keras.saving.register_keras_serializable(package="fettle")
class Vote(keras.layers.Layer):  # type: ignore[misc]
    """The outputs of m networks, a list of `(n, k)` float32, to one, `(n, k)` float32.

    It is such that what follows makes the mean of the networks' predictions out of it: for
    `classification` the logarithm of the mean of their probabilities, for `multilabel` the log
    odds of that mean, for `regression` the code of the mean quantity. `quantities` are the fields
    of each `dataset.target.Quantity`; none for the other tasks.
    """

    def __init__(self, task: Task, quantities: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task = task
        self.quantities = quantities

    def call(self, outputs: list[Any]) -> Any:
        """As the class says."""
        answers = tf.stack(outputs, axis=1)
        if self.task != "regression":
            return member_layers.merged(answers, self.task)
        exact = tf.cast(answers, tf.float64)
        means = [_mean(exact[:, :, place], told) for place, told in enumerate(self.quantities)]
        return tf.cast(tf.stack(means, axis=1), tf.float32)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> Any:
        """`(n, k)`."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "task": self.task, "quantities": self.quantities}


def _mean(codes: Any, quantity: dict[str, Any]) -> Any:
    """`(n, m)` float64 codes of one target to `(n,)`, the code of the mean of its quantities."""
    members = codes.shape[1]
    transformed = codes * quantity["scale"] + quantity["mean"]
    if quantity["transform"] == "log":
        bounded = tf.minimum(transformed, LARGEST_EXPONENT)
        mean = tf.reduce_logsumexp(bounded, axis=1) - log(members)
    elif quantity["transform"] == "quantile":
        knots, scores = quantity["knots"], quantity["scores"]
        told = layers.interpolate(tf.reshape(transformed, [-1]), scores, knots)
        whole = tf.reduce_mean(tf.reshape(told, [-1, members]), axis=1)
        mean = layers.interpolate(whole, knots, scores)
    else:
        mean = tf.reduce_mean(transformed, axis=1)
    return (mean - quantity["mean"]) / quantity["scale"]
