"""Rare classes in training: they count more, or they come more often."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from dataset.partition import Keys, uniform


def told(targets: npt.NDArray[np.object_]) -> str:
    """What people should know of the weights that `dataset.target.learn` gives the classes."""
    counts = sorted(Counter(targets.tolist()).items(), key=lambda item: (item[1], item[0]))
    (rarest, few), (commonest, many) = counts[0], counts[-1]
    even = len(targets) / len(counts)
    return (
        f"training weighs classes alike: an example of {rarest!r} counts {even / few:.3g}, one of "
        f"{commonest!r} {even / many:.3g}"
    )


def repeats(targets: npt.NDArray[np.object_], keys: Keys, seed: int) -> npt.NDArray[np.int64]:
    """`(n,)` how often each training row comes, so that all classes come as often as the commonest.

    keys: `(n,)`, by which the rows are ordered where only some of a class are repeated once more.
    """
    import pandas as pd

    place, classes = pd.factorize(targets, sort=True)
    counts = np.bincount(place, minlength=len(classes))
    whole, rest = np.divmod(counts.max(), counts)
    order = np.lexsort((uniform(keys, seed), place))
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(targets), dtype=np.int64)
    rank[order] = np.arange(len(targets)) - begins[place[order]]
    times: npt.NDArray[np.int64] = whole[place] + (rank < rest[place])
    return times.astype(np.int64)


def told_of_repeats(times: npt.NDArray[np.int64]) -> str:
    """What people should know of repeated rows."""
    return f"training repeats examples of rarer classes: {len(times):,} became {times.sum():,}"
