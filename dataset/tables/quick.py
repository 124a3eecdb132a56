"""Delimited text, read by Arrow where that cannot differ from the strict reader.

Arrow's parser is many times faster than Python's `csv`, and laxer: it takes text behind a closing
quote and quotes that open in the middle of a cell. So it is only asked about text in which every
quote stands where the strict reader wants it; there both find the same cells. Of anything else,
and of rows that differ in length, the strict reader says what it thinks.
"""

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1 << 30
"""Bytes that Arrow may take as one block, whose places are 32-bit numbers."""
_QUOTE, _SPACE, _ENDS = ord('"'), ord(" "), (ord("\n"), ord("\r"))


def quick_frame(
    raw: bytes, delimiter: str, header: Sequence[str], names: Sequence[str]
) -> "pd.DataFrame | None":
    """Cells of all rows behind the header, as text; None where the strict reader has to look.

    raw: UTF-8 without a byte order mark. header: the first row's cells as the strict reader found
    them. names: what to call the columns.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(raw) > LARGEST or not _is_regular(raw, delimiter):
        return None
    try:
        table = _parsed(raw, delimiter, len(header))
    except pa.ArrowInvalid:
        return None
    if b'"' not in raw and _may_be_indented(raw, delimiter):
        # Spaces before a cell are none of it; before a quote they are left to the strict reader.
        table = pa.table(
            [pc.utf8_ltrim(column, " ") for column in table.columns], table.column_names
        )
    first = [column[0].as_py() for column in table.columns]
    lengths = [pc.max(pc.binary_length(column)).as_py() for column in table.columns]
    if first != list(header) or max(lengths) >= csv.field_size_limit():
        return None
    frame: pd.DataFrame = table.slice(1).rename_columns(list(names)).to_pandas()
    return frame


def _parsed(raw: bytes, delimiter: str, width: int) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow

    return arrow.read_csv(
        pa.BufferReader(raw),
        # One block: no row, and no pair of a carriage return and a line feed, is cut in two.
        arrow.ReadOptions(autogenerate_column_names=True, block_size=len(raw) + 1),
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=True),
        arrow.ConvertOptions(
            column_types={f"f{place}": pa.large_string() for place in range(width)},
            strings_can_be_null=False,
        ),
    )


def _is_regular(raw: bytes, delimiter: str) -> bool:
    """Whether every quote opens at the start of a cell or closes at its end, or is one of two.

    Then what lies between the first and second quote, the third and fourth and so on is quoted,
    and a doubled quote closes and opens again.
    """
    data = np.frombuffer(raw, dtype=np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    if not len(quotes):
        return True
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    bounds = (ord(delimiter), *_ENDS)
    before = data[opening[opening > 0] - 1]
    behind = data[closing[closing < len(data) - 1] + 1]
    at_edges = np.isin(before, (*bounds, _QUOTE)).all() and np.isin(behind, (*bounds, _QUOTE)).all()
    return bool(at_edges) and not _indented(data, quotes, bounds)


def _may_be_indented(raw: bytes, delimiter: str) -> bool:
    starts = (f"{delimiter} ".encode(), b"\n ", b"\r ")
    return raw.startswith(b" ") or any(start in raw for start in starts)


def _indented(data: Any, quotes: Any, bounds: Sequence[int]) -> bool:
    """Whether a cell outside quotes begins with a space."""
    spaces = np.flatnonzero(data == _SPACE)
    starts = np.isin(data[np.maximum(spaces, 1) - 1], bounds) | (spaces == 0)
    return bool((np.searchsorted(quotes, spaces[starts]) % 2 == 0).any())
