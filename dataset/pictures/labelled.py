"""Pictures with their labels, as they come out of any source, and what is asked of a source."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset.partition import HOLDOUT, NAMES, TRAIN, VALIDATION
from pipeline.errors import InputError

Labels = npt.NDArray[np.object_]
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Endings of picture files, in any case."""
PART_WORDS = {TRAIN: "train", VALIDATION: "validation", HOLDOUT: "test"}


@dataclass(frozen=True)
class PictureSettings:
    """What is asked of a source of pictures."""

    size: tuple[int, int] | None
    """Height and width; None: as they are if all are equal, else the median sides, 64 at most."""
    channels: int | None
    """1 grey, 3 colour; None: 1 where every picture is grey."""
    label: str | None
    """A list's column of labels."""
    path: str | None
    """A list's column of paths; None: the one column whose cells end as picture files do."""
    part: str | None
    """A list's column that says train, validation or test; None: there is none."""
    missing: tuple[str, ...]
    """A list's cell texts that mean a missing value."""


@dataclass(frozen=True)
class Pictures:
    """n pictures in memory."""

    pictures: npt.NDArray[np.generic]
    """`(n, h, w, c)` uint8, or float32 where arrays hold other numbers."""
    labels: Labels
    """`(n,)` str."""
    parts: Labels | None
    """`(n,)` "train", "validation" or "test" where the source says so."""
    names: Labels
    """`(n,)` str: a file relative to its source, or as x_train[17]."""
    broken: list[tuple[str, str]]
    """Pictures set aside: their names, and why."""
    notes: list[str]
    """What was understood and done, for people."""


@dataclass(frozen=True)
class Entry:
    """A picture file that a source names."""

    path: Path
    name: str
    """Relative to the source."""
    label: str
    part: str | None


@dataclass(frozen=True)
class Fault:
    """A picture that a source names and that cannot be used."""

    name: str
    label: str | None
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a source names, before any file is opened."""

    entries: list[Entry]
    faults: list[Fault]
    notes: list[str]


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its ending."""
    return name.lower().endswith(ENDINGS)


def part_of(name: str) -> str | None:
    """The part that a text names, or None; see `dataset.partition.NAMES`."""
    code = NAMES.get(name.strip().lower())
    return None if code is None else PART_WORDS[code]


def texts(values: Sequence[str | None]) -> Labels:
    """`(n,)` str objects."""
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def require_memory(declared: int, where: str) -> None:
    """Raise InputError where so many bytes, and as many to work with, are not free."""
    free = available()
    if 2 * declared > free:
        raise InputError(
            f"{where}: the pictures take {declared / 1e9:,.1f} GB, and as much to work with; "
            f"{free / 1e9:,.1f} GB are free.\nGive a smaller size, or fewer pictures."
        )


def available() -> int:
    """Bytes of memory that are free."""
    import psutil

    return int(psutil.virtual_memory().available)
