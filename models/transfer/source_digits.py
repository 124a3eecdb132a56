"""Digits drawn from fonts: the source task for grey pictures that needs no pictures of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.fitting import sample
from models.training import Encoded
from models.transfer.source_task import SourceTask, unseen

if TYPE_CHECKING:
    from PIL import ImageFont

FAMILIES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmb10", "cmr10", "cmss10", "cmtt10")
"""Beginnings of the names of matplotlib's fonts that have digits; the others have symbols."""
SYMBOLS = "Display"
"""Part of the names of those DejaVu fonts that have symbols only."""
DETAIL = 4
"""How much finer than the target's pictures a digit is drawn, for smooth edges."""
FILL = 1.3
"""A font's size over the picture's side: a digit is about 0.73 of the size high, and pictures of
single digits are usually cut close to the ink."""
SEEN = 10_000
"""Pictures by which ink is told from ground, at the most."""


def task(data: Encoded, count: int, seed: int) -> SourceTask:
    """To tell `count` drawn digits apart, bright or dark as the data's ink is."""
    from models.fitting.criterion import CLASSIFY

    bright = bright_ink(sample.taken(data.train, sample.spread(len(data.train), SEEN, seed)))
    return SourceTask(
        digits(count, data.shape, bright=bright, seed=seed),
        digits(unseen(count), data.shape, bright=bright, seed=seed + 1),
        10,
        CLASSIFY,
        "classification",
    )


def fonts() -> list[Path]:
    """The TTF fonts with digits that matplotlib ships, in the order of their names."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(
        path
        for path in folder.glob("*.ttf")
        if path.name.startswith(FAMILIES) and SYMBOLS not in path.name
    )


def digits(
    count: int, shape: Sequence[int], *, bright: bool, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """`(count, h, w, c)` float32 pictures of digits, standardised, and `(count,)` int32 codes.

    Every digit comes equally often. Font, place, angle, slant, size and noise are drawn from
    `seed`. `bright`: bright ink on dark ground, else the reverse.
    """
    generator = np.random.default_rng(seed)
    height, width, channels = shape
    side = DETAIL * max(height, width)
    faces = _faces(side)
    codes = generator.permutation(np.arange(count) % 10).astype(np.int32)
    drawn = np.stack([_draw(int(code), faces, side, (width, height), generator) for code in codes])
    noisy = drawn + generator.normal(0, 0.05, drawn.shape)
    ink = noisy if bright else 1 - noisy
    standard = (ink - ink.mean()) / ink.std()
    return np.repeat(standard[..., None], channels, axis=-1).astype(np.float32), codes


def _faces(side: int) -> "list[ImageFont.FreeTypeFont]":
    from PIL import ImageFont

    # The basic layout is part of Pillow; the other depends on what the system has.
    return [
        ImageFont.truetype(str(path), round(side * FILL), layout_engine=ImageFont.Layout.BASIC)
        for path in fonts()
    ]


def _draw(
    code: int,
    faces: "list[ImageFont.FreeTypeFont]",
    side: int,
    size: tuple[int, int],
    generator: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """One distorted digit as `(h, w)` float64 from 0 (ground) to 1 (ink)."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (side, side))
    face = faces[generator.integers(len(faces))]
    left, top, right, bottom = face.getbbox(str(code))
    # By the ink, not by the font's line, which leaves room for letters that hang lower.
    corner = ((side - left - right) / 2, (side - top - bottom) / 2)
    ImageDraw.Draw(picture).text(corner, str(code), 255, face)
    moved = picture.transform(
        (side, side),
        Image.Transform.AFFINE,
        _distortion(side, generator),
        Image.Resampling.BILINEAR,
    )
    small = moved.resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _distortion(side: int, generator: np.random.Generator) -> tuple[float, ...]:
    """Pillow's six numbers: where in the old picture each point of the new one comes from."""
    angle = generator.normal(0, 0.12)
    slant = generator.normal(0, 0.15)
    across, down = generator.uniform((0.6, 0.8), (1.0, 1.1))
    shift = generator.normal(0, 0.04 * side, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.linalg.inv(turn @ np.array([[across, slant], [0.0, down]]))
    centre = np.array([side / 2, side / 2])
    offset = centre - matrix @ (centre + shift)
    return (*matrix[0], offset[0], *matrix[1], offset[1])


def bright_ink(pictures: npt.NDArray[np.float32]) -> bool:
    """Whether what is shown is brighter than its ground, judged by `(n, h, w, c)` borders."""
    border = np.ones(pictures.shape[1:3], dtype=bool)
    border[1:-1, 1:-1] = False
    return bool(pictures[:, border].mean() < pictures.mean())
