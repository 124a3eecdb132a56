"""Labels that look wrong: examples on whose class a small model confidently disagrees.

As in Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 2021: an example is suspect where the out-of-fold probability of another class is at least what
that class's own examples get on average. Where classes overlap by nature (who will earn more, who
will leave) such examples are no mistakes; so only pairs of classes count which the model tells
apart well.
"""

import numpy as np
import numpy.typing as npt

from dataset import folds
from dataset.checks import quick_models
from dataset.checks.findings import Finding
from dataset.examples import Examples, Schema
from dataset.partition import content_keys

SAMPLE = 20_000
PICTURES = 6_000
"""Rows, or pictures, looked at at the most: seconds."""
FOLDS = 4
SMALLEST = 10
"""A class with fewer examples has no average to go by."""
APART = 0.9
"""Share of the examples of two classes that the model must put into the right one of them."""
FAIR = 0.75
"""The same as the mean of both classes, so that a common class does not hide a rare one."""
UNLIKELY = 0.1
"""Probability of the given label, at the most."""
FEWEST = 3
"""Fewer suspects than this are left in peace: every data set has an example or two that are odd."""
NAMED = 20
"""Suspects named at the most."""

Floats = npt.NDArray[np.float64]


def look(examples: Examples, schema: Schema) -> list[Finding]:
    """At most one finding, for a classification."""
    if schema.task != "classification":
        return []
    places = _sample(examples, PICTURES if schema.kind == "pictures" else SAMPLE)
    names, codes = np.unique(examples.targets[places].astype(str), return_inverse=True)
    if len(names) < 2:
        return []
    looked = examples.take(places)
    keys = content_keys(looked)
    if len(np.unique(keys)) < FOLDS:
        return []
    fold = folds.deal(keys, codes, FOLDS, seed=0).fold
    chances = quick_models.probabilities(looked, schema, codes.astype(np.int64), fold)
    guessed, doubt = suspects(chances, codes)
    if len(doubt) < FEWEST:
        return []
    told = "; ".join(
        f"row {looked.rows[place] + 1} is {str(names[codes[place]])!r} and looks like "
        f"{str(names[guessed[place]])!r}"
        for place in doubt[:NAMED].tolist()
    )
    more = f", the {NAMED} clearest of them" if len(doubt) > NAMED else ""
    among = f" of {len(places):,} looked at"
    return [
        Finding(
            "label_noise",
            "warning",
            f"{len(doubt):,} rows{among} have a label that a small model doubts{more}: {told}",
            "Look at them, and correct the labels that are wrong.",
        )
    ]


def suspects(
    chances: Floats, codes: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(n,)` classes guessed, and the places of suspects, the most doubtful label first.

    chances: `(n, classes)` out-of-fold; codes: `(n,)` the labels given.
    """
    every = np.arange(len(codes))
    guessed = chances.argmax(axis=1)
    own = chances[every, codes]
    # What a class's examples get on average: Northcutt's threshold.
    sizes = np.maximum(np.bincount(codes, minlength=chances.shape[1]), 1)
    usual = np.bincount(codes, weights=own, minlength=chances.shape[1]) / sizes
    top = chances[every, guessed]
    doubtful = (
        (guessed != codes)
        & (top >= usual[guessed])
        & (own <= UNLIKELY)
        & _told_apart(chances, codes)[codes, guessed]
    )
    places = np.flatnonzero(doubtful)
    return guessed, places[np.argsort(own[places] - top[places], kind="stable")]


def _told_apart(chances: Floats, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """`(classes, classes)`: whether the model tells the two apart, going by the labels given."""
    count = chances.shape[1]
    # How many examples of one class are rather the one than the other.
    sizes = np.bincount(codes, minlength=count)
    rather = np.stack(
        [
            (chances[codes == one][:, [one]] > chances[codes == one]).sum(axis=0)
            for one in range(count)
        ]
    )
    right = (rather + rather.T) / np.maximum(sizes[:, None] + sizes, 1)
    recall = rather / np.maximum(sizes[:, None], 1)
    fair = (recall + recall.T) / 2
    large = np.minimum.outer(sizes, sizes) >= SMALLEST
    return np.asarray((right >= APART) & (fair >= FAIR) & large)


def _sample(examples: Examples, most: int) -> npt.NDArray[np.int64]:
    """Places of examples of classes that are large enough, in order."""
    _, place, counts = np.unique(
        examples.targets.astype(str), return_inverse=True, return_counts=True
    )
    places = np.flatnonzero(counts[place] >= SMALLEST)
    if len(places) > most:
        places = np.sort(np.random.default_rng(0).choice(places, most, replace=False))
    return places.astype(np.int64)
