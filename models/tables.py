"""Tables from files: read as they are, then typed, with missing cells marked.

Types are decided once, by `infer`, and applied to later files of the same kind by `typed`.
"""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.examples import Column
from models.table_files import PART, READERS, TABLE_ENDINGS, ending, read_folder
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path) -> "pd.DataFrame":
    """The cells of a file, or of a folder of Parquet parts: text, or the types it stores.

    Raises InputError where it is missing, empty, or not what its ending says.
    """
    if not path.exists():
        near = difflib.get_close_matches(
            path.name, [other.name for other in _siblings(path)], n=1, cutoff=0.4
        )
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(
            f"{path}: there is no such file.{hint}\n"
            "If DVC tracks it, fetch it with: dvc pull (or dvc checkout)"
        )
    frame = _reader(path)(path)
    if not len(frame.columns):
        raise InputError(f"{path}: the table has no columns.")
    if not len(frame):
        raise InputError(f"{path}: the table has a header but no rows.")
    return frame


def require_columns(frame: "pd.DataFrame", names: Sequence[str], what: str, path: Path) -> None:
    """Raise InputError, with the nearest name, where one of `names` is not a column."""
    for name in names:
        if name not in frame.columns:
            near = difflib.get_close_matches(name, list(frame.columns), n=1, cutoff=0.3)
            hint = f"did you mean {near[0]!r}? " if near else ""
            listed = ", ".join(map(repr, list(frame.columns)[:20]))
            raise InputError(f"{path}: there is no {what} {name!r}; {hint}Columns: {listed}.")


def missing_cells(values: "pd.Series[str]", missing: Sequence[str]) -> "pd.Series[bool]":
    """Which cells hold nothing: null, or one of the texts in `missing` once stripped."""
    return values.isna() | values.astype(str).str.strip().isin(list(missing))


def infer(frame: "pd.DataFrame", missing: Sequence[str]) -> tuple[Column, ...]:
    """A column is numeric where every cell that is not missing is a number, else categorical."""
    return tuple(
        Column(name=name, type="numeric" if _is_numeric(frame[name], missing) else "categorical")
        for name in frame.columns
    )


def typed(
    frame: "pd.DataFrame", columns: Sequence[Column], missing: Sequence[str], path: Path
) -> dict[str, npt.NDArray[np.generic]]:
    """Feature arrays as `models.examples.Examples` describes them, by column name.

    Raises InputError, naming column and row, where a numeric column holds something else.
    """
    require_columns(frame, [column.name for column in columns], "column", path)
    return {column.name: _values(frame[column.name], column, missing, path) for column in columns}


def _reader(path: Path) -> Callable[[Path], "pd.DataFrame"]:
    if path.is_dir():
        return read_folder
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


def _is_numeric(values: "pd.Series[str]", missing: Sequence[str]) -> bool:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values.dtype):
        return False
    if pd.api.types.is_numeric_dtype(values.dtype):
        return True
    present = values[~missing_cells(values, missing)]
    numbers = pd.to_numeric(present.astype(str).str.strip(), errors="coerce")
    return bool(len(present)) and bool(np.isfinite(numbers).all())


def _values(
    values: "pd.Series[str]", column: Column, missing: Sequence[str], path: Path
) -> npt.NDArray[np.generic]:
    import pandas as pd

    absent = missing_cells(values, missing).to_numpy()
    if column.type == "categorical":
        texts = values.astype(str).str.strip().to_numpy(dtype=object)
        texts[absent] = ""
        return np.asarray(texts, dtype=object)
    numbers = pd.to_numeric(values.where(~absent), errors="coerce").to_numpy(dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(narrow) & ~absent)
    if wrong.size:
        place = int(wrong[0])
        what = "too large a number" if np.isfinite(numbers[place]) else "not a number"
        raise InputError(
            f"{path}: row {place + 1}, column {column.name!r}: "
            f"{values.iloc[place]!r} is {what}, and the column is numeric."
        )
    narrow[absent] = np.nan
    return narrow
