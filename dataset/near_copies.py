"""Near copies: pictures that were saved again, rescaled or brightened a little, kept on one side.

Two steps. A 64-bit hash of coarse brightness steps finds candidates (dHash: N. Krawetz, "Kind of
Like That", hackerfactor.com, 2013), by sorting the hashes under several rotations of their bits
and comparing neighbours (Manku, Jain and Das Sarma, "Detecting near-duplicates for web crawling",
WWW 2007). Then small thumbnails of a candidate pair must agree in detail. All sums are of whole
numbers below 2**53, hence exact: what is said of two pictures depends on those two alone, not on
how arrays are cut or threads add. (Which candidates are met does depend on the others, where more
than `WINDOW` pictures have almost the same hash.)

The thresholds were set on real pictures, to be quiet where many honest pictures look alike. Of
60,000 small pictures of clothes few are then called near copies, and of photographs only true
ones; what was saved as JPEG of quality 75 or more, or brightened by a tenth, is found nearly
always, what was shrunk to three quarters and back only in photographs of 64 pixels or more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset.examples import PICTURE, Examples
from dataset.partition import Keys, content_keys

Pictures = npt.NDArray[np.generic]
Pairs = npt.NDArray[np.int64]
Levels = npt.NDArray[np.float64]

STEP = 4
"""Grey levels by which a cell must be brighter than the next for its bit to be set. Without it,
the noise of JPEG decides the bits of flat grounds."""
BITS = 8
"""Hashes of near copies differ in so many bits of 64 at the most."""
ROTATIONS = 8
WINDOW = 64
"""Neighbours looked at in each sorted order."""
SIDE = 16
"""Side of a thumbnail at the most."""
NOISE = 3.0
"""Mean absolute difference of near copies' thumbnails, in grey levels, mean and contrast made
equal first."""
DETAIL = 0.2
"""The same as root mean square over the contrast: low contrast makes every difference small."""
SHIFT = 26.0
"""Difference of the mean grey levels."""
GAIN = 1.25
"""Ratio of the contrasts."""
FAINT = 4.0
"""Contrast in grey levels below which pictures are too plain to be told apart by this."""
_CHUNK = 2048


def near_keys(pictures: Pictures) -> Keys:
    """`(n,)` keys: equal for near copies, and a picture's content key where it has none.

    pictures: `(n, h, w, c)` uint8 or finite float32. Near copies of near copies belong to one
    group, whose key is the smallest content key in it. So an added picture moves no old one, but
    where it joins a group: then the old ones move only if its own key is the smallest, or if it
    joins two groups into one.
    """
    keys = _content(pictures)
    pairs = near_pairs(pictures)
    while True:
        lowest = np.minimum.reduce(keys[pairs], axis=1)
        if (keys[pairs] == lowest[:, None]).all():
            return keys
        np.minimum.at(keys, pairs, lowest[:, None])


def near_pairs(pictures: Pictures) -> Pairs:
    """`(m, 2)` places i < j of pictures that are copies or near copies, sorted.

    pictures: as above. Of pictures with equal content each is paired with the first of them, and
    that one alone with the near copies that are not equal.
    """
    _, first, place = np.unique(_content(pictures), return_index=True, return_inverse=True)
    copies = np.stack([first[place], np.arange(len(pictures))], axis=1)
    distinct = np.sort(first)
    near = distinct[_near(pictures[distinct])]
    pairs = np.concatenate([copies[copies[:, 0] != copies[:, 1]], near])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].astype(np.int64)


@dataclass(frozen=True)
class _Looks:
    """What pictures are compared by."""

    hashes: Keys
    shapes: npt.NDArray[np.float32]
    """`(n, d)` thumbnails without their mean, divided by their contrast."""
    rows: npt.NDArray[np.float32]
    """`(n, rows)` means of the shapes' rows."""
    mean: Levels
    contrast: Levels
    """Root mean square of a thumbnail without its mean."""


def _near(pictures: Pictures) -> Pairs:
    """`(m, 2)` places i < j of near copies among pictures that all differ, in no order."""
    if not len(pictures):
        return np.empty((0, 2), dtype=np.int64)
    looks = _looks(pictures)
    vivid = np.flatnonzero(looks.contrast >= FAINT)
    found = [np.empty(0, dtype=np.int64)]
    for pairs in _candidates(looks.hashes[vivid]):
        alike = np.sort(_agree(looks, vivid[pairs]), axis=1)
        found.append(np.unique(alike[:, 0] * len(pictures) + alike[:, 1]))
    codes = np.unique(np.concatenate(found))
    return np.stack(np.divmod(codes, len(pictures)), axis=1)


