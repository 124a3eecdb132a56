"""Figures that say how good class probabilities are, each over many weightings at once.

Every figure of this module, of `metrics.multilabel` and of `metrics.regression` is a function
`(predictions, truth, weights) -> values`. Here:

- predictions: `(n, classes)` floats, rows adding up to 1
- truth: `(n,)` integers, places in the classes
- weights: `(r, n)`, how often each of r resamplings holds each example, times the example's
  importance where it has one; `even(n)` for the examples as they are
- values: `(r,)` float64, or `(r, classes)` where there is one per class; NaN where a resampling
  holds nothing to measure

A bootstrap is then one call. Figures about decisions take the likeliest class; another decision is
measured by handing them what `metrics.threshold.Decision.sharp` makes of the probabilities.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from metrics import scores
from metrics.weighted import (
    Values,
    Weights,
    area,
    even,
    grouped_sums,
    mean,
    mean_of_known,
    ratio,
)

Predictions = npt.NDArray[np.floating]
Truth = npt.NDArray[Any]
Labels = npt.NDArray[np.integer]
Figure = Callable[[Predictions, Truth, Weights], Values]


def confusion(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Weighted counts `(r, classes, classes)`: actual class by predicted class."""
    number = probabilities.shape[1]
    cells = labels * number + probabilities.argmax(axis=1)
    return grouped_sums(weights, cells, number * number).reshape(-1, number, number)


def accuracy(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Share of examples whose likeliest class is the right one: `(r,)`, from 0 to 1."""
    _, right = _confidence(probabilities, labels)
    return mean(weights, right)


def log_loss(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Mean of minus the natural logarithm of the right class's probability: `(r,)`, in nats."""
    return mean(weights, scores.log_losses(probabilities, labels))


def recall(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Share of each class's examples that were found: `(r, classes)`; NaN without examples."""
    counts = confusion(probabilities, labels, weights)
    return ratio(_diagonal(counts), counts.sum(axis=2))


def precision(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Share of the answers with each class that were right: `(r, classes)`.

    A class that is never the answer has 0 where it has examples, else NaN.
    """
    counts = confusion(probabilities, labels, weights)
    return precision_of(_diagonal(counts), counts.sum(axis=1), counts.sum(axis=2))


def precision_of(right: Values, answered: Values, actual: Values) -> Values:
    """Right / answered; where nothing was answered 0 if something was to be found, else NaN."""
    return np.where((answered == 0) & (actual > 0), 0.0, ratio(right, answered))


def recall_of(place: int) -> Figure:
    """The figure "recall of the class at `place`": `(r,)`, from 0 to 1."""

    def figure(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
        return recall(probabilities, labels, weights)[:, place]

    return figure


def precision_of_class(place: int) -> Figure:
    """The figure "precision of the class at `place`": `(r,)`, from 0 to 1."""

    def figure(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
        return precision(probabilities, labels, weights)[:, place]

    return figure


def recall_at_precision(place: int, least: float) -> Figure:
    """The figure "recall of the class at `place`, where its precision is at least `least`".

    The highest recall that any threshold on the class's probability gives, among those whose
    precision is high enough: `(r,)`, from 0 to 1; 0 where there is none, NaN without examples of
    the class. Every resampling takes its own threshold.
    """

    def figure(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
        given = probabilities[:, place]
        order = np.argsort(-given, kind="stable")
        positive = labels[order] == place
        taken = weights[:, order]
        # Equal probabilities fall on one side together: only the last of each is a threshold.
        ends = np.flatnonzero(np.append(np.diff(given[order]) != 0, True))
        answered = np.cumsum(taken, axis=1)[:, ends]
        found = np.cumsum(taken * positive, axis=1)[:, ends]
        enough = ratio(found, answered) >= least
        return ratio(np.where(enough, found, 0).max(axis=1), found[:, -1])

    return figure


def balanced_accuracy(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Mean recall over the classes that have examples: `(r,)`, from 0 to 1."""
    return mean_of_known(recall(probabilities, labels, weights))


def macro_f1(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Mean F1 (harmonic mean of precision and recall) over classes: `(r,)`, from 0 to 1.

    A class counts where it has examples or predictions; else it has no F1.
    """
    counts = confusion(probabilities, labels, weights)
    met = counts.sum(axis=1) + counts.sum(axis=2)
    return mean_of_known(ratio(2 * _diagonal(counts), met))


def auc(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
    """Area under the ROC curve: `(r,)`, from 0 to 1; 0.5 is chance.

    With two classes that of the second; with more the mean over the classes, each against the
    rest, which have examples on both sides. Ties count half.
    """
    if probabilities.shape[1] == 2:
        return area(probabilities[:, 1], labels == 1, weights)
    areas = [
        area(probabilities[:, place], labels == place, weights)
        for place in range(probabilities.shape[1])
    ]
    return mean_of_known(np.stack(areas, axis=1))


def calibration_error(bins: int) -> Figure:
    """The figure "expected calibration error" over `bins` bins of equal width.

    The mean distance, weighted by examples, between the confidence (the likeliest class's
    probability) and the accuracy within a bin: `(r,)`, from 0 to 1. Guo et al., "On Calibration
    of Modern Neural Networks", 2017. Chance alone makes it greater than 0, the more so the fewer
    examples a bin holds.
    """

    def figure(probabilities: Predictions, labels: Labels, weights: Weights) -> Values:
        confidence, right = _confidence(probabilities, labels)
        gaps = grouped_sums(weights, _bins(confidence, bins), bins, confidence - right)
        return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))

    return figure


def calibration_bins(
    probabilities: Predictions, labels: Labels, bins: int
) -> list[dict[str, float]]:
    """What a calibration plot draws: for each bin with examples its `examples`, mean `confidence`
    and `accuracy`, by rising confidence."""
    confidence, right = _confidence(probabilities, labels)
    places, weights = _bins(confidence, bins), even(len(labels))
    examples = grouped_sums(weights, places, bins)[0]
    sums = grouped_sums(weights, places, bins, confidence)[0]
    hits = grouped_sums(weights, places, bins, right)[0]
    return [
        {
            "examples": int(examples[place]),
            "confidence": float(sums[place] / examples[place]),
            "accuracy": float(hits[place] / examples[place]),
        }
        for place in np.flatnonzero(examples)
    ]


def _confidence(probabilities: Predictions, labels: Labels) -> tuple[Values, Values]:
    """The likeliest class's probability and whether it was right, both `(n,)` float64."""
    right = probabilities.argmax(axis=1) == labels
    return probabilities.max(axis=1).astype(np.float64), right.astype(np.float64)


def _bins(confidence: Values, bins: int) -> npt.NDArray[np.int64]:
    """The bin of each confidence; bins are closed on the right, as in Guo et al."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _diagonal(counts: Values) -> Values:
    return np.diagonal(counts, axis1=1, axis2=2)
