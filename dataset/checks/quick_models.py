"""Small models that check the data, not to be kept: seconds, no TensorFlow, the same every time.

A table is judged by gradient-boosted trees, one with free text by logistic regression on weighted
words beside its other columns, pictures by logistic regression on thumbnails.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.examples import PICTURE, Column, Examples, Schema

SIDE = 16
"""Side of a thumbnail at the most."""
LEAVES = 15
ROUNDS = 40
"""Trees, and leaves of each: enough to see what is there, quick enough for every column."""
WORDS = 2**16
"""Columns that the words of all texts are hashed to."""
FREEDOM = 0.05
"""Inverse of the penalty (scikit-learn's C) on weights of thumbnails: without much of one, linear
models of pictures are too sure of themselves."""
STEPS = 10
"""Quantiles by which a number is told beside texts."""

Floats = npt.NDArray[np.float64]


def probabilities(
    examples: Examples, schema: Schema, codes: npt.NDArray[np.int64], fold: npt.NDArray[np.int32]
) -> Floats:
    """`(n, classes)` out-of-fold probabilities of `codes` `(n,)`, which are 0, 1, ....

    fold: `(n,)`, the fold in which each example is not trained on. A fold's training rows may lack
    a class, which is given 0 then.
    """
    from threadpoolctl import threadpool_limits

    learn, inputs = _classifier(examples, schema)
    out = np.zeros((len(codes), int(codes.max()) + 1))
    # Sums depend on how many threads they are split between.
    with threadpool_limits(1), warnings.catch_warnings():
        # A check needs no last digit of an optimum.
        warnings.filterwarnings("ignore", module="sklearn")
        for one in range(int(fold.max()) + 1):
            unseen = np.flatnonzero(fold == one)
            seen = np.flatnonzero(fold != one)
            if not len(unseen) or not len(seen):
                continue
            known = np.unique(codes[seen])
            if len(known) == 1:
                out[unseen, known[0]] = 1.0
                continue
            model = learn().fit(inputs[seen], codes[seen])
            out[np.ix_(unseen, known)] = model.predict_proba(inputs[unseen])
    return out


def explained(
    examples: Examples, schema: Schema, values: Floats, fold: npt.NDArray[np.int32]
) -> float:
    """Out-of-fold R² of boosted trees on all columns but texts, for `values` `(n,)`."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    inputs = _numbers(examples, [one for one in schema.columns if one.type != "text"])
    guessed = np.empty(len(values))
    with threadpool_limits(1):
        for one in range(int(fold.max()) + 1):
            seen, unseen = fold != one, fold == one
            model = HistGradientBoostingRegressor(
                max_iter=ROUNDS, max_leaf_nodes=LEAVES, early_stopping=False, random_state=0
            )
            guessed[unseen] = model.fit(inputs[seen], values[seen]).predict(inputs[unseen])
    return r_squared(values, guessed)


def r_squared(values: Floats, guessed: Floats) -> float:
    """1 minus the squared error over that of the mean; 0 where nothing varies."""
    total = float(np.square(values - values.mean()).sum())
    return 1 - float(np.square(values - guessed).sum()) / total if total else 0.0


def mean_ranks(values: npt.NDArray[np.generic]) -> Floats:
    """`(n,)` ranks from 1, equal values sharing the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Floats = np.cumsum(counts) - (counts - 1) / 2
    return means[place]


def as_numbers(column: Column, values: npt.NDArray[np.generic]) -> Floats:
    """`(n,)`: numbers and times as they are, categories by their place in the alphabet."""
    if column.type in ("numeric", "time"):
        return values.astype(np.float64)
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)


def thumbnails(pictures: npt.NDArray[np.generic]) -> Floats:
    """`(n, h, w, c)` to `(n, d)`: means over squares, centred and scaled as a whole."""
    count, height, width, _ = pictures.shape
    step = max(1, -(-max(height, width) // SIDE))
    small = np.stack(
        [
            pictures[:, row : row + step, column : column + step].mean(axis=(1, 2))
            for row in range(0, height, step)
            for column in range(0, width, step)
        ],
        axis=1,
    ).reshape(count, -1)
    flat = small.astype(np.float64)
    return np.asarray((flat - flat.mean()) / (flat.std() or 1.0))


def _classifier(examples: Examples, schema: Schema) -> tuple[Callable[[], Any], Any]:
    """What makes a fresh model, and its inputs."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    def linear(freedom: float) -> Callable[[], Any]:
        return lambda: LogisticRegression(C=freedom, max_iter=100)

    if schema.kind == "pictures":
        return linear(FREEDOM), thumbnails(examples.features[PICTURE])
    if any(column.type == "text" for column in schema.columns):
        return linear(10.0), _words(examples, schema)
    trees = {"max_iter": ROUNDS, "max_leaf_nodes": LEAVES, "min_samples_leaf": 10}
    return (
        lambda: HistGradientBoostingClassifier(**trees, early_stopping=False, random_state=0),
        _numbers(examples, schema.columns),
    )


def _numbers(examples: Examples, columns: Any) -> Floats:
    """`(n, d)`, without categories that are as good as ids; NaN where a number is missing."""
    kept = []
    for column in columns:
        values = as_numbers(column, examples.features[column.name])
        if column.type != "categorical" or len(np.unique(values)) <= len(values) // 2:
            kept.append(values)
    return np.stack(kept, axis=1) if kept else np.zeros((len(examples), 1))


def _words(examples: Examples, schema: Schema) -> Any:
    """Sparse `(n, d)`: words and pairs of words by tf-idf; what other columns say is words too."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    columns = [
        examples.features[column.name].tolist()
        if column.type == "text"
        else _spoken(place, as_numbers(column, examples.features[column.name]))
        for place, column in enumerate(schema.columns)
    ]
    texts = [" ".join(row) for row in zip(*columns, strict=True)]
    hashing = HashingVectorizer(n_features=WORDS, ngram_range=(1, 2), alternate_sign=False)
    # How rare a word is, the texts alone tell, whatever their labels.
    return TfidfTransformer().fit_transform(hashing.transform(texts))


def _spoken(place: int, numbers: Floats) -> list[str]:
    """Each number as a word that says its column and about where among the others it lies."""
    distinct, codes = np.unique(numbers, return_inverse=True)
    if len(distinct) > STEPS:
        cuts = np.nanquantile(numbers, np.linspace(0, 1, STEPS + 1)[1:-1])
        codes = np.where(np.isnan(numbers), STEPS, np.searchsorted(cuts, numbers))
    return [f"column{place}step{code}" for code in codes.tolist()]
