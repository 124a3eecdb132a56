"""New examples for a chosen model: rows of a table or pictures, with their targets where known.

The training data's schema decides what a column holds and what shape a picture has; nothing is
inferred from new data.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import PICTURE, Schema
from dataset.tables.cells import Cells, Missing
from dataset.target import Target
from pipeline.errors import InputError

if TYPE_CHECKING:
    from dataset.pictures.labelled import Entry, Listing, PictureSettings
    from dataset.tables.read import Raw

ARRAYS = ".npz"
SHOWN = 5
"""Names of strange classes that are told at the most."""


@dataclass(frozen=True)
class Reading:
    """What params.yaml says of raw data that a schema does not: see section `ingest`."""

    target: tuple[str, ...]
    missing: Missing
    picture: str | None


@dataclass(frozen=True)
class Known:
    """The targets of those new examples that have one."""

    places: npt.NDArray[np.int64]
    """`(m,)` which examples these are."""
    targets: npt.NDArray[Any]
    """As `dataset.examples.Examples` has them; a class may be one that the model does not know."""


@dataclass(frozen=True)
class Arrivals:
    """n new examples."""

    features: dict[str, npt.NDArray[np.generic]]
    what: str
    """Heading of `names`: row or picture."""
    names: Sequence[int | str]
    """n of them: rows from 1, or pictures' names."""
    known: Known | None
    """None where the new data have no targets."""
    notes: list[str]


def read_arrivals(path: Path, schema: Schema, target: Target, reading: Reading) -> Arrivals:
    """New examples; raises InputError where they do not fit the schema, naming row and column.

    Pictures come in a folder, at any depth (a first folder that is called like a class tells it),
    in a list, or as the one array of an `.npz` file.
    """
    if schema.kind == "table":
        from dataset.tables.read import read_raw_table

        return table_arrivals(read_raw_table(path), schema, target, reading)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.suffix.lower() == ARRAYS:
        return _arrays(path, schema)
    return _pictures(path, schema, target, reading)


def table_arrivals(raw: "Raw", schema: Schema, target: Target, reading: Reading) -> Arrivals:
    """The same of a table that has been read, for who looks at its other columns too."""
    from dataset.tables.read import typed

    features = typed(raw.frame, schema.columns, reading.missing, raw.origin)
    known = _known(raw, schema, target, reading)
    return Arrivals(features, "row", range(1, len(raw.frame) + 1), known, [])


def _known(raw: "Raw", schema: Schema, target: Target, reading: Reading) -> Known | None:
    """Targets as the table has them; rows whose targets are missing or no targets have none."""
    from dataset.tables.cells import read_cells
    from dataset.tables.targets import flags, hold, split_labels

    def cells(names: Sequence[str]) -> list[Cells] | None:
        if not set(names) <= set(raw.frame.columns):
            return None
        return [read_cells(raw.frame[name], reading.missing) for name in names]

    columns = cells(schema.targets)
    listed = cells(reading.target) if schema.task == "multilabel" else None
    if columns is None and listed is not None and len(listed) == 1:
        places = np.flatnonzero(~listed[0].absent)
        labels = split_labels(listed[0].take(places).texts())
        return Known(places, hold(labels, target.names))
    if columns is None:
        return None
    if schema.task == "classification":
        places = np.flatnonzero(~columns[0].absent)
        return Known(places, columns[0].take(places).texts())
    read = flags if schema.task == "multilabel" else Cells.numbers
    values = np.stack([read(column) for column in columns], axis=1)
    absent = np.any([column.absent for column in columns], axis=0)
    places = np.flatnonzero(np.isfinite(values).all(axis=1) & ~absent)
    return Known(places, values[places].astype(np.float32))


