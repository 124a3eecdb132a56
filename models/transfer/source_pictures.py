"""Pictures turned, to be told which way up they are; pictures made noisy, to be told without it.

Both are made of the data's own pictures and use no labels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.fitting import sample
from models.fitting.rows import Rows
from models.settings import NetworkSpec
from models.training import Encoded
from models.transfer.source_task import SourceTask, unseen

NOISE = 0.5
"""Standard deviation of the noise on pictures whose own is 1. A quarter of the variance: what is
shown can still be made out, and neighbouring points alone do not tell what a point was."""
POINTS = 16
"""Points a side, at the most, of the clean picture that is to be given: its coarse shape. A last
layer with an output for every point of a large picture would be larger than the rest."""


def rotated(data: Encoded, most: int, seed: int) -> SourceTask:
    """To tell how pictures were turned, at most `most` of them."""
    from models.fitting.criterion import CLASSIFY

    return SourceTask(
        turned(data.train, most, seed),
        turned(data.validation, unseen(most), seed + 1),
        len(turns(data.shape)),
        CLASSIFY,
        "classification",
    )


def denoised(data: Encoded, most: int, seed: int) -> SourceTask:
    """To give noisy pictures without their noise, at most `most` of them.

    Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML
    2008.
    """
    from models.fitting.criterion import REGRESS

    train = noisy(data.train, most, seed)
    validation = noisy(data.validation, unseen(most), seed + 1)
    return SourceTask(train, validation, train[1].shape[1], REGRESS, "regression")


def turns(shape: Sequence[int]) -> tuple[int, ...]:
    """The quarter turns that pictures of this shape `(h, w, c)` can make and keep it."""
    return (0, 1, 2, 3) if shape[0] == shape[1] else (0, 2)


def upright(spec: NetworkSpec) -> NetworkSpec:
    """The network without turns and mirror images of its own, where turns are what is asked.

    A mirror image that lies on its left side looks like one that lies on its right.
    """
    return spec.model_copy(update={"flip": "none", "rotation": 0.0})


def turned(
    pictures: Rows, most: int, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """At most `most` turned pictures `(m, h, w, c)` and which of `turns` each made, `(m,)` int32.

    Every picture in every turn, or some of them, drawn from `seed`. To tell how a picture was
    turned is to know what it shows: Gidaris et al., "Unsupervised representation learning by
    predicting image rotations", ICLR 2018.
    """
    possible = turns(pictures.shape[1:])
    chosen = sample.spread(len(pictures) * len(possible), most, seed)
    places, codes = chosen // len(possible), (chosen % len(possible)).astype(np.int32)
    distinct, inverse = np.unique(places, return_inverse=True)
    shown = sample.taken(pictures, distinct)[inverse]
    for code, quarters in enumerate(possible):
        own = codes == code
        shown[own] = np.rot90(shown[own], quarters, axes=(1, 2))
    return shown, codes


def still(spec: NetworkSpec) -> NetworkSpec:
    """The network that shows pictures where they are and as bright as they are.

    The clean picture that it has to give does not move along. Blanked squares stay: they are one
    more thing to be put right.
    """
    off = {"rotation": 0.0, "zoom": 0.0, "shift": 0.0, "crop": 0.0, "contrast": 0.0}
    return spec.model_copy(update={"flip": "none", "randaugment": 0.0, **off})


def noisy(
    pictures: Rows, most: int, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """At most `most` noisy pictures `(m, h, w, c)` and the clean ones, `(m, points)`, averaged.

    Which ones, and the noise, are drawn from `seed`.
    """
    clean = sample.taken(pictures, sample.spread(len(pictures), most, seed))
    noise = np.random.default_rng(seed).standard_normal(clean.shape, dtype=np.float32)
    return clean + np.float32(NOISE) * noise, averaged(clean).reshape(len(clean), -1)


def averaged(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`(n, h, w, c)` with at most `POINTS` points a side: each the mean of a rectangle, all of
    which are as nearly equal as whole points allow."""
    for axis in (1, 2):
        side = pictures.shape[axis]
        points = min(side, POINTS)
        edges = np.arange(points + 1) * side // points
        sums = np.add.reduceat(pictures, edges[:-1], axis=axis)
        counts = np.diff(edges).astype(np.float32)
        pictures = sums / np.expand_dims(counts, tuple(range(1, 4 - axis)))
    return pictures
