"""Folds for cross-validation on the development part.

What may not be torn apart (copies, near copies, a group) has one key, and a key is in one fold.
Folds depend on all rows, since they are to be equal in size; the order in which keys are dealt is
by their hash, so that the same rows give the same folds in any order.
"""

import numpy as np
import numpy.typing as npt

from dataset.folding import Folding, Places
from dataset.partition import Keys, uniform

_APART = 2**32
"""Seeds of repeats are so far apart, and from that of the split, that none are met by chance."""


def deal(keys: Keys, strata: npt.NDArray[np.integer], folds: int, seed: int) -> Folding:
    """Folds of equal size, with equal shares of every stratum; equal keys stay together.

    keys, strata: `(n,)`; strata are 0, 1, ..., and all 0 where nothing is to be equal but the
    sizes. Rows whose key is theirs alone are dealt last, so that where all are, a stratum's counts
    differ by one at the most; larger units go first, each to the fold where the strata stay most
    even (as scikit-learn's StratifiedGroupKFold does it, but in an order given by hashes). Raises
    ValueError where there are fewer keys than folds.
    """
    _, first, unit, sizes = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    if len(sizes) < folds:
        raise ValueError(f"{folds} folds of {len(sizes)} units")
    order = np.argsort(uniform(keys[first], seed), kind="stable")
    counts = np.zeros((folds, int(strata.max(initial=0)) + 1))
    of_unit = np.full(len(sizes), -1, dtype=np.int32)
    _place_large(of_unit, counts, unit, strata, order, sizes)
    of_stratum = strata[first]
    for stratum in range(counts.shape[1]):
        alone = order[(sizes[order] == 1) & (of_stratum[order] == stratum)]
        quotas = _level(counts[:, stratum], counts.sum(axis=1), len(alone))
        of_unit[alone] = np.repeat(np.arange(folds, dtype=np.int32), quotas)
        counts[:, stratum] += quotas
    fold = of_unit[unit]
    return Folding(fold, np.zeros(len(fold), dtype=np.int32))


def _place_large(
    of_unit: npt.NDArray[np.int32],
    counts: npt.NDArray[np.float64],
    unit: npt.NDArray[np.integer],
    strata: npt.NDArray[np.integer],
    order: npt.NDArray[np.integer],
    sizes: npt.NDArray[np.integer],
) -> None:
    """Write the folds of units of several rows into `of_unit`, and add them up in `counts`."""
    by_size = order[np.argsort(-sizes[order], kind="stable")]
    rows = np.argsort(unit, kind="stable")
    begins = np.concatenate([[0], np.cumsum(sizes)])
    # A stratum counts by its share, so that the rare ones are as even as the common.
    share = 1 / np.maximum(np.bincount(strata, minlength=counts.shape[1]), 1)
    for one in by_size[sizes[by_size] > 1].tolist():
        held, more = np.unique(strata[rows[begins[one] : begins[one + 1]]], return_counts=True)
        # What the sum of squared shares grows by, and then the least full fold.
        growth = (more * (2 * counts[:, held] + more) * share[held] ** 2).sum(axis=1)
        fold = int(np.lexsort((counts.sum(axis=1), np.round(growth, 12)))[0])
        of_unit[one] = fold
        counts[fold, held] += more


def _level(
    heights: npt.NDArray[np.float64], totals: npt.NDArray[np.float64], more: int
) -> npt.NDArray[np.int64]:
    """How many of `more` each fold takes so that `heights` become as even as can be.

    What is left over goes to the folds with the lowest totals.
    """
    lowest = np.sort(heights)
    # With the k lowest raised to the height of the next, so much has been taken.
    taken = np.arange(1, len(lowest)) * lowest[1:] - np.cumsum(lowest)[:-1]
    raised = int((taken <= more).sum()) + 1
    level = np.floor((more + lowest[:raised].sum()) / raised)
    quotas: Places = np.maximum(level - heights, 0).astype(np.int64)
    low = np.flatnonzero(heights <= level)
    order = low[np.argsort((totals + quotas)[low], kind="stable")]
    quotas[order[: more - int(quotas.sum())]] += 1
    return quotas


def forward(ranks: npt.NDArray[np.integer], folds: int, gap: int) -> Folding:
    """Folds that go forward: each is validated on what comes after all that it trains on.

    ranks: `(n,)` the rows' times as whole numbers in their order. The times are cut into
    `folds + 1` stretches of about equal numbers of rows, the first of which only trains; `gap`
    distinct times before each stretch are left out of training for it. "Rolling origin": Tashman,
    "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting, 2000.
    Raises ValueError where there are too few distinct times.
    """
    distinct, place = np.unique(ranks, return_inverse=True)
    if len(distinct) < (folds + 1) * (gap + 1):
        raise ValueError(f"{folds} folds of {len(distinct)} distinct times")
    before = np.cumsum(np.bincount(place)) - np.bincount(place)
    stretch = before * (folds + 1) // len(ranks)
    begins = np.searchsorted(stretch, np.arange(folds + 1))
    # Every stretch has a time of its own beyond the gap, however the rows crowd.
    least = gap + 1
    for one in range(1, folds + 1):
        begins[one] = max(begins[one], begins[one - 1] + least)
    for one in range(folds, 0, -1):
        begins[one] = min(begins[one], len(distinct) - (folds + 1 - one) * least)
    fold = np.searchsorted(begins[1:], np.arange(len(distinct)), side="right") - 1
    since = np.searchsorted(begins[1:] - gap, np.arange(len(distinct)), side="right")
    return Folding(fold[place].astype(np.int32), since[place].astype(np.int32))


def repeated(
    keys: Keys, strata: npt.NDArray[np.integer], folds: int, repeats: int, seed: int
) -> list[Folding]:
    """`deal`, so many times, each time otherwise."""
    return [deal(keys, strata, folds, seed + _APART * (repeat + 1)) for repeat in range(repeats)]
