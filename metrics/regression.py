"""Figures of predicted quantities; see `metrics.classification`.

predictions, truth: `(n, k)` floats in the targets' own units; weights `(r, n)`; values `(r,)`. Of
several targets each figure is the mean over the targets, whatever their units: choose targets
that may be added up, or units that make them so.
"""

import numpy as np

from metrics.classification import Figure, Predictions, Truth
from metrics.weighted import Values, Weights, mean, ratio

DUST = 1e-10
"""A spread this small beside the largest deviation is what rounding leaves of equal values."""


def rmse(predictions: Predictions, truth: Truth, weights: Weights) -> Values:
    """Root of the mean squared error: `(r,)`, in the target's unit."""
    squares = _errors(predictions, truth) ** 2
    return _over_targets([np.sqrt(mean(weights, column)) for column in squares.T])


def mae(predictions: Predictions, truth: Truth, weights: Weights) -> Values:
    """Mean distance between prediction and truth: `(r,)`, in the target's unit."""
    distances = np.abs(_errors(predictions, truth))
    return _over_targets([mean(weights, column) for column in distances.T])


def pinball(quantile: float) -> Figure:
    """The figure "pinball loss": the mean of what a prediction of a quantile (0 to 1) costs,
    `quantile` for each unit it lies too low and 1 - `quantile` for each it lies too high: `(r,)`,
    in the target's unit. Koenker and Bassett, "Regression Quantiles", 1978.
    """

    def figure(predictions: Predictions, truth: Truth, weights: Weights) -> Values:
        errors = _errors(predictions, truth)
        losses = np.where(errors < 0, -quantile * errors, (1 - quantile) * errors)
        return _over_targets([mean(weights, column) for column in losses.T])

    return figure


def r2(predictions: Predictions, truth: Truth, weights: Weights) -> Values:
    """Share of the truth's variance that the predictions explain: `(r,)`, at most 1.

    0 is as good as always predicting the mean of the same examples, and below 0 worse; NaN where
    a resampling's truth does not vary.
    """
    squares = _errors(predictions, truth) ** 2
    explained = []
    for column, actual in zip(squares.T, truth.astype(np.float64).T, strict=True):
        centred = actual - actual.mean()
        deviations = centred - mean(weights, centred)[:, np.newaxis]
        lost = (weights * column).sum(axis=1)
        spread = (weights * deviations**2).sum(axis=1)
        least = weights.sum(axis=1) * (DUST * np.abs(centred).max()) ** 2
        explained.append(1 - ratio(lost, np.where(spread > least, spread, 0.0)))
    return _over_targets(explained)


def _errors(predictions: Predictions, truth: Truth) -> Values:
    """Prediction minus truth, `(n, k)` float64."""
    return predictions.astype(np.float64) - truth.astype(np.float64)


def _over_targets(values: list[Values]) -> Values:
    """The mean over the targets, in their order."""
    together: Values = np.stack(values, axis=1).mean(axis=1)
    return together
