"""A development set as trials see it: one fold of it, or some of its training examples.

Everything that is learned from examples is learned from the fold's own training examples: the
encoder's statistics, the scale of quantities and the weights of classes. What classes there are is
known beforehand.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset.examples import Development, Examples, Weights
from dataset.folding import Places
from dataset.target import Array, Target, learn
from models import training
from models.fitting import determinism
from models.training import Encoded, Part


def told(development: Development) -> tuple[Array, npt.NDArray[np.float32] | None]:
    """What training and validation examples together say, as `dataset.target` has it, and how much
    each counts; the places of folds are in these."""
    (train, train_weights), (validation, weights) = (
        development.truth("train"),
        development.truth("validation"),
    )
    truth = np.concatenate([train, validation])
    if train_weights is None or weights is None:
        return truth, None
    return truth, np.concatenate([train_weights, weights])


def held(development: str, fold: int | None) -> tuple[Array, Weights]:
    """What the examples say that a fold, or a fit of the two parts, is validated on, and how much
    each counts; kept for the next piece in this process."""
    folder = Path(development)
    return _held(str(folder.resolve()), training.stamp(folder), fold)


@lru_cache(maxsize=1)
def _held(
    development: str, stamp: tuple[tuple[str, int, int], ...], fold: int | None
) -> tuple[Array, Weights]:
    source = Development(Path(development))
    if fold is None:
        return source.truth("validation")
    truth, weights = told(source)
    _, places = source.folds()[fold]
    return truth[places], None if weights is None else weights[places]


def thinned(places: Places, share: float) -> Places:
    """An evenly spread share of the places, one at the least; the same ones every time."""
    most = max(1, round(share * len(places)))
    taken: Places = places[np.arange(most) * len(places) // most]
    return taken


def encoded(development: str, fold: int | None, share: float) -> Encoded:
    """A fold, or where that is None the two parts of the development set in a folder, with a share
    of the training examples; kept for the next piece in this process."""
    if fold is None and share == 1:
        return training.encoded(development)
    folder = Path(development)
    return _encoded(str(folder.resolve()), training.stamp(folder), fold, share)


@lru_cache(maxsize=1)
def _encoded(
    development: str, stamp: tuple[tuple[str, int, int], ...], fold: int | None, share: float
) -> Encoded:
    determinism.start(1)
    source = Development(Path(development))
    truth, weights = told(source)
    begin = source.count("train")
    if fold is None:
        places, held = np.arange(begin), np.arange(begin, len(truth))
        target = source.target()
    else:
        places, held = source.folds()[fold]
        target = relearned(source.target(), truth[places])

    def part(chosen: Places) -> Part:
        return Part(
            lambda: _taken(source, chosen),
            len(chosen),
            truth[chosen],
            None if weights is None else weights[chosen],
        )

    return training.encode(
        part(thinned(places, share)), part(held), source.schema(), target, source.scaling()
    )


def _taken(source: Development, places: Places) -> Iterator[Examples]:
    """The examples at rising places, a block at a time; a block without any is left out."""
    begin = 0
    for known in ("train", "validation"):
        for block in source.blocks(known):
            ends = np.searchsorted(places, [begin, begin + len(block)])
            if ends[0] < ends[1]:
                yield block.take(places[slice(*ends)] - begin)
            begin += len(block)


def relearned(target: Target, truth: Array) -> Target:
    """The target as other training examples show it, but for the classes there are.

    truth: theirs, as `dataset.target` has it. A class that they lack weighs 1: it is validated on
    at the most.
    """
    if target.task == "regression":
        transform = target.quantities[0].transform
        return learn(target.task, target.names, truth, transform, balanced=False)
    if not target.class_weights:
        return target
    counts = np.bincount(truth, minlength=len(target.names))
    there = np.count_nonzero(counts)
    weights = [len(truth) / (there * count) if count else 1.0 for count in counts.tolist()]
    return target.model_copy(update={"class_weights": tuple(weights)})
