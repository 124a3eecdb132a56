"""Pictures of one's own: a folder with one folder for each class, a list in a table, or arrays.

Folders: `dataset.pictures.folders`; lists: `dataset.pictures.lists`; arrays:
`dataset.pictures.arrays`.
"""

import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from dataset.pictures.arrays import read_arrays
from dataset.pictures.decoding import decode
from dataset.pictures.folders import list_folder
from dataset.pictures.labelled import Entry, Fault, Pictures, PictureSettings, is_picture, texts
from dataset.pictures.lists import list_table, path_columns
from dataset.tables.files import PART, ending
from pipeline.errors import InputError

PictureKind = Literal["folder", "list", "arrays"]
ARRAYS = ".npz"
_LOOKED_AT = 2_000
"""Files of a folder, at the most, until one must be a picture."""
_BEGINNING = 64 * 1024
"""Bytes of a text that are looked at for names of pictures."""
_ROWS = 50
_NAME = re.compile(r"[^\"',;\t|\r\n]+\.(?:jpe?g|png|bmp|gif|webp|tiff?)(?![\w.])", re.IGNORECASE)


def read_pictures(path: Path, settings: PictureSettings) -> Pictures:
    """All pictures of a folder, of a list or of an `.npz` file, of one size, with their labels.

    Files that cannot be decoded are set aside in `broken`. Raises InputError where there are no
    two classes, more than half of all files or all of a class are broken, or memory does not
    suffice, and for what the modules above refuse.
    """
    if path.suffix.lower() == ARRAYS and path.is_file():
        read = read_arrays(path, settings)
        _require_classes(read, path)
        return read
    listing = list_folder(path) if path.is_dir() else list_table(path, settings)
    decoded = decode(listing.entries, settings, str(path))
    faults = [*listing.faults, *decoded.faults]
    _require_sound(decoded.entries, faults, path)
    parts = [entry.part for entry in decoded.entries]
    read = Pictures(
        decoded.pictures,
        texts([entry.label for entry in decoded.entries]),
        None if None in parts else texts(parts),
        texts([entry.name for entry in decoded.entries]),
        [(fault.name, fault.reason) for fault in faults],
        [*decoded.notes, *listing.notes],
    )
    _require_classes(read, path)
    return read


def picture_kind(path: Path) -> PictureKind | None:
    """Which kind of source of pictures a path is, at a glance; None: not pictures.

    A table is a list where most of its first rows name pictures and one of those is there.
    """
    if path.is_dir():
        return "folder" if _has_pictures(path) else None
    if not path.is_file():
        return None
    if path.suffix.lower() == ARRAYS:
        return "arrays"
    return "list" if ending(path) and _names_pictures(path) else None


def _has_pictures(folder: Path) -> bool:
    seen = 0
    for found, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if found == str(folder) and any(name.lower().endswith(PART) for name in files):
            return False
        if any(is_picture(name) and not name.startswith(".") for name in files):
            return True
        seen += len(files)
        if seen > _LOOKED_AT:
            return False
    return False


def _names_pictures(path: Path) -> bool:
    named = _first_names(path)
    return any((path.parent / name.replace("\\", "/")).is_file() for name in named)


def _first_names(path: Path) -> list[str]:
    """Names of pictures in the first rows; none where less than half of the rows have one."""
    if ending(path) in (PART, ".feather", ".arrow"):
        return _first_stored(path)
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            text = file.read(_BEGINNING).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return []
    rows = [row for row in islice(text.splitlines(), _ROWS) if row.strip()]
    found = [match.group().strip() for row in rows if (match := _NAME.search(row))]
    return found if 2 * len(found) >= len(rows) - 1 else []


def _first_stored(path: Path) -> list[str]:
    """The same of a Parquet or Arrow file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Damaged bytes raise errors of any class; what is no table is told when it is read as one.
    try:
        if ending(path) == PART:
            with pq.ParquetFile(path) as file:
                batch = next(file.iter_batches(batch_size=_ROWS))
        else:
            with pa.ipc.open_file(path) as file:
                batch = file.get_batch(0).slice(0, _ROWS)
        frame = batch.to_pandas()
    except Exception:
        return []
    columns = path_columns(frame)
    return [str(value).strip() for value in frame[columns[0]]] if columns else []


def _require_sound(entries: Sequence[Entry], faults: Sequence[Fault], path: Path) -> None:
    """Raise InputError where too much is broken to go on."""
    total = len(entries) + len(faults)
    told = "\n".join(f"  {fault.name}: {fault.reason}" for fault in faults[:3])
    if 2 * len(faults) > total:
        raise InputError(
            f"{path}: {len(faults):,} of {total:,} pictures cannot be used, among them\n{told}"
        )
    sound = {entry.label for entry in entries}
    lost = Counter(fault.label for fault in faults if fault.label and fault.label not in sound)
    for label, count in sorted(lost.items()):
        first = next(fault for fault in faults if fault.label == label)
        raise InputError(
            f"{path}: none of the {count:,} pictures of the class {label!r} can be used, as\n"
            f"  {first.name}: {first.reason}"
        )


def _require_classes(read: Pictures, path: Path) -> None:
    classes = sorted(set(read.labels.tolist()))
    if len(classes) < 2:
        only = f"one class only, {classes[0]!r}" if classes else "no picture with a label"
        raise InputError(f"{path}: there is {only}: nothing to tell apart.")
