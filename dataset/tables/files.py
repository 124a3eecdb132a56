"""The files that hold tables, and how each is read: `READERS`, by ending.

Text is read as text. Parquet and Feather keep the types they store, but for points in time, which
become ISO text.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.tables.texts import distinct, read_delimited, read_json_lines
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

PART = ".parquet"
"""A folder is a table where it holds files of this ending."""


def ending(path: Path) -> str:
    """The key of `READERS` that the file's name ends with, or "" where there is none."""
    name = path.name.lower()
    return max((known for known in READERS if name.endswith(known)), key=len, default="")


def parts(folder: Path) -> list[Path]:
    """The files of a table in a folder, in the order of their names; hidden ones are no parts.

    Raises InputError where there are none.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == PART and path.name[0] not in "._" and path.is_file()
    )
    if not found:
        raise InputError(
            f"{folder}: the folder has no {PART} file directly in it, nor files named by parts, "
            f"such as train.csv and test.csv. Give a file, or a folder of one of these kinds."
        )
    return found


def stacked(frames: Sequence["pd.DataFrame"], paths: Sequence[Path]) -> "pd.DataFrame":
    """The rows of all files of a folder; raises InputError where their columns differ."""
    import pandas as pd

    for path, frame in zip(paths[1:], frames[1:], strict=True):
        _require_same_columns(frame, path, frames[0], paths[0])
    # Without the empty ones: they hold no value, but their types would change those of others.
    full = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(full, ignore_index=True)[list(frames[0].columns)]


def read_parquet(path: Path) -> "pd.DataFrame":
    """The columns of a Parquet file; raises InputError where it is not one."""

    def table(raw: bytes) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.ParquetFile(pa.BufferReader(raw)).read()

    return _arrow(path, "Parquet", table)


def read_feather(path: Path) -> "pd.DataFrame":
    """The columns of a Feather (Arrow IPC) file; raises InputError where it is not one."""

    def table(raw: bytes) -> Any:
        import pyarrow as pa

        return pa.ipc.open_file(pa.BufferReader(raw)).read_all()

    return _arrow(path, "Feather", table)


_TEXTS: dict[str, Callable[[Path], "pd.DataFrame"]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
READERS: dict[str, Callable[[Path], "pd.DataFrame"]] = {
    **_TEXTS,
    **{f"{ending}.gz": reader for ending, reader in _TEXTS.items()},
    PART: read_parquet,
    ".feather": read_feather,
    ".arrow": read_feather,
}
TABLE_ENDINGS = tuple(READERS)


def _arrow(path: Path, kind: str, read: Callable[[bytes], Any]) -> "pd.DataFrame":
    raw = path.read_bytes()
    # pyarrow raises errors of any class for damaged bytes (OSError, KeyError, MemoryError among
    # them). The file itself has been read, so whatever comes is about what it holds.
    try:
        return as_frame(read(raw), path)
    except InputError:
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise InputError(
            f"{path}: not a readable {kind} file: {said}. Is it whole? Write or fetch it again."
        ) from None


def as_frame(table: Any, path: Path) -> "pd.DataFrame":
    """Arrow's table or batch of rows as cells; raises InputError for columns that hold no cells,
    and Arrow's own errors for damaged ones."""
    import pandas as pd

    # Else damaged offsets would crash the process later on.
    table.validate(full=True)
    names = distinct(table.schema.names, path)
    columns = [
        _series(column, path, name) for name, column in zip(names, table.columns, strict=True)
    ]
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def _series(column: Any, path: Path, name: str) -> "pd.Series[Any]":
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or "binary" in str(column.type):
        raise InputError(
            f"{path}: the column {name!r} holds {column.type}, which is no cell. "
            "Give text, numbers, dates or booleans; leave the column out or unfold it."
        )
    # Whole numbers stay whole beside missing cells: a class "1" must not become "1.0".
    values: pd.Series[Any] = column.to_pandas(integer_object_nulls=True)
    if values.dtype.kind in "mM":
        # Value by value: pandas' own text of a point in time depends on the rest of its column.
        return values.astype(object).map(lambda value: value.isoformat(), na_action="ignore")
    return values


def _require_same_columns(
    frame: "pd.DataFrame", path: Path, first: "pd.DataFrame", first_path: Path
) -> None:
    for name in first.columns:
        if name not in frame.columns:
            raise InputError(
                f"{path}: there is no column {name!r}, which {first_path.name} has. "
                "All files need the same columns."
            )
    for name in frame.columns:
        if name not in first.columns:
            raise InputError(
                f"{path}: the column {name!r} is not in {first_path.name}. "
                "All files need the same columns."
            )
