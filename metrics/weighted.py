"""Sums, means and ratios over many weightings of the examples at once.

Weights are `(r, n)`: how often, or how much, each of r resamplings counts each of n examples;
whole numbers, or floats where examples differ in importance. Sums run in an order that the data
alone fixes and never go through a BLAS product, so the bytes do not depend on the number of
threads.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.integer] | npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


def even(n: int) -> npt.NDArray[np.int64]:
    """`(1, n)` int64 ones: every example counts once."""
    return np.ones((1, n), dtype=np.int64)


def grouped_sums(
    weights: Weights, groups: npt.NDArray[np.integer], number: int, values: Values | None = None
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


def mean(weights: Weights, values: Array) -> Values:
    """`(r,)` weighted means of `values` `(n,)`; NaN where nothing weighs."""
    return ratio((weights * values).sum(axis=1), weights.sum(axis=1))


def ratio(above: Array, below: Array) -> Values:
    """Above / below, and NaN where below is 0."""
    quotient = np.full(below.shape, np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def mean_of_known(values: Values) -> Values:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def area(
    scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_], weights: Weights
) -> Values:
    """Share of (positive, negative) pairs that `scores` `(n,)` put in order: `(r,)`.

    A tie counts half (Hanley and McNeil, 1982); NaN without pairs.
    """
    order = np.argsort(scores[~positive], kind="stable")
    negative_scores = scores[~positive][order]
    taken = weights[:, ~positive][:, order]
    below = np.zeros((len(weights), len(order) + 1), dtype=weights.dtype)
    np.cumsum(taken, axis=1, out=below[:, 1:])
    lower = np.searchsorted(negative_scores, scores[positive], side="left")
    upper = np.searchsorted(negative_scores, scores[positive], side="right")
    positives = weights[:, positive]
    # Twice the pairs in order, a tie once: of whole weights exact in any order.
    twice = (positives * (below[:, lower] + below[:, upper])).sum(axis=1)
    pairs = positives.sum(axis=1) * below[:, -1]
    return ratio(twice, 2 * pairs)
