"""Which source suits the data: a linear model on each base's frozen features.

How well features of a network trained elsewhere can be told apart linearly goes a long way to
foretell how well it will do once it is fine-tuned: Kornblith, Shlens and Le, "Do better ImageNet
models transfer better?", CVPR 2019. It costs one pass over the examples and no training.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset import folds
from dataset.examples import Development
from dataset.partition import Keys
from metrics.intervals import Bootstrap, Interval
from metrics.objective import Measure
from models import training
from models.fitting import determinism, sample
from models.judging import shares, yardsticks
from pipeline.errors import InputError

if TYPE_CHECKING:
    import keras
    import pandas as pd

EXAMPLES = 5_000
"""Training examples that a base is probed with, at the most."""
FOLDS = 5
SEED = 1
"""Of the choice of examples and of the folds: all bases are probed with the same."""
CONSTANT = 1e-6
"""Deviation of a feature up to which it is not scaled: rounding leaves so much."""
UNTRAINED = "untrained"
"""What the row of the network without transfer is called."""


@dataclass(frozen=True)
class ProbeRun:
    """A base to be probed."""

    development: str
    base: str
    """Its file."""
    untrained: bool
    """Whether it is probed with fresh weights instead."""
    seed: int
    """Of those."""
    name: str
    """For the log."""


@dataclass(frozen=True)
class Probed:
    """What the piece gives back."""

    predictions: npt.NDArray[np.float32]
    """`(n, k)` of the examples at `places`, each by a model that was fitted to other folds."""
    features: int
    """Numbers that an example has."""
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Row:
    """One row of probe.csv."""

    source: str
    network: str
    features: int
    score: float | None
    low: float | None
    high: float | None
    parameters: int
    multiply_adds: int
    chosen: bool


def table(rows: Sequence[Row]) -> "pd.DataFrame":
    """probe.csv; without rows its header alone."""
    import pandas as pd

    columns = [field.name for field in fields(Row)]
    return pd.DataFrame([asdict(row) for row in rows], columns=columns)


def places(count: int) -> npt.NDArray[np.int64]:
    """Which of `count` training examples are probed with, rising."""
    return sample.spread(count, EXAMPLES, SEED)


def probe(item: ProbeRun) -> Probed:
    """Piece: predictions of training examples by linear models on a base's features.

    Of a map the mean over its places, of members the mean over them; standardised by the examples
    that a model is fitted to. Folds are stratified, and examples of one
    group are in one fold, as copies are. The models are
    those of `models.judging.yardsticks`.
    """
    data = training.encoded(item.development)
    from models.fitting import fit
    from models.networks import count
    from models.transfer import bases

    determinism.start(item.seed)
    base = bases.load(Path(item.base))
    if item.untrained:
        base = bases.fresh(base, item.seed)
    chosen = places(len(data.train))
    inputs = sample.taken(data.train, chosen)
    features = fit.outputs(_vectors(base), inputs)
    weights = None if data.train_weights is None else data.train_weights[chosen]
    kinds = shares.strata(data.train_truth[chosen], data.target.task)
    told = np.zeros((len(chosen), data.target.outputs), np.float32)
    import sklearn.linear_model

    # Again, now that scikit-learn has brought its own threads.
    determinism.pin()
    groups = Development(Path(item.development)).groups("train")
    for train, held in _folds(_keys(inputs), kinds, None if groups is None else groups[chosen]):
        mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
        standard = (features - mean) / np.where(scale > CONSTANT, scale, 1)
        model = yardsticks.linear(
            sklearn.linear_model,
            standard[train],
            data.train_codes[chosen][train],
            None if weights is None else weights[train],
            data.target,
        )
        told[held] = model(standard[held])
    return Probed(told, features.shape[1], count.parameters(base), count.multiply_adds(base))


def _vectors(base: "keras.Model") -> "keras.Model":
    """A base whose features are one vector."""
    import keras

    encoded = keras.Input(base.input_shape[1:], name="input")
    features = base(encoded)
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D()(features)
    elif len(features.shape) == 3:
        features = keras.layers.GlobalAveragePooling1D()(features)
    return keras.Model(encoded, features)


def _keys(inputs: npt.NDArray[np.float32]) -> Keys:
    """`(n,)`, equal for copies."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in inputs]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _folds(
    keys: Keys, kinds: npt.NDArray[np.int64], groups: Keys | None = None
) -> list[tuple[Any, Any]]:
    """Places to fit to and to predict, for each fold; where there are groups, the rows of one are
    in one fold, and of few groups there are fewer folds."""
    if groups is not None and (count := len(np.unique(groups))) > 1:
        return _dealt(groups, kinds, min(FOLDS, count))
    distinct = len(np.unique(keys))
    if distinct < FOLDS:
        raise InputError(
            f"finetune: sources are compared by models on {FOLDS} folds of the training examples, "
            f"of which {distinct} are distinct.\nName one source in finetune.sources, or give more "
            "examples."
        )
    return _dealt(keys, kinds, FOLDS)


def _dealt(keys: Keys, kinds: npt.NDArray[np.int64], count: int) -> list[tuple[Any, Any]]:
    fold = folds.deal(keys, kinds, count, SEED).fold
    return [(np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in range(count)]


class Probes:
    """Scores sources by the objective on the examples that they were probed with."""

    def __init__(self, development: Development, measure: Measure, bootstrap: Bootstrap) -> None:
        truth, importance = development.truth("train")
        chosen = places(len(truth))
        self._truth = truth[chosen]
        self._importance = None if importance is None else importance[chosen]
        units = development.units("train")
        self._measure = measure
        self._bootstrap = bootstrap.among(None if units is None else units[chosen])

    def best(self, probed: Sequence[Probed]) -> int:
        """The place of the best, the first among equals."""
        values = [self._measure.sign * self._interval(one).value for one in probed]
        return int(np.argmax(np.nan_to_num(values, nan=-np.inf)))

    def row(self, source: str, network: str, probed: Probed, *, chosen: bool) -> Row:
        """One row of probe.csv."""
        found = self._interval(probed)
        score, low, high = (
            None if np.isnan(end) else self._measure.reading.rounded(end, abs(found.value))
            for end in (found.value, found.low, found.high)
        )
        return Row(
            source=source,
            network=network,
            features=probed.features,
            score=score,
            low=low,
            high=high,
            parameters=probed.parameters,
            multiply_adds=probed.multiply_adds,
            chosen=chosen,
        )

    def _interval(self, probed: Probed) -> Interval:
        if not np.isfinite(probed.predictions).all():
            return Interval(float("nan"), float("nan"), float("nan"))
        sample_of = self._bootstrap.sample(
            {"score": self._measure.figure},
            probed.predictions[np.newaxis],
            self._truth,
            self._importance,
        )["score"]
        return self._bootstrap.interval(float(sample_of.value), sample_of.draws)