def _candidates(hashes: Keys) -> Iterator[Pairs]:
    """Pairs of places whose hashes differ in few bits, some of them several times."""
    for rotation in range(ROTATIONS):
        by = np.uint64(rotation * 64 // ROTATIONS)
        turned = (hashes << by) | (hashes >> ((np.uint64(64) - by) % np.uint64(64)))
        order = np.argsort(turned, kind="stable").astype(np.int64)
        for step in range(1, min(WINDOW, len(hashes) - 1) + 1):
            left, right = order[:-step], order[step:]
            close = np.bitwise_count(hashes[left] ^ hashes[right]) <= BITS
            yield np.stack([left[close], right[close]], axis=1)


def _agree(looks: _Looks, pairs: Pairs) -> Pairs:
    """Those of `(m, 2)` pairs that are near copies."""
    means, contrasts = looks.mean[pairs], looks.contrast[pairs]
    shifted = np.abs(means[:, 0] - means[:, 1]) > SHIFT
    pairs = pairs[~shifted & (contrasts.max(axis=1) <= GAIN * contrasts.min(axis=1))]
    # Means of rows differ by no more than their cells: most pairs need no closer look.
    noise, _ = _apart(looks.rows, looks.contrast, pairs)
    pairs = pairs[noise <= NOISE]
    noise, detail = _apart(looks.shapes, looks.contrast, pairs)
    return pairs[(noise <= NOISE) & (detail <= DETAIL)]


def _apart(
    shapes: npt.NDArray[np.float32], contrast: Levels, pairs: Pairs
) -> tuple[Levels, npt.NDArray[np.float32]]:
    """`(m,)` differences of shapes: the mean in grey levels, the root mean square in contrasts."""
    noise, detail = np.empty(len(pairs)), np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        left, right = pairs[part].T
        apart = shapes[left] - shapes[right]
        detail[part] = np.sqrt(np.square(apart).mean(axis=1))
        noise[part] = np.abs(apart).mean(axis=1) * np.sqrt(contrast[left] * contrast[right])
    return noise, detail


def _looks(pictures: Pictures) -> _Looks:
    parts = [
        _looks_of(_levels(pictures[start : start + _CHUNK]))
        for start in range(0, len(pictures), _CHUNK)
    ]
    return _Looks(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.shapes for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.contrast for part in parts]),
    )


def _looks_of(levels: Levels) -> _Looks:
    """Of `(n, h, w, c)` whole numbers from 0 to 255."""
    count, height, width, channels = levels.shape
    # Colours stay apart: the same thing in another colour is no copy.
    rows = min(SIDE, height)
    thumbs = _shrink(levels, rows, min(SIDE, width)).reshape(count, -1)
    mean = thumbs.mean(axis=1)
    centred = thumbs - mean[:, None]
    contrast = np.sqrt(np.square(centred).mean(axis=1))
    shapes = (centred / np.maximum(contrast, 1e-9)[:, None]).astype(np.float32)
    # The weights of ITU-R BT.601, in thousandths.
    luma = np.array([1.0] if channels == 1 else [299.0, 587.0, 114.0])
    grey = _shrink((levels @ luma)[..., None], 8, 9)[..., 0] / luma.sum()
    steps = (grey[:, :, :-1] - grey[:, :, 1:] > STEP).reshape(count, 64)
    # Bits of one rotation come from all over the picture: the corners often are mere ground.
    spread = steps.reshape(count, 8, 8).transpose(0, 2, 1).reshape(count, 64)
    hashes = np.packbits(spread, axis=1).view(np.uint64)[:, 0]
    lines = shapes.reshape(count, rows, -1).mean(axis=2)
    return _Looks(hashes, shapes, lines, mean, contrast)


def _levels(pictures: Pictures) -> Levels:
    """Grey levels; real numbers are spread over them by each picture's own range."""
    numbers: Levels = pictures.astype(np.float64)
    if pictures.dtype == np.uint8:
        return numbers
    axes = (1, 2, 3)
    lowest = numbers.min(axis=axes, keepdims=True)
    width = numbers.max(axis=axes, keepdims=True) - lowest
    spread: Levels = np.round((numbers - lowest) / np.where(width > 0, width, 1) * 255)
    return spread


def _shrink(levels: Levels, rows: int, columns: int) -> Levels:
    """`(n, rows, columns, c)` means over the areas of the cells."""
    height, width = levels.shape[1:3]
    planes = np.moveaxis(levels, 3, 1)
    sums = _overlaps(height, rows) @ planes @ _overlaps(width, columns).T
    means: Levels = np.moveaxis(sums, 1, 3) / (height * width)
    return means


def _overlaps(size: int, cells: int) -> Levels:
    """`(cells, size)`: how much of each pixel lies in each cell, in whole parts of a pixel."""
    cell, pixel = np.arange(cells)[:, None], np.arange(size)[None, :]
    ends = np.minimum((cell + 1) * size, (pixel + 1) * cells)
    shared: Levels = np.maximum(ends - np.maximum(cell * size, pixel * cells), 0).astype(np.float64)
    return shared


def _content(pictures: Pictures) -> Keys:
    count = len(pictures)
    rows = np.arange(count, dtype=np.int64)
    return content_keys(Examples({PICTURE: pictures}, np.full(count, "", dtype=object), rows))
