"""Tables that are too large to be read at once: Parquet, a block of rows at a time.

What has to be known of a table before its rows are written, such as what its columns hold, is
learned from a sample of rows that are spread evenly over it. A row that then does not fit is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataset.examples import BLOCK_ROWS
from dataset.tables.cells import Origin, Rows, Words
from dataset.tables.files import PART, as_frame, parts
from dataset.tables.given import given_files
from dataset.tables.texts import distinct
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

IN_MEMORY_CELLS = 20_000_000
"""Tables of more cells are read in blocks: numbers take 4 to 8 bytes each, texts about 60."""
SAMPLE = 100_000
"""Rows of the sample."""


@dataclass(frozen=True)
class Stream:
    """A table in one or several Parquet files."""

    origin: Origin
    columns: tuple[str, ...]
    given: tuple[str, ...]
    """The part that each file names; empty where they name none."""

    def parts(self, places: Rows) -> Words:
        """`(m,)` the parts that the rows at `places` `(m,)` came in."""
        ends = np.cumsum([count for _, count in self.origin.files])
        found: Words = np.array(self.given, dtype=object)[np.searchsorted(ends, places, "right")]
        return found

    @property
    def count(self) -> int:
        """Its rows."""
        return sum(count for _, count in self.origin.files)

    def blocks(self) -> "Iterator[tuple[int, pd.DataFrame]]":
        """The place of the first row, and some rows, one block after the other."""
        place = 0
        for path, _ in self.origin.files:
            for frame in _frames(path, list(self.columns)):
                yield place, frame
                place += len(frame)

    def whole(self, name: str) -> "pd.Series[Any]":
        """One column with all its rows."""
        import pandas as pd

        held = [frame[name] for path, _ in self.origin.files for frame in _frames(path, [name])]
        return pd.concat(held, ignore_index=True)

    def sample(self) -> "tuple[Rows, pd.DataFrame]":
        """Places of rows that are spread evenly, and the rows themselves."""
        import pandas as pd

        chosen = np.unique(np.linspace(0, self.count - 1, SAMPLE).astype(np.int64))
        taken = []
        for place, frame in self.blocks():
            inside = chosen[(chosen >= place) & (chosen < place + len(frame))] - place
            taken.append(frame.iloc[inside])
        return chosen, pd.concat(taken, ignore_index=True)


def open_stream(path: Path) -> Stream | None:
    """The table at `path`, where it is Parquet and too large for memory; else None.

    Raises InputError where it is damaged, or the files of a folder differ in their columns.
    """
    given: tuple[tuple[Path, str], ...] = ()
    if path.is_dir():
        given = given_files(path)
        if not any(file.suffix.lower() == PART for file in path.iterdir()):
            return None
        files = [file for file, _ in given] or parts(path)
        if any(file.suffix.lower() != PART for file in files):
            return None
    elif path.suffix.lower() == PART and path.is_file():
        files = [path]
    else:
        return None
    heads = [_head(file) for file in files]
    if sum(rows for rows, _ in heads) * len(heads[0][1]) <= IN_MEMORY_CELLS:
        return None
    for file, (_, names) in zip(files, heads, strict=True):
        if set(names) != set(heads[0][1]):
            odd = sorted(set(names) ^ set(heads[0][1]))[0]
            raise InputError(
                f"{file}: the column {odd!r} is in it or in {files[0].name}, and not in both. "
                "All files need the same columns."
            )
    counts = [(file, rows) for file, (rows, _) in zip(files, heads, strict=True)]
    origin, columns = Origin(path, tuple(counts)), tuple(heads[0][1])
    return Stream(origin, columns, tuple(part for _, part in given))


def _head(path: Path) -> tuple[int, list[str]]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.metadata.num_rows, distinct(file.schema_arrow.names, path)
    except InputError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None


def _frames(path: Path, names: list[str]) -> "Iterator[pd.DataFrame]":
    import pyarrow.parquet as pq

    # pyarrow raises errors of any class for damaged bytes.
    try:
        with pq.ParquetFile(path) as file:
            stored = {str(name).strip(): name for name in file.schema_arrow.names}
            wanted = [stored[name] for name in names]
            for group in range(file.num_row_groups):
                # Of more groups it would read ahead, to the end of the file if it can.
                for batch in file.iter_batches(BLOCK_ROWS, row_groups=[group], columns=wanted):
                    yield as_frame(batch, path)[names]
    except InputError:
        raise
    except GeneratorExit:
        raise
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    return InputError(
        f"{path}: not a readable Parquet file: {said}. Is it whole? Write or fetch it again."
    )
