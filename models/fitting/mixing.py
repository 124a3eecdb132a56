"""Mixup: a network is trained on mixtures of two examples and of what they say.

Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018,
https://arxiv.org/abs/1710.09412. Every example of a batch is mixed with the one as far from the
batch's end as it is from the beginning: batches are drawn at random, so that is a random partner.
Each mixture has a share of its own from a Beta distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from dataset.target import Task
from models.fitting.criterion import Criterion


@dataclass(frozen=True)
class Mixing:
    """How examples of a task are mixed."""

    alpha: float
    """Both parameters of the Beta distribution: the smaller, the less is mixed."""
    task: Task
    seed: int

    def dataset(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """An endless data set of batches (inputs, codes, and weights if any), mixed."""
        return batches.enumerate().map(self.mixed)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def mixed(self, step: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        """One batch, by numbers that follow from the seed and the step."""
        inputs, codes, *weights = batch
        share = beta(
            tf.shape(inputs)[:1], self.alpha, tf.stack([self.seed, tf.cast(step, "int64")])
        )
        mixed = [mixture(values, share) for values in (inputs, *weights)]
        return mixed[0], self._codes(codes, share, *weights), *mixed[1:]

    def _codes(
        self, codes: tf.Tensor, share: tf.Tensor, weights: tf.Tensor | None = None
    ) -> tf.Tensor:
        if self.task != "classification":
            return mixture(codes, share)
        both = [tf.cast(one, tf.float32) for one in (codes, codes[::-1])]
        # Of the loss, whose weight is the mixed one: so that each example has its own there.
        own = share
        if weights is not None:
            own = tf.math.divide_no_nan(share * weights, mixture(weights, share))
        return tf.stack([*both, share, own], axis=1)

    def criterion(self, criterion: Criterion) -> Criterion:
        """The same for mixtures. Of classes the codes are then `(b, 4)` float32: both codes, the
        share of the first in the mixture, and that in the loss; the losses of both are mixed, and
        what is right is the larger part."""
        if self.task != "classification":
            return criterion
        return Criterion(
            _of_both(criterion.loss),
            None if criterion.correct is None else _of_larger(criterion.correct),
            criterion.measure,
        )


def beta(shape: Any, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws from Beta(alpha, alpha), as the share of one of two Gamma variables."""
    drawn = tf.random.stateless_gamma(tf.concat([[2], shape], 0), seed, alpha)
    # With a small alpha both may underflow to 0; then the first counts whole.
    tiny = tf.constant(1e-30)
    return (drawn[0] + tiny) / (drawn[0] + drawn[1] + tiny)


def mixture(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """`share` `(b,)` of each of `values` `(b, …)`, and the rest of its partner."""
    spread = tf.reshape(share, [-1, *[1] * (len(values.shape) - 1)])
    return spread * values + (1 - spread) * values[::-1]


_Figure = Callable[[Any, Any], Any]


def _of_both(loss: _Figure) -> _Figure:
    def mixed(codes: Any, outputs: Any) -> Any:
        one, other = (keras.ops.cast(codes[:, place], "int32") for place in (0, 1))
        share = codes[:, 3]
        return share * loss(one, outputs) + (1 - share) * loss(other, outputs)

    return mixed


def _of_larger(correct: _Figure) -> _Figure:
    def larger(codes: Any, outputs: Any) -> Any:
        return correct(keras.ops.where(codes[:, 2] >= 0.5, codes[:, 0], codes[:, 1]), outputs)

    return larger
