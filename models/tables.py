"""Tables from files: read as they are, then typed, with missing cells marked.

Types are decided once, by `infer`, and applied to later files of the same kind by `typed`.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.examples import Column
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TABLE_ENDINGS = (".csv", ".parquet")


def read_table(path: Path) -> "pd.DataFrame":
    """The file's cells: text from CSV, the stored types from Parquet; columns are text.

    Raises InputError where the file is missing, empty, or not what its ending says.
    """
    import pandas as pd

    if not path.is_file():
        near = difflib.get_close_matches(
            path.name, [other.name for other in _siblings(path)], n=1, cutoff=0.4
        )
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(
            f"{path}: there is no such file.{hint}\n"
            "If DVC tracks it, fetch it with: dvc pull (or dvc checkout)"
        )
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise InputError(
            f"{path}: the ending {path.suffix or '(none)'} is not known; "
            f"give one of {', '.join(TABLE_ENDINGS)}."
        )
    try:
        frame = _read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty. A table needs a header and rows.") from None
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: not a readable CSV file: {str(error).strip()}.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text. Save the file as UTF-8."
        ) from None
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{path}: not a readable Parquet file: {error}.") from None
    names = [str(name).strip() for name in frame.columns]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise InputError(f"{path}: the column {twice!r} is there twice. Rename one.")
    frame.columns = names
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


def _read_csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    # As text: what a cell means is decided by `infer` and params.yaml, not by pandas' guesses.
    # The header as a row like any other: pandas would rename the second of two equal names.
    frame = pd.read_csv(
        path,
        header=None,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        encoding="utf-8-sig",
    )
    header = frame.iloc[0].tolist()
    return frame.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)


def _siblings(path: Path) -> list[Path]:
    folder = path.parent
    return [other for other in folder.iterdir() if other.is_file()] if folder.is_dir() else []


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
    numbers = pd.to_numeric(values.where(~absent), errors="coerce").to_numpy(
        dtype=np.float64, copy=True
    )
    wrong = np.flatnonzero(~np.isfinite(numbers) & ~absent)
    if wrong.size:
        raise InputError(
            f"{path}: row {wrong[0] + 1}, column {column.name!r}: "
            f"{values.iloc[int(wrong[0])]!r} is not a number, and the column is numeric."
        )
    numbers[absent] = np.nan
    return numbers.astype(np.float32)
