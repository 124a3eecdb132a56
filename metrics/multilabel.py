"""Figures of a task in which every example has any number of labels; see `metrics.classification`.

predictions: `(n, k)` probabilities, one a label, each by itself; truth: `(n, k)` of 0 and 1;
weights `(r, n)`; values `(r,)`, or `(r, k)` where there is one per label. A label is the answer
where its probability is above 0.5; for other thresholds see `metrics.threshold.Decision.sharp`.
"""

import numpy as np
import numpy.typing as npt

from metrics import scores
from metrics.classification import Predictions, Truth, precision_of
from metrics.weighted import Values, Weights, area, mean, mean_of_known, ratio

HALF = 0.5


def accuracy(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Share of all labels of all examples that are right, there or not: `(r,)`, from 0 to 1."""
    return mean(weights, _right(probabilities, truth).mean(axis=1))


def exact_match(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Share of examples of which every label is right: `(r,)`, from 0 to 1."""
    return mean(weights, np.all(_right(probabilities, truth), axis=1))


def recalls(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Share of each label's examples that were found: `(r, k)`; NaN without examples."""
    right, _, actual = counts(probabilities, truth, weights)
    return ratio(right, actual)


def precisions(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Share of each label's answers that were right: `(r, k)`.

    A label that is never the answer has 0 where it has examples, else NaN.
    """
    return precision_of(*counts(probabilities, truth, weights))


def recall(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Mean recall over the labels that have examples: `(r,)`, from 0 to 1."""
    return mean_of_known(recalls(probabilities, truth, weights))


def precision(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Mean precision over the labels that have examples or answers: `(r,)`, from 0 to 1."""
    return mean_of_known(precisions(probabilities, truth, weights))


def macro_f1(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Mean F1 over the labels that have examples or answers: `(r,)`, from 0 to 1."""
    right, answered, actual = counts(probabilities, truth, weights)
    return mean_of_known(ratio(2 * right, answered + actual))


def auc(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Mean area under the ROC curve over the labels that some examples have and some have not:
    `(r,)`, from 0 to 1; 0.5 is chance."""
    areas = [
        area(probabilities[:, place], truth[:, place] > HALF, weights)
        for place in range(truth.shape[1])
    ]
    return mean_of_known(np.stack(areas, axis=1))


def log_loss(probabilities: Predictions, truth: Truth, weights: Weights) -> Values:
    """Binary cross-entropy, mean over examples and labels: `(r,)`, in nats."""
    return mean(weights, scores.binary_log_losses(probabilities, truth).mean(axis=1))


def counts(
    probabilities: Predictions, truth: Truth, weights: Weights
) -> tuple[Values, Values, Values]:
    """Weighted counts of each label's right answers, answers and examples, each `(r, k)`."""
    answered, actual = probabilities > HALF, truth > HALF
    return (
        _columns(weights, answered & actual),
        _columns(weights, answered),
        _columns(weights, actual),
    )


def _columns(weights: Weights, chosen: npt.NDArray[np.bool_]) -> Values:
    """`(r, k)` sums of the weights where `chosen` `(n, k)` says so."""
    sums = [(weights * column).sum(axis=1) for column in chosen.T]
    return np.stack(sums, axis=1).astype(np.float64)


def _right(probabilities: Predictions, truth: Truth) -> npt.NDArray[np.bool_]:
    right: npt.NDArray[np.bool_] = (probabilities > HALF) == (truth > HALF)
    return right
