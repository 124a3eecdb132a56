"""What the columns of a table hold: numbers, categories, free text or points in time.

Decided once, by `types_of`; `arrays` then reads this table and later ones of the same kind.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dataset.examples import Column
from dataset.tables.cells import Cells, Origin, all_numbers
from dataset.tables.times import FORMS, days, looks_like_time
from pipeline.errors import InputError

Type = Literal["numeric", "categorical", "text", "time"]
WORDS = 2.0
"""Free text has at least so many words to a cell, on average over its distinct cells."""
DISTINCT = 8
"""A scale of answers has fewer texts than this, however many words they have."""
SHARE = 0.1
"""Free text repeats itself little: so many distinct cells to a cell that is not missing,"""
MANY = 1000
"""or more of them than a category has names."""
_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{2}|(?:^|\s)\S*?[\p{L}\p{M}]{2,}"
"""A run without white space that has two letters together; scripts without spaces by twos."""


def types_of(columns: Sequence[Cells], given: Mapping[str, Type]) -> tuple[Column, ...]:
    """The type that fits all cells of a column which are not missing, or the one `given`.

    Numeric before time before text, and categorical for all else, also for truth values.
    """
    return tuple(
        Column(name=cells.name, type=given.get(cells.name) or _type(cells)) for cells in columns
    )


def arrays(
    columns: Sequence[Cells], types: Sequence[Column], origin: Origin
) -> dict[str, npt.NDArray[np.generic]]:
    """Feature arrays as `dataset.examples.Examples` describes them, by column name.

    `types` are those of `columns`, in that order. Raises InputError, naming row and column, where
    a numeric column or one of times holds something else.
    """
    return {
        column.name: _values(cells, column.type, origin)
        for cells, column in zip(columns, types, strict=True)
    }


def quantities(cells: Cells, origin: Origin) -> npt.NDArray[np.float32]:
    """`(n,)` numbers, NaN where missing; raises InputError, naming row and column, for others."""
    numbers = cells.numbers()
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(narrow) & ~cells.absent)
    if wrong.size:
        place = int(wrong[0])
        what = "too large a number" if np.isfinite(numbers[place]) else "not a number"
        raise wrong_cell(cells, place, f"is {what}, and the column is numeric", origin)
    narrow[cells.absent] = np.nan
    return narrow


def wrong_cell(cells: Cells, place: int, what: str, origin: Origin) -> InputError:
    """An error about one cell."""
    where = f"{origin.row(int(cells.rows[place]))}, column {cells.name!r}"
    return InputError(f"{where}: {cells.written(place)} {what}.")


def _values(cells: Cells, kind: Type, origin: Origin) -> npt.NDArray[np.generic]:
    if kind == "numeric":
        return quantities(cells, origin)
    if kind == "time":
        return _times(cells, origin)
    return cells.texts()


def _times(cells: Cells, origin: Origin) -> npt.NDArray[np.float64]:
    import pyarrow as pa

    texts = pa.array(cells.texts(), pa.large_string())
    # A day occurs in many rows.
    coded = texts.dictionary_encode()
    found = days(coded.dictionary)[coded.indices.to_numpy()]
    wrong = np.flatnonzero(np.isnan(found) & ~cells.absent)
    if wrong.size:
        what = f"is not a time, and the column holds times. Write it as {FORMS}"
        raise wrong_cell(cells, int(wrong[0]), what, origin)
    return np.where(cells.absent, np.nan, found)


def _type(cells: Cells) -> Type:
    if cells.stored_as_numbers():
        return "numeric"
    present = cells.present()
    numbers = all_numbers(present)
    if len(present) and numbers is not None and np.isfinite(numbers).all():
        return "numeric"
    distinct = present.unique()
    if len(distinct) and _are_times(distinct):
        return "time"
    return "text" if _is_free(distinct, len(present)) else "categorical"


def _are_times(distinct: Any) -> bool:
    # The first one alone settles it for most columns.
    return looks_like_time(distinct[0].as_py()) and bool(np.isfinite(days(distinct)).all())


def _is_free(distinct: Any, count: int) -> bool:
    import pyarrow.compute as pc

    if len(distinct) < DISTINCT or len(distinct) < min(SHARE * count, MANY + 1):
        return False
    words = pc.sum(pc.count_substring_regex(distinct, _WORD)).as_py()
    return bool(words >= WORDS * len(distinct))
