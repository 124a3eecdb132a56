"""Pieces that train a network around a base: transferred in two phases, or from scratch.

Phase 1 trains the new head on a base at inference: its features never change, so where nothing is
changed in training they are computed once. Phase 2 trains the last blocks of the base as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from dataset.examples import Development
from models import training
from models.fitting import determinism, sample
from models.fitting.rows import IN_MEMORY_BYTES
from models.judging import shares
from models.settings import FitSettings
from models.training import Encoded, Run, SeedRun
from models.transfer.transfer_settings import Head, Pooling
from pipeline import journal

if TYPE_CHECKING:
    import keras

    from models.fitting.fit import Fitted
    from models.transfer.bases import Built

Stamp = tuple[tuple[str, int, int], ...]
"""What changes when files do: see `training.stamp`."""
FROZEN, UNFROZEN, SCRATCH = "frozen", "unfrozen", "scratch"
"""The phases, as fits.csv has them."""


@dataclass(frozen=True)
class ScratchRun(SeedRun):
    """A network around a base that was never trained; `settings`: of its one fit."""

    base: str
    """The base's file, for its structure."""
    head: Head
    share: float
    """Of the labelled training examples, see `labelled`."""


@dataclass(frozen=True)
class TransferRun(ScratchRun):
    """A network around a trained base; `settings`: of the second phase."""

    frozen: FitSettings
    """Of the first phase, in which the head alone is trained."""
    unfreeze: int | Literal["all"]
    """How many blocks the second phase trains, from the last on."""
    layer_decay: float
    """A block's learning rate over that of what stands above it."""


@dataclass(frozen=True)
class Transferred:
    """What the piece gives back: the network after the first phase, and after both."""

    frozen: Run
    tuned: Run


def labelled(data: Encoded, development: str, share: float) -> Encoded:
    """The data with a share of the training examples.

    The share is of labels: what encoders learn, and bases that need none, they learn from all
    examples, as they could where only some are labelled. So the base fits whatever the share.
    """
    if share == 1:
        return data
    places = shares.sampled(Development(Path(development)), share)
    weights = data.train_weights
    return replace(
        data,
        train=sample.taken(data.train, places),
        train_truth=data.train_truth[places],
        train_codes=data.train_codes[places],
        train_weights=None if weights is None else weights[places],
    )


def scratch(item: ScratchRun) -> Run:
    """Piece: the same network from fresh weights, all of it trained."""
    data = labelled(training.encoded(item.development), item.development, item.share)
    from models.transfer import bases

    determinism.start(item.seed)
    base = bases.fresh(bases.load(Path(item.base)), item.seed)
    built = _around(base, data, item)
    with journal.given(item.spec.model_dump()):
        fitted = training.fit_to_target(
            built.whole, data, item.settings, item.seed, item.name, minutes=item.minutes
        )
    return training.told(built.whole, data, item.seed, [(SCRATCH, fitted)])


def transfer(item: TransferRun) -> Transferred:
    """Piece: train the new head on the frozen base, then the last blocks with it, more slowly."""
    every = training.encoded(item.development)
    features = _features_for(item, every)
    data = labelled(every, item.development, item.share)
    from models.transfer import bases

    built = _around(bases.start(Path(item.base), item.seed), data, item)
    bases.freeze(built.base)
    shown, network = data, built.frozen
    if features is not None:
        known = replace(every, train=features[0], validation=features[1])
        shown, network = labelled(known, item.development, item.share), built.head
    first = _fit(network, shown, item, item.frozen, FROZEN)
    after_first = training.told(built.whole, data, item.seed, [(FROZEN, first)])
    bases.unfreeze(built.base, item.unfreeze)
    factors = bases.rates(built.whole, item.layer_decay)
    second = _fit(built.whole, data, item, item.settings, UNFROZEN, factors)
    bases.release(built.whole)
    if item.folder is not None:
        training.keep(built.whole, data, Path(item.folder) / f"seed-{item.seed}.keras")
    phases = [(FROZEN, first), (UNFROZEN, second)]
    return Transferred(after_first, training.told(built.whole, data, item.seed, phases))


def _around(base: "keras.Model", data: Encoded, item: ScratchRun) -> "Built":
    from models.transfer import bases

    return bases.around(
        base, data.target.outputs, item.spec, item.head, item.seed, data.layout, data.target.task
    )


def _fit(
    network: "keras.Model",
    data: Encoded,
    item: TransferRun,
    settings: FitSettings,
    phase: str,
    factors: Sequence[float] = (),
) -> "Fitted":
    with journal.given(item.spec.model_dump()):
        return training.fit_to_target(
            network,
            data,
            settings,
            item.seed,
            f"{item.name} {phase}",
            minutes=item.minutes,
            factors=factors,
        )


Features = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Of training and validation examples, `(n, f)`, or `(n, m, f)` of members."""


def _features_for(item: TransferRun, data: Encoded) -> Features | None:
    """What the head is trained on in the first phase; None where it changes from step to step, or
    would be too much for memory."""
    from models.transfer import bases

    path = Path(item.base)
    determinism.start(item.seed)
    base = bases.load(path)
    if item.frozen.mixup or bases.augments(base, item.spec, data.layout):
        return None
    each = prod(bases.pooled(base, item.head.pooling).output_shape[1:])
    if 4 * each * (len(data.train) + len(data.validation)) > IN_MEMORY_BYTES:
        return None
    folder = Path(item.development)
    where = str(folder.resolve()), str(path.resolve())
    return _features(*where, item.head.pooling, training.stamp(folder), _stamp(path))


@lru_cache(maxsize=1)
def _features(
    development: str, base: str, pooling: Pooling, data_stamp: Stamp, base_stamp: Stamp
) -> Features:
    """Once for all seeds and shares that this process trains; the stamps are for the cache."""
    data = training.encoded(development)
    from models.fitting import fit
    from models.transfer import bases

    network = bases.pooled(bases.load(Path(base)), pooling)
    return fit.outputs(network, data.train), fit.outputs(network, data.validation)


def _stamp(path: Path) -> Stamp:
    held = path.stat()
    return ((path.name, held.st_mtime_ns, held.st_size),)
