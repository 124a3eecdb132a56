"""Picture files to one array: decoded side by side, turned upright, brought to one size.

What cannot be decoded is set aside with the reason. Results are placed by the order of the
entries, so that they do not depend on which thread was first.
"""

import contextlib
import math
import shutil
import statistics
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from dataset.pictures.labelled import Entry, Fault, PictureSettings, require_memory
from pipeline.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")
R = TypeVar("R")
Size = tuple[int, int]
"""Height and width."""
Bytes = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
"""What is decoded, whatever a file's ending. Other decoders of Pillow stay out of reach: some
start programs."""
LARGEST = 64
"""Sides of pictures of several sizes, at the most, unless a size is given."""
GAP = 3.0
"""Pictures are reduced by whole factors first, to so many times the size: fast, and hardly to be
told from the exact way (Pillow's manual)."""
THREADS = 4
IN_MEMORY_BYTES = 1 << 30
"""Decoded pictures of more bytes than this are kept in a file."""
GREY_MODES = ("1", "L", "LA")
ORIENTATION = 0x0112
"""EXIF's tag; from 5 on, height and width are swapped."""


@dataclass(frozen=True)
class Decoded:
    """The pictures of files."""

    pictures: Bytes
    """`(n, h, w, c)`."""
    entries: list[Entry]
    """n of them."""
    faults: list[Fault]
    notes: list[str]


def decode(entries: Sequence[Entry], settings: PictureSettings, where: str) -> Decoded:
    """The pictures of the entries, in their order, without those that are broken.

    More of them than `IN_MEMORY_BYTES` lie in a file. Raises InputError where one alone is too
    large for memory; `where` is for people.
    """
    with _pillow():
        heads = _all(_head, [entry.path for entry in entries])
        sound = [head for head in heads if isinstance(head, _Head)]
        if not sound:
            nothing = np.empty((0, 1, 1, 1), dtype=np.uint8)
            return Decoded(nothing, [], _faults(entries, heads), [])
        size = settings.size or _common_size([head.size for head in sound])
        grey = settings.channels == 1 or (
            settings.channels is None and all(head.grey for head in sound)
        )
        shape = (len(entries), *size, 1 if grey else 3)
        require_memory(math.prod(shape[1:]), where)
        _require_disk(math.prod(shape), where)
        pictures = _room(shape)
        reasons = _fill(pictures, [entry.path for entry in entries], heads)
    kept = [place for place, reason in enumerate(reasons) if reason is None]
    pictures = _packed(pictures, kept)
    # Only the pixels tell whether pictures with three channels have colours.
    if settings.channels is None and not grey and colourless(pictures):
        whole, pictures = pictures, _room((*pictures.shape[:-1], 1))
        for place, picture in enumerate(whole):
            pictures[place] = picture[..., :1]
    sizes = [head.size for head in sound]
    notes = [on_sizes(sizes, size), on_channels(pictures.shape[-1], settings.channels)]
    return Decoded(pictures, [entries[place] for place in kept], _faults(entries, reasons), notes)


