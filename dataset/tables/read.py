"""Tables from files: one file, a folder of Parquet parts, or a folder with a file for each part.

What is read is cells; `dataset.tables.types` says what they hold.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Column
from dataset.tables.cells import Missing, Origin, Words, read_cells
from dataset.tables.files import (
    PART,
    READERS,
    TABLE_ENDINGS,
    ending,
    parts,
    stacked,
)
from dataset.tables.given import given_files
from dataset.tables.types import arrays, types_of
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Raw:
    """The cells of a table, and where they come from."""

    frame: "pd.DataFrame"
    """Text, or the types that the file stores; rows are numbered from 0."""
    origin: Origin
    given: Words | None
    """`(n,)` train, validation or test, where the files say in which part a row is."""


def read_raw_table(path: Path) -> Raw:
    """The cells of a file or folder.

    A folder whose files are named by parts (see `dataset.tables.given`) is one table, in which each
    row's part is known. Raises InputError where it is missing, empty, or not what its ending says,
    and where the files of a folder differ in their columns.
    """
    _require_there(path)
    if not path.is_dir():
        return Raw(_filled(_reader(path)(path), path), Origin(path), None)
    given = given_files(path)
    paths = [file for file, _ in given] or parts(path)
    frames = [_reader(file)(file) for file in paths]
    for file, part in zip(paths, frames, strict=True) if given else ():
        _filled(part, file)
    frame = _filled(stacked(frames, paths), path)
    sizes = [len(part) for part in frames]
    origin = Origin(path, tuple(zip(paths, sizes, strict=True)))
    names = np.array([part for _, part in given], dtype=object)
    return Raw(frame, origin, np.repeat(names, sizes) if given else None)


def read_table(path: Path) -> "pd.DataFrame":
    """The cells alone; see `read_raw_table`."""
    return read_raw_table(path).frame


def require_columns(
    frame: "pd.DataFrame", names: Sequence[str], what: str, where: Origin | Path
) -> None:
    """Raise InputError, with the nearest name, where one of `names` is not a column."""
    for name in names:
        if name not in frame.columns:
            near = difflib.get_close_matches(name, list(frame.columns), n=1, cutoff=0.3)
            hint = f"did you mean {near[0]!r}? " if near else ""
            listed = ", ".join(map(repr, list(frame.columns)[:20]))
            raise InputError(f"{where}: there is no {what} {name!r}; {hint}Columns: {listed}.")


def missing_cells(values: "pd.Series[Any]", missing: Sequence[str]) -> "pd.Series[bool]":
    """Which cells hold nothing: null, or one of the texts in `missing`; see `table_cells`."""
    import pandas as pd

    return pd.Series(read_cells(values, Missing(tuple(missing), {})).absent, index=values.index)


def infer(frame: "pd.DataFrame", missing: Sequence[str]) -> tuple[Column, ...]:
    """What each column holds; see `dataset.tables.types.types_of`."""
    everywhere = Missing(tuple(missing), {})
    return types_of([read_cells(frame[name], everywhere) for name in frame.columns], {})


def typed(
    frame: "pd.DataFrame", columns: Sequence[Column], missing: Missing, origin: Origin
) -> dict[str, npt.NDArray[np.generic]]:
    """Feature arrays of the `columns`, by name; see `dataset.tables.types.arrays`.

    Raises InputError, naming column and row, where a column is not there or a cell does not fit.
    """
    require_columns(frame, [column.name for column in columns], "column", origin)
    cells = [read_cells(frame[column.name], missing) for column in columns]
    return arrays(cells, columns, origin)


def _require_there(path: Path) -> None:
    if path.exists():
        return
    near = difflib.get_close_matches(
        path.name, sorted(other.name for other in _siblings(path)), n=1, cutoff=0.4
    )
    hint = f" Did you mean {near[0]}?" if near else ""
    raise InputError(
        f"{path}: there is no such file.{hint}\n"
        "If DVC tracks it, fetch it with: dvc pull (or dvc checkout)"
    )


def _filled(frame: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    if not len(frame.columns):
        raise InputError(f"{path}: the table has no columns.")
    if not len(frame):
        raise InputError(f"{path}: the table has a header but no rows.")
    return frame


def _reader(path: Path) -> Callable[[Path], "pd.DataFrame"]:
    known = ending(path)
    if not known:
        raise InputError(
            f"{path}: the ending {path.suffix or '(none)'} is not known; "
            f"give one of {', '.join(TABLE_ENDINGS)}, or a folder of {PART} parts."
        )
    return READERS[known]


def _siblings(path: Path) -> list[Path]:
    folder = path.parent
    return list(folder.iterdir()) if folder.is_dir() else []
