"""What a network must beat: a constant, and a linear model."""

import warnings
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.target import Target
from models.fitting import determinism, sample
from models.fitting.rows import Rows
from models.networks.layout import PADDING, Layout
from models.training import Encoded, encoded

ROWS = 20_000
"""Training examples that the linear model sees, at the most."""
VALUES = 30_000_000
"""Numbers that it sees, at the most: the more values an example has, the fewer examples."""
FEWEST_ROWS = 100
"""Whatever `VALUES` says."""
SIDE = 16
"""Larger pictures are averaged down to at most this many points a side."""
BLOCK = 8192
"""Validation examples that are told at once."""
ITERATIONS = 2000
"""Enough for standardised features; with fewer, scikit-learn warns and stops early."""
WORK = 3e10
"""Numbers times outputs times iterations that logistic regression may take: some ten seconds."""
FEWEST_ITERATIONS = 100
"""Whatever `WORK` says: with so many it is near enough."""
SEED = 1
"""Of the choice of training examples, where there are too many."""

Array = npt.NDArray[Any]
Model = Callable[[Any], Array]
"""Features, an array or a sparse matrix, to predictions `(n, k)`."""


def predict(development: str) -> dict[str, npt.NDArray[np.float32]]:
    """Piece: validation predictions `(n, k)` of a constant, `majority` or `mean`, and of `linear`.

    `majority` gives everyone the shares of the classes or labels among the training examples,
    `mean` the targets' means. `linear` is scikit-learn's logistic regression, one for each label
    of several, or ridge regression of the transformed quantities, with their default penalties, on
    the encoded features. Of a text it sees how often each word comes, whatever the order. Training
    weights are honoured.

    So that it never takes minutes, `linear` is fitted to at most `ROWS` training examples and
    `VALUES` numbers, pictures are averaged down to `SIDE` points a side, and a large logistic
    regression may stop before it has converged.
    """
    data = encoded(development)
    import sklearn.linear_model

    # Again, now that scikit-learn has brought its own threads.
    determinism.pin()
    values = prod(_pooled(data.train[:1]).shape[1:])
    most = min(ROWS, max(FEWEST_ROWS, VALUES // values))
    places = sample.spread(len(data.train), most, SEED)
    weights = None if data.train_weights is None else data.train_weights[places]
    inputs = sample.taken(data.train, places)
    told_by = linear(
        sklearn.linear_model,
        _features(inputs, data.layout),
        data.train_codes[places],
        weights,
        data.target,
    )
    told = [told_by(_features(block, data.layout)) for block in _blocks(data.validation)]
    return {
        "mean" if data.target.task == "regression" else "majority": _constant(data),
        "linear": np.concatenate(told).astype(np.float32),
    }


def _constant(data: Encoded) -> npt.NDArray[np.float32]:
    """What is predicted for everyone, once for each validation example."""
    truth, weights = data.train_truth, data.train_weights
    if data.target.task == "classification":
        counts = np.bincount(truth, weights, minlength=data.target.outputs)
        told = counts / counts.sum()
    else:
        told = np.average(truth.astype(np.float64), axis=0, weights=weights)
    return np.tile(told, (len(data.validation), 1)).astype(np.float32)


def _blocks(rows: Rows) -> Iterator[Array]:
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def _features(inputs: Array, layout: Layout) -> Any:
    """What a linear model takes: a flat array, or a sparse matrix where there are texts.

    Of each word of a text 1 plus the logarithm of how often it comes. Weighing by rarity and
    setting the texts to equal lengths (tf-idf) was no better: 0.970 of SMS told from spam instead
    of 0.988, and 0.766 of film reviews instead of 0.764.
    """
    if not layout.texts:
        return _pooled(inputs).reshape(len(inputs), -1)
    from scipy import sparse  # type: ignore[import-untyped]

    parts = [sparse.csr_matrix(inputs[:, : layout.dense], dtype=np.float64)]
    for text, start in zip(layout.texts, layout.starts, strict=True):
        words = inputs[:, start : start + text.length].astype(np.int32)
        texts, columns = np.nonzero(words != PADDING)
        each = (np.ones(len(texts)), (texts, words[texts, columns]))
        # Made from places that come more than once: their ones are added up.
        bag = sparse.csr_matrix(each, shape=(len(inputs), text.places))
        bag.data = 1 + np.log(bag.data)
        parts.append(bag)
    return sparse.hstack(parts, format="csr")


def _pooled(inputs: Array) -> Array:
    """Pictures `(n, h, w, c)` averaged over equal squares; all else, and small ones, as it is."""
    if inputs.ndim < 4:
        return inputs
    for axis in (1, 2):
        side = inputs.shape[axis]
        step = -(-side // SIDE)
        if step > 1:
            edges = np.arange(0, side, step)
            shape = [1] * inputs.ndim
            shape[axis] = -1
            widths = np.diff(np.append(edges, side)).astype(np.float32).reshape(shape)
            inputs = np.add.reduceat(inputs, edges, axis=axis) / widths
    return inputs


def linear(models: Any, inputs: Any, codes: Array, weights: Array | None, target: Target) -> Model:
    """A linear model of scikit-learn's module `models`, fitted: inputs `(n, d)`, codes and weights
    as `Encoded` has them."""
    if target.task == "regression":
        return _ridge(models, inputs, codes, weights, target)
    if target.task == "classification":
        return _logistic(models, inputs, codes, weights, target.outputs)
    each = [_logistic(models, inputs, labels, weights, 2) for labels in codes.astype(int).T]
    return lambda features: np.stack([model(features)[:, 1] for model in each], axis=1)


def _logistic(models: Any, inputs: Any, codes: Array, weights: Array | None, classes: int) -> Model:
    """Probabilities `(n, classes)`; of a class that is not among the codes, 0."""
    from sklearn.exceptions import ConvergenceWarning

    present = np.unique(codes)

    def spread(probabilities: Array) -> Array:
        every = np.zeros((len(probabilities), classes))
        every[:, present] = probabilities
        return every

    if len(present) == 1:
        return lambda features: spread(np.ones((features.shape[0], 1)))
    numbers = inputs.size * (1 if classes == 2 else classes)
    iterations = int(min(ITERATIONS, max(FEWEST_ITERATIONS, WORK // max(numbers, 1))))
    model = models.LogisticRegression(max_iter=iterations)
    with warnings.catch_warnings():
        if iterations < ITERATIONS:
            warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, codes, sample_weight=weights)
    return lambda features: spread(model.predict_proba(features))


def _ridge(models: Any, inputs: Any, codes: Array, weights: Array | None, target: Target) -> Model:
    model = models.Ridge().fit(inputs.astype(np.float64), codes, sample_weight=weights)
    least, largest = codes.min(axis=0), codes.max(axis=0)
    # A straight line that leaves the logarithms seen becomes astronomical once they are undone.
    bounded = [quantity.transform == "log" for quantity in target.quantities]

    def predictions(features: Any) -> Array:
        told = model.predict(features.astype(np.float64)).reshape(features.shape[0], -1)
        return target.decode(np.where(bounded, np.clip(told, least, largest), told))

    return predictions
