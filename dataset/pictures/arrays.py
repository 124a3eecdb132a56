"""Pictures in NumPy's archives: an array of pictures and one of labels, for each part or once."""

import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from dataset.partition import NAMES
from dataset.pictures.decoding import colourless, fit, on_channels, on_sizes
from dataset.pictures.labelled import (
    Labels,
    Pictures,
    PictureSettings,
    part_of,
    require_memory,
    texts,
)
from pipeline.errors import InputError

Array = npt.NDArray[np.generic]

PART_PAIRS = (
    ("x_{}", "y_{}"),
    ("{}_images", "{}_labels"),
    ("images_{}", "labels_{}"),
    ("{}_x", "{}_y"),
    ("{}_data", "{}_labels"),
)
"""Names of an array of pictures and of its labels, around the name of a part."""
PAIRS = (("images", "labels"), ("x", "y"), ("data", "target"), ("data", "labels"))
"""The same without parts."""
EXPECTED = "x_train and y_train, train_images and train_labels, images and labels, x and y"
KINDS = "biufSU"
"""dtype kinds that are read: truth, whole numbers, real numbers, texts."""
ALPHA = 4


def read_arrays(path: Path, settings: PictureSettings) -> Pictures:
    """The pictures of an `.npz` file; no object in it is ever unpickled.

    Pictures are `(n, h, w)` or `(n, h, w, 1, 3 or 4)`, the fourth channel being opacity; labels
    `(n,)` or `(n, 1)`. Whole numbers from 0 to 255 become uint8, others float32. Raises
    InputError where the file is damaged or too large, or holds something else.
    """
    # What is wrong from here on is about what the file holds, not about reaching it.
    path.open("rb").close()
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:
        raise _damaged(path, error) from None
    with archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        pairs = _pairs(path, list(members))
        used = [archive.getinfo(members[name]) for pair in pairs for name in pair.names]
        require_memory(sum(member.file_size for member in used), str(path))
        blocks = [_block(path, archive, members, pair) for pair in pairs]
    blocks = [block for block in blocks if len(block.pictures)]
    if not blocks:
        raise InputError(f"{path}: the arrays hold no picture.")
    shapes = sorted({(block.pictures.shape[1], block.pictures.shape[2]) for block in blocks})
    if settings.size is None and len(shapes) > 1:
        raise InputError(
            f"{path}: the arrays hold pictures of different sizes, {shapes[0]} and {shapes[1]}. "
            "Give a size."
        )
    size = settings.size or shapes[0]
    notes = [
        on_sizes(shapes, size),
        *_on_unused(members, pairs),
    ]
    pictures = _joined([_resized(block.pictures, size) for block in blocks])
    pictures = _channelled(pictures, settings.channels)
    notes.insert(1, on_channels(pictures.shape[-1], settings.channels))
    if pictures.dtype != np.uint8:
        notes.append("numbers that are no bytes from 0 to 255: kept as real numbers")
    parts = [part for block in blocks for part in [block.pair.part] * len(block.pictures)]
    return _labelled(
        Pictures(
            pictures,
            np.concatenate([block.labels for block in blocks]),
            texts(parts) if len(set(parts)) > 1 else None,
            texts([name for block in blocks for name in block.names()]),
            [],
            notes,
        )
    )


@dataclass(frozen=True)
class _Pair:
    """Names of two arrays that belong together."""

    pictures: str
    labels: str
    part: str | None

    @property
    def names(self) -> tuple[str, str]:
        return self.pictures, self.labels


@dataclass(frozen=True)
class _Block:
    """The two arrays of a pair, checked: `(n, h, w, 1 or 3)` uint8 or float32, `(n,)` str."""

    pair: _Pair
    pictures: Array
    labels: Labels

    def names(self) -> Iterator[str]:
        return (f"{self.pair.pictures}[{place}]" for place in range(len(self.pictures)))


def _pairs(path: Path, keys: list[str]) -> list[_Pair]:
    """The pairs by their usual names, in any case."""
    known = {key.lower(): key for key in keys}
    for shapes, parts in ((PART_PAIRS, tuple(NAMES)), (PAIRS, ("",))):
        for pictures, labels in shapes:
            found = [
                _Pair(known[pictures.format(part)], known[labels.format(part)], part_of(part))
                for part in parts
                if pictures.format(part) in known and labels.format(part) in known
            ]
            if found:
                return found
    raise InputError(
        f"{path}: which array holds pictures, and which their labels? There are "
        f"{', '.join(sorted(keys)[:12]) or 'none'}.\nName them {EXPECTED}."
    )


def _on_unused(members: dict[str, str], pairs: list[_Pair]) -> list[str]:
    unused = sorted(set(members) - {name for pair in pairs for name in pair.names})
    return [f"arrays that were not read: {', '.join(unused[:8])}"] if unused else []


def _block(path: Path, archive: zipfile.ZipFile, members: dict[str, str], pair: _Pair) -> _Block:
    pictures, labels = (_array(path, archive, members[name]) for name in pair.names)
    checked = _as_pictures(pictures, f"{path}: {pair.pictures}")
    named = _as_labels(labels, f"{path}: {pair.labels}")
    if len(checked) != len(named):
        raise InputError(
            f"{path}: {pair.pictures} holds {len(checked):,} pictures and {pair.labels} "
            f"{len(named):,} labels. There must be one for each."
        )
    return _Block(pair, checked, named)


def _array(path: Path, archive: zipfile.ZipFile, member: str) -> Array:
    """An array whose header tells no more than its member holds; raises InputError."""
    # zipfile, zlib and NumPy raise errors of any class for damaged bytes.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with archive.open(member) as stream:
                problem = _unfit(stream, archive.getinfo(member).file_size)
            if not problem:
                with archive.open(member) as stream:
                    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
                    # To the end, where the checksum is compared.
                    stream.read(1)
                    return array
    except Exception as error:
        raise _damaged(path, error) from None
    raise InputError(f"{path}: {member}: {problem}")


