"""Figures that say how good probabilities are, each over many weightings of the examples at once.

Every figure is a function `(probabilities, labels, weights) -> values`:

- probabilities: `(n, classes)` floats, rows adding up to 1
- labels: `(n,)` integers, places in the classes
- weights: `(r, n)` integers, how often each of r resamplings holds each example; `even(n)` for the
  examples as they are
- values: `(r,)` float64, or `(r, classes)` where there is one per class; NaN where a resampling
  holds nothing to measure

A bootstrap is then one call. Sums run in an order that the data alone fixes and never go through
a BLAS product, so the bytes do not depend on the number of threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from models.scores import SMALLEST

Probabilities = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Weights = npt.NDArray[np.integer]
Values = npt.NDArray[np.float64]
Figure = Callable[[Probabilities, Labels, Weights], Values]


def even(n: int) -> npt.NDArray[np.int64]:
    """`(1, n)` int64 ones: every example counts once."""
    return np.ones((1, n), dtype=np.int64)


def grouped_sums(
    weights: Weights, groups: Labels, number: int, values: Values | None = None
) -> Values:
    """Sums of the weights, times `values` `(n,)` where given, within each group: `(r, number)`.

    `groups` `(n,)` are integers from 0 to `number` - 1; a group without examples adds up to 0.
    """
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    taken = weights[:, order]
    terms = taken if values is None else taken * values[order]
    sums = np.zeros((len(weights), number))
    if present.size:
        sums[:, present] = np.add.reduceat(terms, starts, axis=1)
    return sums


def confusion(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Weighted counts `(r, classes, classes)`: actual class by predicted class."""
    number = probabilities.shape[1]
    cells = labels * number + probabilities.argmax(axis=1)
    return grouped_sums(weights, cells, number * number).reshape(-1, number, number)


def accuracy(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Share of examples whose likeliest class is the right one: `(r,)`, from 0 to 1."""
    _, right = _confidence(probabilities, labels)
    return _mean(weights, right)


def log_loss(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Mean of minus the natural logarithm of the right class's probability: `(r,)`, in nats."""
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return _mean(weights, -np.log(np.maximum(given, SMALLEST)))


def recall(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Share of each class's examples that were found: `(r, classes)`; NaN without examples."""
    counts = confusion(probabilities, labels, weights)
    return _ratio(_diagonal(counts), counts.sum(axis=2))


def balanced_accuracy(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Mean recall over the classes that have examples: `(r,)`, from 0 to 1."""
    return _mean_of_known(recall(probabilities, labels, weights))


def macro_f1(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Mean F1 (harmonic mean of precision and recall) over classes: `(r,)`, from 0 to 1.

    A class counts where it has examples or predictions; else it has no F1.
    """
    counts = confusion(probabilities, labels, weights)
    met = counts.sum(axis=1) + counts.sum(axis=2)
    return _mean_of_known(_ratio(2 * _diagonal(counts), met))


def auc(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Area under the ROC curve: `(r,)`, from 0 to 1; 0.5 is chance.

    With two classes that of the second; with more the mean over the classes, each against the
    rest, which have examples on both sides. Ties count half (Hanley and McNeil, 1982).
    """
    if probabilities.shape[1] == 2:
        return _area(probabilities[:, 1], labels == 1, weights)
    areas = [
        _area(probabilities[:, place], labels == place, weights)
        for place in range(probabilities.shape[1])
    ]
    return _mean_of_known(np.stack(areas, axis=1))


def calibration_error(bins: int) -> Figure:
    """The figure "expected calibration error" over `bins` bins of equal width.

    The mean distance, weighted by examples, between the confidence (the likeliest class's
    probability) and the accuracy within a bin: `(r,)`, from 0 to 1. Guo et al., "On Calibration
    of Modern Neural Networks", 2017. Chance alone makes it greater than 0, the more so the fewer
    examples a bin holds.
    """

    def figure(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
        confidence, right = _confidence(probabilities, labels)
        gaps = grouped_sums(weights, _bins(confidence, bins), bins, confidence - right)
        return _ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))

    return figure


def calibration_bins(
    probabilities: Probabilities, labels: Labels, bins: int
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


def _confidence(probabilities: Probabilities, labels: Labels) -> tuple[Values, Values]:
    """The likeliest class's probability and whether it was right, both `(n,)` float64."""
    right = probabilities.argmax(axis=1) == labels
    return probabilities.max(axis=1).astype(np.float64), right.astype(np.float64)


def _bins(confidence: Values, bins: int) -> npt.NDArray[np.int64]:
    """The bin of each confidence; bins are closed on the right, as in Guo et al."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _area(
    scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_], weights: Weights
) -> Values:
    """Share of (positive, negative) pairs that the scores put in order; NaN without pairs."""
    order = np.argsort(scores[~positive], kind="stable")
    negative_scores = scores[~positive][order]
    below = np.zeros((len(weights), len(order) + 1), dtype=np.int64)
    np.cumsum(weights[:, ~positive][:, order], axis=1, out=below[:, 1:])
    lower = np.searchsorted(negative_scores, scores[positive], side="left")
    upper = np.searchsorted(negative_scores, scores[positive], side="right")
    positives = weights[:, positive]
    # Twice the pairs in order, a tie once: whole numbers, so exact in any order.
    twice = (positives * (below[:, lower] + below[:, upper])).sum(axis=1)
    pairs = positives.sum(axis=1) * below[:, -1]
    return _ratio(twice, 2 * pairs)


def _mean(weights: Weights, values: Values) -> Values:
    return _ratio((weights * values).sum(axis=1), weights.sum(axis=1))


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Values:
    """Above / below, and NaN where below is 0."""
    ratio = np.full(below.shape, np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio


def _mean_of_known(values: Values) -> Values:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def _diagonal(counts: Values) -> Values:
    return np.diagonal(counts, axis1=1, axis2=2)
