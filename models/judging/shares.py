"""What there is to gain from more data: the same recipe on shares of the training rows."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Development
from dataset.target import Task
from models.settings import FitSettings
from models.training import Run

if TYPE_CHECKING:
    import pandas as pd

STRATA = 10
"""Stretches of a quantity that are alike in every share."""
SEED = 1
"""Of the order in which rows come; constant, so that shares of more rows hold those of fewer."""
MOST_EPOCHS, MOST_PATIENCE = 10_000, 1_000
"""What the settings allow."""


@dataclass(frozen=True)
class Learned:
    """One row of learning.csv: a fit, at the epoch with its lowest validation loss."""

    share: float
    """Of the training rows, 0 to 1."""
    examples: int
    seed: int
    epoch: int
    loss: float
    """On validation."""
    error: float
    """On validation: the share of answers that are wrong; of quantities the squared error of the
    standardised targets."""


def table(rows: Sequence[Learned]) -> "pd.DataFrame":
    """learning.csv; without rows its header alone."""
    import pandas as pd

    return pd.DataFrame(rows, columns=[field.name for field in fields(Learned)])


def learned(run: Run, share: float, examples: int) -> Learned:
    """What a run says of its share.

    At its best epoch, lest few rows be blamed for having been learned by heart in the end.
    """
    line = min((line for fit in run.lines for line in fit), key=lambda line: line.val_loss)
    error = line.val_loss if line.val_accuracy is None else 1 - line.val_accuracy
    rounded = float(f"{error:.6g}")
    return Learned(share, examples, run.seed, line.epoch, line.val_loss, rounded)


def lengthened(settings: FitSettings, share: float) -> FitSettings:
    """Settings by which a share of the rows is trained for as many steps as all of them.

    Otherwise a smaller share would be trained less, and that would look like a lack of data.
    """
    patience = settings.patience
    return settings.model_copy(
        update={
            "epochs": longer(settings.epochs, share),
            "decay_epochs": longer(settings.decay_epochs, share),
            "patience": None if patience is None else longer(patience, share, MOST_PATIENCE),
        }
    )


def longer(epochs: int, share: float, most: int = MOST_EPOCHS) -> int:
    """Epochs in which a share of the rows is as many steps as all rows in `epochs`."""
    return min(most, math.ceil(epochs / share))


def sampled(development: Development, share: float) -> npt.NDArray[np.int64]:
    """Places of a share of the training rows, rising.

    Classes, sets of labels and stretches of a quantity are in it as in all rows, but for one row
    each, and a larger share holds the smaller ones. A row that is repeated is in it as often as in
    all rows, or not at all.
    """
    rows = development.rows("train")
    firsts = np.sort(np.unique(rows, return_index=True)[1])
    truth = development.truth("train")[0][firsts]
    kinds = strata(truth, development.target().task)
    generator = np.random.default_rng(SEED)
    place = np.empty(len(truth))
    for stratum in range(int(kinds.max()) + 1):
        own = np.flatnonzero(kinds == stratum)
        # Evenly over 0 to 1: what lies below the share is that share of the stratum.
        place[generator.permutation(own)] = (np.arange(len(own)) + generator.random()) / len(own)
    count = max(1, round(share * len(truth)))
    chosen = firsts[np.argsort(place, kind="stable")[:count]]
    return np.flatnonzero(np.isin(rows, rows[chosen])).astype(np.int64)


def strata(truth: npt.NDArray[Any], task: Task) -> npt.NDArray[np.int64]:
    """`(n,)` from 0: which rows are alike."""
    if task == "classification":
        return np.unique(truth, return_inverse=True)[1].astype(np.int64)
    if task == "multilabel":
        return np.unique(truth, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    ranks = np.argsort(np.argsort(truth[:, 0], kind="stable"), kind="stable")
    return ranks * STRATA // len(truth)


def write(development: Development, share: float, folder: Path) -> Development:
    """A development set with a share of the training rows and all others as they are.

    What encoders learn they learn from the share; what classes and quantities there are remains
    what all rows said, so that errors can be compared.
    """
    chosen, part = sampled(development, share), Development(folder)
    with part.writing(development.schema()) as (train, validation):
        begin = 0
        for block in development.blocks("train"):
            ends = np.searchsorted(chosen, [begin, begin + len(block)])
            if ends[0] < ends[1]:
                train.append(block.take(chosen[slice(*ends)] - begin))
            begin += len(block)
        for block in development.blocks("validation"):
            validation.append(block)
    for name in ("target.json", "scaling.json"):
        shutil.copyfile(development.path / name, part.path / name)
    return part
