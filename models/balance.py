"""Rare classes in training: they count more, or they come more often."""

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.examples import Examples
from models.partition import Keys, uniform


def balanced(
    train: Examples, keys: Keys, how: Literal["weights", "resample"], seed: int
) -> tuple[Examples, str]:
    """The training examples of a classification with equal classes, and a note for people.

    keys: `(n,)`, by which the rows are ordered where only some of a class are repeated once more.
    """
    classes, place, counts = np.unique(
        train.targets.astype(str), return_inverse=True, return_counts=True
    )
    if how == "weights":
        each = len(train) / (len(classes) * counts)
        own = 1.0 if train.weights is None else train.weights
        weights = (each[place] * own).astype(np.float32)
        rarest, commonest = int(counts.argmin()), int(counts.argmax())
        return replace(train, weights=weights), (
            f"training weighs classes alike: an example of {str(classes[rarest])!r} counts "
            f"{each[rarest]:.3g}, one of {str(classes[commonest])!r} {each[commonest]:.3g}"
        )
    order = np.lexsort((uniform(keys, seed), place))
    chosen = _repeated(order, counts)
    return train.take(chosen), (
        f"training repeats examples of rarer classes: {len(train):,} became {len(chosen):,}, "
        f"{counts.max():,} of each class"
    )


def _repeated(order: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`order` holds the places class by class; every class as often as the commonest."""
    most = int(counts.max())
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])
    chosen = [
        np.resize(order[begin : begin + count], most)
        for begin, count in zip(begins.tolist(), counts.tolist(), strict=True)
    ]
    # In the order of the rows, as without repeats.
    return np.sort(np.concatenate(chosen)).astype(np.int64)