def _require_disk(size: int, where: str) -> None:
    """Raise InputError where the file would not fit: to write to a mapped file on a full disk ends
    the process."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > IN_MEMORY_BYTES and 2 * size > free:
        raise InputError(
            f"{where}: the pictures take {size / 1e9:,.1f} GB, and as much to work with; "
            f"{free / 1e9:,.1f} GB are free in {tempfile.gettempdir()}.\n"
            "Give a smaller size, or fewer pictures."
        )


def _room(shape: tuple[int, ...]) -> Bytes:
    """An array to be filled: in memory, or mapped from a file without a name where that would be
    too much; the file is gone with the array."""
    if math.prod(shape) <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(prefix="fettle-") as file:
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def fit(image: "Image.Image", size: Size) -> "Image.Image":
    """The picture at that size: the shorter side scaled, the centre of the longer kept.

    Bilinear over the whole area that a new pixel covers.
    """
    from PIL import Image

    height, width = size
    if image.size == (width, height):
        return image
    scale = min(image.width / width, image.height / height)
    across, down = min(width * scale, image.width), min(height * scale, image.height)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (left, top, min(left + across, image.width), min(top + down, image.height))
    return image.resize((width, height), Image.Resampling.BILINEAR, box, GAP)


def on_sizes(sizes: Collection[Size], size: Size) -> str:
    """A note on the sizes met and what became of them."""
    met = sorted(set(sizes))
    if met == [size]:
        return f"all of {size[0]} x {size[1]} pixels (height x width)"
    span = " to ".join(f"{height} x {width}" for height, width in dict.fromkeys((met[0], met[-1])))
    return (
        f"pictures of {len(met):,} {'size' if len(met) == 1 else 'sizes'} ({span}) were brought to "
        f"{size[0]} x {size[1]} (height x width): the shorter side scaled, the longer cut evenly"
    )


def colourless(pictures: npt.NDArray[np.generic]) -> bool:
    """Whether all channels of every one of `(n, h, w, c)` are equal."""
    return all(bool((picture == picture[..., :1]).all()) for picture in pictures)


def on_channels(channels: int, asked: int | None) -> str:
    """A note on grey and colour."""
    kind = "grey" if channels == 1 else "in colour"
    if asked is not None:
        return f"{kind}, as the parameters say"
    return f"{kind}: {'no' if channels == 1 else 'at least one'} picture has colours"


@dataclass(frozen=True)
class _Head:
    """What a file says of its picture before it is decoded."""

    size: Size
    grey: bool


@contextlib.contextmanager
def _pillow() -> Iterator[None]:
    """Pillow with its plugins loaded; its warnings quiet, but for bombs, which are errors."""
    from PIL import Image

    # Before the threads: two of them would load plugins at once.
    Image.init()
    # Filters are the process's, so they are set around all threads, not in each.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, items))


def _attempt(work: Callable[[Path], R], path: Path) -> R | str:
    """What `work` gives, or the reason why it cannot."""
    from PIL import Image, UnidentifiedImageError

    # Faults of the disk are no faults of the picture, and end the run.
    with path.open("rb") as file:
        if not file.read(1):
            return "the file is empty"
    # Pillow raises errors of any class for damaged bytes.
    try:
        return work(path)
    except UnidentifiedImageError:
        # Its own words hold a place in memory.
        return "not a picture of a known format"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "more pixels than are safe to decode"
    except Exception as error:
        return next(iter(str(error).splitlines()), "") or type(error).__name__


def _fill(
    pictures: Bytes, paths: Sequence[Path], heads: "Sequence[_Head | str]"
) -> list[str | None]:
    """Decode the files into their places; why not, for each of them, or None."""
    _, height, width, channels = pictures.shape

    def fill(place: int) -> str | None:
        head = heads[place]
        if isinstance(head, str):
            return head
        decoded = _attempt(
            lambda path: _decoded(path, (height, width), channels == 1), paths[place]
        )
        if isinstance(decoded, str):
            return decoded
        pictures[place] = decoded
        return None

    return _all(fill, range(len(paths)))


def _head(path: Path) -> "_Head | str":
    return _attempt(_read_head, path)


def _read_head(path: Path) -> _Head:
    with _opened(path) as image:
        width, height = image.size
        grey = image.mode in GREY_MODES or image.mode.startswith("I;16")
        return _Head((width, height) if _lies(image) else (height, width), grey)


@contextlib.contextmanager
def _opened(path: Path) -> "Iterator[Image.Image]":
    from PIL import Image

    with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        yield image


def _lies(image: "Image.Image") -> bool:
    """Whether EXIF says that the picture is to be turned by a right angle."""
    # A TIFF keeps none here, and tells its size upright; of a PNG only what comes before its
    # pixels counts.
    if "exif" not in image.info:
        return False
    try:
        return bool(image.getexif().get(ORIENTATION, 1) >= 5)
    except Exception:
        # Damaged EXIF is common in sound pictures.
        return False


def _decoded(path: Path, size: Size, grey: bool) -> Bytes:
    """`(h, w, 1 or 3)`."""
    from PIL import ImageOps

    with _opened(path) as image:
        height, width = size[::-1] if _lies(image) else size
        # JPEG alone can be decoded at an eighth, quarter or half of its size.
        image.draft(None, (int(width * GAP), int(height * GAP)))
        image.load()
        with contextlib.suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        plain = _plain(image).convert("L" if grey else "RGB")
        return np.asarray(fit(plain, size), dtype=np.uint8).reshape(*size, -1)


def _plain(image: "Image.Image") -> "Image.Image":
    """In 8 bits, and on white where it is transparent."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a channel, whose white is not known; save it in 8 or 16")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("L" if image.mode in GREY_MODES else "RGB")


def _common_size(sizes: Sequence[Size]) -> Size:
    if len(set(sizes)) == 1:
        return sizes[0]
    height, width = (
        min(statistics.median_low(sides), LARGEST) for sides in zip(*sizes, strict=True)
    )
    return height, width


def _packed(pictures: Bytes, kept: Sequence[int]) -> Bytes:
    """The kept ones moved to the front, in place: a copy would take the memory twice."""
    for target, place in enumerate(kept):
        if target != place:
            pictures[target] = pictures[place]
    return pictures[: len(kept)]


def _faults(entries: Sequence[Entry], reasons: Sequence[object]) -> list[Fault]:
    return [
        Fault(entry.name, entry.label, reason)
        for entry, reason in zip(entries, reasons, strict=True)
        if isinstance(reason, str)
    ]
