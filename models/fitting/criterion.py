"""What a fit minimises, and how it is scored after every epoch, by the kind of target."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from dataset.target import Target
from metrics import scores
from models.settings import FitSettings

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Criterion:
    """A loss for training, and figures for validation."""

    loss: Callable[[Any, Any], Any]
    """Codes `(b, …)` and outputs `(b, k)` as tensors to the loss, `(b,)`."""
    correct: Callable[[Any, Any], Any] | None
    """The same to the share that is right, `(b,)`; None where that means nothing."""
    measure: Callable[[Array, Array, Array | None], tuple[float, float | None]]
    """Codes, outputs and weights `(n,)` or None as arrays to validation loss and accuracy."""


def of(target: Target) -> Criterion:
    """The standard criterion that suits the target."""
    return {
        "classification": CLASSIFY,
        "multilabel": CLASSIFY_LABELS,
        "regression": REGRESS,
    }[target.task]


def trained_by(target: Target, settings: FitSettings) -> Criterion:
    """The same, but that fits minimise what the settings say.

    Validation stays as it was: figures of different losses could not be compared.
    """
    plain, smoothing = of(target), settings.label_smoothing
    gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
    if settings.loss == "huber":
        return replace(plain, loss=huber(settings.huber_delta))
    if not smoothing and not gamma:
        return plain
    if target.task == "multilabel":
        return replace(plain, loss=labels_loss(smoothing, gamma))
    return replace(plain, loss=classes_loss(smoothing, gamma))


@cache
def classes_loss(smoothing: float, gamma: float) -> Callable[[Any, Any], Any]:
    """Cross-entropy of `(b,)` codes and `(b, k)` logits with `smoothing` of the truth spread over
    all classes, in which a class that is given p counts by `(1 - p)^gamma`.

    Szegedy et al., "Rethinking the Inception architecture", CVPR 2016; Lin et al., "Focal loss for
    dense object detection", ICCV 2017.
    """

    def loss(codes: Any, logits: Any) -> Any:
        classes = logits.shape[-1]
        told = keras.ops.one_hot(keras.ops.cast(codes, "int32"), classes)
        told = told * (1 - smoothing) + smoothing / classes
        logs = keras.ops.log_softmax(logits)
        return -keras.ops.sum(told * _doubt(logs, gamma) * logs, axis=-1)

    return loss


@cache
def labels_loss(smoothing: float, gamma: float) -> Callable[[Any, Any], Any]:
    """The same of `(b, k)` labels, each of which is a distribution over two: their mean."""

    def loss(codes: Any, logits: Any) -> Any:
        told = codes * (1 - smoothing) + smoothing / 2
        yes, no = keras.ops.log_sigmoid(logits), keras.ops.log_sigmoid(-logits)
        costs = told * _doubt(yes, gamma) * yes + (1 - told) * _doubt(no, gamma) * no
        return -keras.ops.mean(costs, axis=-1)

    return loss


def _doubt(logs: Any, gamma: float) -> Any:
    """`(1 - p)^gamma` of log probabilities."""
    # The power's own gradient is not finite where p is 1.
    return keras.ops.maximum(1 - keras.ops.exp(logs), 1e-7) ** gamma if gamma else 1.0


@cache
def huber(delta: float) -> Callable[[Any, Any], Any]:
    """Half the squared error up to `delta`, and beyond it linear: of `(b, k)` the mean over k.

    Huber, "Robust estimation of a location parameter", 1964.
    """

    def loss(codes: Any, outputs: Any) -> Any:
        return keras.losses.huber(codes, outputs, delta=delta)

    return loss


class EachMember(keras.losses.Loss):  # type: ignore[misc]
    """A criterion's loss as Keras takes it, for networks of many members too.

    Keras's wrapper of functions would take an axis away that it thinks is one too many.
    """

    def __init__(self, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="loss")
        self.loss = loss

    def call(self, codes: Any, outputs: Any) -> Any:
        """As `each_member`."""
        return each_member(self.loss)(codes, outputs)


def each_member(figure: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A loss or a share of `(b, …)` codes and `(b, k)` outputs that also takes `(b, m, k)` ones.

    Those are the outputs of m members, as `models.networks.member_layers.Heads` gives them in
    training; the figure is then the mean of the members' own. So every member learns by itself: a
    loss of their mean would have them learn to make up for each other.
    """

    def mean(codes: Any, outputs: Any) -> Any:
        if len(outputs.shape) == 2:
            return figure(codes, outputs)
        _, members, size = outputs.shape
        repeated = keras.ops.repeat(codes, members, axis=0)
        own = figure(repeated, keras.ops.reshape(outputs, (-1, size)))
        return keras.ops.mean(keras.ops.reshape(own, (-1, members)), axis=1)

    return mean


def accuracy(codes: Any, logits: Any) -> Any:
    """1.0 where the highest of `(b, k)` logits is at the `(b,)` code, else 0.0."""
    return keras.metrics.sparse_categorical_accuracy(codes, logits)


def labels_right(codes: Any, logits: Any) -> Any:
    """The share of `(b, k)` labels on whose side of 0 the logits are, `(b,)`."""
    right = keras.ops.equal(codes > 0.5, logits > 0)
    return keras.ops.mean(keras.ops.cast(right, "float32"), axis=-1)


def measure_classes(
    codes: Array, logits: Array, weights: Array | None = None
) -> tuple[float, float]:
    """Log loss and accuracy of `(n, k)` logits, whatever was minimised: comparable over stages."""
    probabilities = scores.softmax(logits)
    loss = scores.log_losses(probabilities, codes)
    right = probabilities.argmax(axis=1) == codes
    return _mean(loss, weights), float(right.mean())


def _measure_labels(
    codes: Array, logits: Array, weights: Array | None = None
) -> tuple[float, float]:
    loss = scores.binary_log_losses(scores.sigmoid(logits), codes).mean(axis=1)
    return _mean(loss, weights), float(((logits > 0) == (codes > 0.5)).mean())


def _measure_quantities(
    codes: Array, outputs: Array, weights: Array | None = None
) -> tuple[float, None]:
    errors = (outputs.astype(np.float64) - codes) ** 2
    return _mean(errors.mean(axis=1), weights), None


def _mean(values: Array, weights: Array | None) -> float:
    return float(values.mean() if weights is None else (values * weights).sum() / weights.sum())


def _cross_entropy(codes: Any, logits: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(codes, logits, from_logits=True)


def _binary_cross_entropy(codes: Any, logits: Any) -> Any:
    return keras.losses.binary_crossentropy(codes, logits, from_logits=True)


def _squared_error(codes: Any, outputs: Any) -> Any:
    return keras.losses.mean_squared_error(codes, outputs)


CLASSIFY = Criterion(_cross_entropy, accuracy, measure_classes)
"""Cross-entropy between `(b,)` int32 codes and logits."""
CLASSIFY_LABELS = Criterion(_binary_cross_entropy, labels_right, _measure_labels)
"""Binary cross-entropy between `(b, k)` codes and logits, the mean over labels."""
REGRESS = Criterion(_squared_error, None, _measure_quantities)
"""Squared error between `(b, k)` standardised quantities and outputs, the mean over targets."""