def _unfit(stream: IO[bytes], size: int) -> str | None:
    """What is wrong with an array of `size` bytes, header and all, before memory is taken."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        return f"version {version} of NumPy's format is not read here. Save the array plainly."
    if dtype.kind not in KINDS or not dtype.itemsize:
        return f"holds {dtype}, which is not read. Save pictures and labels as numbers or texts."
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - stream.tell():
        return f"the header tells of an array {shape} of {dtype}, which is not what follows it."
    return None


def _as_pictures(array: Array, where: str) -> Array:
    """`(n, h, w, 1 or 3)` uint8 or float32."""
    if array.dtype.kind in "SU":
        raise InputError(f"{where}: holds texts, not pictures.")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, ALPHA) or 0 in array.shape[1:]:
        first = array.ndim == 4 and array.shape[1] in (1, 3)
        hint = "Move the channels to the end: transpose(0, 2, 3, 1)." if first else ""
        raise InputError(
            f"{where}: has the shape {array.shape}; pictures are (n, height, width) or (n, height, "
            f"width, channels) with 1, 3 or 4 channels. {hint}".rstrip()
        )
    numbers = _numbers(array, where)
    return _on_white(numbers) if numbers.shape[-1] == ALPHA else numbers


def _numbers(array: Array, where: str) -> Array:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
        return np.ascontiguousarray(array, dtype=np.uint8)
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, dtype=np.float32)
    for place, picture in enumerate(narrow):
        if not np.isfinite(picture).all():
            raise InputError(
                f"{where}[{place}]: holds a number that is not finite, or too large. "
                "Mend the picture or leave it out."
            )
    return narrow


def _on_white(pictures: Array) -> Array:
    """Colours as they look on white; the most opaque is 1, or 255 where numbers go beyond 1."""
    made = np.empty((*pictures.shape[:3], 3), dtype=pictures.dtype)
    white = 255.0 if pictures.dtype == np.uint8 or pictures.max(initial=0) > 1 else 1.0
    for place, picture in enumerate(pictures.astype(np.float32, copy=False)):
        opacity = picture[..., 3:] / white
        shown = picture[..., :3] * opacity + white * (1 - opacity)
        made[place] = np.round(shown) if made.dtype == np.uint8 else shown
    return made


def _as_labels(array: Array, where: str) -> Labels:
    """`(n,)` str: whole numbers without a point, texts stripped."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        many = array.ndim == 2
        hint = " One column for each class? Give the place of the one: argmax(axis=1)." * many
        raise InputError(f"{where}: has the shape {array.shape}; labels are (n,) or (n, 1).{hint}")
    if array.dtype.kind == "f":
        real = array.astype(np.float64)
        whole = np.isfinite(real) & (real == np.round(real)) & (np.abs(real) < 2**53)
        if not whole.all():
            wrong = int(np.flatnonzero(~whole)[0])
            raise InputError(
                f"{where}[{wrong}]: {real[wrong]} is no class. Give whole numbers or texts."
            )
        array = real.astype(np.int64)
    try:
        values = array.tolist()
        if array.dtype.kind == "S":
            values = [value.decode() for value in values]
        labels = [str(value).strip() for value in values]
        "".join(labels).encode()
    except ValueError:
        raise InputError(f"{where}: holds bytes that are no text. Save labels as UTF-8.") from None
    return texts(labels)


def _resized(pictures: Array, size: tuple[int, int]) -> Array:
    from PIL import Image

    count, height, width, channels = pictures.shape
    if (height, width) == size:
        return pictures
    made = np.empty((count, *size, channels), dtype=pictures.dtype)
    for place, picture in enumerate(pictures):
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(picture[..., channel]))
            made[place, ..., channel] = np.asarray(fit(plane, size))
    return made


def _joined(blocks: list[Array]) -> Array:
    if len({block.shape[-1] for block in blocks}) > 1:
        blocks = [_channelled(block, 3) for block in blocks]
    if len({block.dtype for block in blocks}) > 1:
        blocks = [block.astype(np.float32) for block in blocks]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _channelled(pictures: Array, channels: int | None) -> Array:
    """With 1 or 3 channels; None: 1 where all are equal."""
    have = pictures.shape[-1]
    if channels is None:
        return pictures[..., :1].copy() if have == 3 and colourless(pictures) else pictures
    if channels == have:
        return pictures
    if channels == 3:
        return np.repeat(pictures, 3, axis=-1)
    made = np.empty((*pictures.shape[:3], 1), dtype=pictures.dtype)
    for place, picture in enumerate(pictures.astype(np.float32, copy=False)):
        # The weights of ITU-R BT.601, by which Pillow makes grey too.
        grey = picture[..., 0] * 0.299 + picture[..., 1] * 0.587 + picture[..., 2] * 0.114
        made[place, ..., 0] = np.round(grey) if made.dtype == np.uint8 else grey
    return made


def _labelled(read: Pictures) -> Pictures:
    """Without the pictures whose label is an empty text."""
    known = np.flatnonzero(read.labels != "")
    if len(known) == len(read.labels):
        return read
    lost = np.flatnonzero(read.labels == "")
    return Pictures(
        read.pictures[known],
        read.labels[known],
        None if read.parts is None else read.parts[known],
        read.names[known],
        [(str(read.names[place]), "it has no label") for place in lost],
        read.notes,
    )


def _damaged(path: Path, error: Exception) -> InputError:
    said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    return InputError(
        f"{path}: not a readable .npz file: {said}. Is it whole? Write or fetch it again."
    )
