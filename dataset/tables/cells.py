"""Cells of a table: what is written in them, which hold nothing, and which number one spells.

A number is spelled as `NUMBER` says and read correctly rounded, whatever stands in other cells. A
text that means a missing value means it in every spelling, where it is a number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
"""What a number looks like once stripped: a point for decimals, nothing for thousands."""
FEW_STRAYS = 0.1
"""Texts among numbers in more of a column's cells than this are no slips: it is meant to hold
both."""
PROBE = 32

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Origin:
    """Where the rows of a table come from, for messages."""

    path: Path
    files: tuple[tuple[Path, int], ...] = ()
    """Where `path` is a folder: its files, and how many rows each has, in the rows' order."""

    def __str__(self) -> str:
        return str(self.path)

    def row(self, place: int) -> str:
        """The file and row, from 1, of the table's row at `place`, from 0."""
        before = 0
        for path, count in self.files:
            if place < before + count:
                return f"{path}: row {place - before + 1}"
            before += count
        return f"{self.path}: row {place + 1}"


@dataclass(frozen=True)
class Missing:
    """Which texts mean that a cell holds nothing."""

    everywhere: tuple[str, ...]
    columns: Mapping[str, Sequence[str]]
    """More of them, for one column each."""

    def of(self, column: str) -> list[str]:
        """Those that count in a column, stripped."""
        return [text.strip() for text in (*self.everywhere, *self.columns.get(column, ()))]


@dataclass(frozen=True)
class Cells:
    """n cells of one column."""

    name: str
    values: Any
    """Arrow's array `(n,)`: numbers where the file stores numbers, else stripped text."""
    absent: Mask
    """`(n,)` which hold nothing."""
    rows: Rows
    """`(n,)` where they stand in the table."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Rows) -> "Cells":
        """The cells at `places`, in that order."""
        import pyarrow as pa

        return Cells(
            self.name, self.values.take(pa.array(places)), self.absent[places], self.rows[places]
        )

    def stored_as_numbers(self) -> bool:
        """Whether the file says that these are numbers, rather than texts that may spell some."""
        import pyarrow as pa

        return not pa.types.is_large_string(self.values.type)

    def present(self) -> Any:
        """Arrow's array of the values that are not missing."""
        import pyarrow as pa

        return self.values.filter(pa.array(~self.absent))

    def numbers(self) -> Floats:
        """`(n,)` what the cells spell; not finite where missing or no number."""
        import pyarrow as pa
        import pyarrow.compute as pc

        nothing = pa.scalar(None, self.values.type)
        return numbers(pc.if_else(pa.array(self.absent), nothing, self.values))

    def texts(self) -> Words:
        """`(n,)` str as written, "" where missing."""
        coded = self.values.dictionary_encode()
        words = coded.dictionary.to_numpy(zero_copy_only=False)
        if self.stored_as_numbers():
            words = words.astype(str)
        places = coded.indices.fill_null(len(words)).to_numpy()
        every = np.array([*words.tolist(), ""], dtype=object)
        return every[np.where(self.absent, len(words), places)]

    def written(self, place: int) -> str:
        """What stands in one cell, for messages."""
        return repr(self.values[place].as_py())


def read_cells(values: "pd.Series[Any]", missing: Missing) -> Cells:
    """The cells of a table's column."""
    name = str(values.name)
    arrow = _arrow(values)
    rows = np.arange(len(values), dtype=np.int64)
    return Cells(name, arrow, _absent(arrow, missing.of(name)), rows)


def numbers(values: Any) -> Floats:
    """`(n,)` what each of Arrow's texts or numbers spells; not finite for what is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    quick = all_numbers(values)
    if quick is not None:
        return quick
    bare = pc.if_else(pc.match_substring_regex(values, NUMBER), values, pa.scalar(None))
    return _floats(bare)


def all_numbers(values: Any) -> Floats | None:
    """The same as `numbers`, faster; None where some text is no number."""
    import pyarrow as pa

    try:
        # A few first, since Arrow is slow to fail on many. It takes what NUMBER describes, and the
        # names of infinity and of what is no number, which are not finite either way.
        _floats(values[:PROBE])
        return _floats(values)
    except pa.ArrowInvalid:
        return None


def _floats(values: Any) -> Floats:
    import pyarrow as pa

    found: Floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _arrow(values: "pd.Series[Any]") -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # Values of several types in one column.
        array = pa.array(_written(values), pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return array
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        # Truth values, days, decimals and the like, as Python writes them.
        array = pa.array(_written(values), pa.large_string())
    return pc.utf8_trim_whitespace(array.cast(pa.large_string()))


def _written(values: "pd.Series[Any]") -> list[str | None]:
    # Not by `map`, which gives back another type where all cells are missing.
    cells = zip(values.astype(object).tolist(), values.isna().tolist(), strict=True)
    return [None if nothing else str(value) for value, nothing in cells]


def _absent(values: Any, sentinels: Sequence[str]) -> Mask:
    import pyarrow as pa
    import pyarrow.compute as pc

    absent: Mask = values.is_null().to_numpy(zero_copy_only=False)
    spelled = numbers(pa.array(sentinels, pa.large_string()))
    spelled = spelled[np.isfinite(spelled)]
    if len(spelled):
        absent = absent | np.isin(numbers(values), spelled)
    if pa.types.is_large_string(values.type):
        known = pa.array(sentinels, pa.large_string())
        absent = absent | pc.is_in(values, value_set=known).to_numpy(zero_copy_only=False)
    return absent