def _pictures(path: Path, schema: Schema, target: Target, reading: Reading) -> Arrivals:
    from dataset.pictures.decoding import decode
    from dataset.pictures.labelled import PictureSettings, texts

    height, width, channels = schema.shape
    label, column = (None, None) if path.is_dir() else _listing_columns(path, schema, reading)
    settings = PictureSettings(
        size=(height, width),
        channels=channels,
        label=label,
        path=column,
        part=None,
        missing=reading.missing.everywhere,
    )
    listing = _listing(path, settings)
    decoded = decode(listing.entries, settings, str(path))
    faults = [*listing.faults, *decoded.faults]
    if not decoded.entries:
        why = f" {faults[0].name}: {faults[0].reason}." if faults else ""
        raise InputError(f"{path}: there is no picture in it that can be read.{why}")
    labels = texts([entry.label for entry in decoded.entries])
    classes = target.names if target.task == "classification" else ()
    named = np.array([name in classes for name in labels.tolist()])
    places = np.flatnonzero(named)
    notes = [f"{fault.name}: left out: {fault.reason}" for fault in faults]
    if strange := sorted(set(labels[~named & (labels != "")].tolist()) if named.any() else ()):
        count = int((~named & (labels != "")).sum())
        notes.append(
            f"{count:,} {'picture is' if count == 1 else 'pictures are'} in no figure: the model "
            f"has no class that is called "
            f"{', '.join(map(repr, strange[:SHOWN]))}{', …' if len(strange) > SHOWN else ''}"
        )
    return Arrivals(
        {PICTURE: decoded.pictures},
        "picture",
        [entry.name for entry in decoded.entries],
        Known(places, labels[places]) if len(places) else None,
        notes,
    )


def _listing_columns(path: Path, schema: Schema, reading: Reading) -> tuple[str | None, str | None]:
    """A list's column of labels and the one of paths, None where its cells say which.

    Where there are no labels, paths stand for them, which are no class of the model's.
    """
    from dataset.pictures.lists import path_columns
    from dataset.tables.read import read_table

    frame = read_table(path)
    column = reading.picture if reading.picture in frame.columns else None
    labels = [name for name in schema.targets if name in frame.columns]
    paths = [column] if column is not None else path_columns(frame)
    return next(iter([*labels, *paths]), None), column


def _listing(path: Path, settings: "PictureSettings") -> "Listing":
    from dataset.pictures.labelled import Listing
    from dataset.pictures.lists import list_table

    return Listing(list(_files(path)), [], []) if path.is_dir() else list_table(path, settings)


def _files(folder: Path) -> "Iterator[Entry]":
    """The picture files below a folder, sorted; links out of it are passed over."""
    from dataset.pictures.folders import leads_outside, shown
    from dataset.pictures.labelled import Entry, is_picture

    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in within.parts)
        if is_picture(path.name) and path.is_file() and not (hidden or leads_outside(path, folder)):
            label = within.parts[0] if len(within.parts) > 1 else ""
            yield Entry(path, shown(within), label, None)


def _arrays(path: Path, schema: Schema) -> Arrivals:
    """The one array of pictures in an archive; nothing in it is ever unpickled."""
    from dataset.pictures.labelled import require_memory

    try:
        with zipfile.ZipFile(path) as archive:
            require_memory(sum(member.file_size for member in archive.infolist()), str(path))
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in sorted(arrays.files)}
    except InputError:
        raise
    except Exception as error:
        # Damaged bytes raise errors of any class in zipfile, zlib and NumPy.
        said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise InputError(f"{path}: not a readable .npz file: {said}.") from None
    pictures = {name: _fitting(array, schema) for name, array in found.items()}
    fitting = [(name, array) for name, array in pictures.items() if array is not None]
    if len(fitting) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in found.items())
        wanted = ", ".join(map(str, schema.shape))
        raise InputError(
            f"{path}: {'several arrays are' if fitting else 'no array is'} pictures of the shape "
            f"(n, {wanted}) that the model takes.\nThere are: {shapes or 'none'}."
        )
    name, array = fitting[0]
    names = [f"{name}[{place}]" for place in range(len(array))]
    return Arrivals({PICTURE: array}, "picture", names, None, [])


def _fitting(array: npt.NDArray[Any], schema: Schema) -> npt.NDArray[Any] | None:
    """The array as `(n, h, w, c)`, or None where it is something else."""
    whole = array[..., np.newaxis] if array.shape[1:] == schema.shape[:2] else array
    if whole.shape[1:] != schema.shape or not len(whole) or array.dtype.kind not in "biuf":
        return None
    return whole if whole.dtype == np.uint8 else whole.astype(np.float32)
