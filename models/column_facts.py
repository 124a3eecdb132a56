"""What the cells of a raw table's columns look like, before anything is decided about them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.examples import Column
from models.tables import missing_cells

if TYPE_CHECKING:
    import pandas as pd

MOST_COUNTED = 1000
"""Values are counted one by one where a column has at most so many different ones."""
LOOKED_AT = 2000
"""Texts whose words and digits are looked at, evenly taken from the column."""


@dataclass(frozen=True)
class Facts:
    """One column. Texts are taken without the blanks around them."""

    name: str
    type: str
    """As `models.tables.infer` has it: numeric, categorical, text or time."""
    rows: int
    present: int
    """Cells that are not missing."""
    distinct: int
    """Different values of those."""
    counts: dict[str, int]
    """How often each value is met, the commonest first; empty beyond `MOST_COUNTED`."""
    numbers: npt.NDArray[np.float64] | None
    """`(rows,)`, NaN where missing; None where the column is not numeric."""
    order: npt.NDArray[np.float64]
    """`(rows,)`: what sorts like the values, NaN where missing: numbers, else places of texts."""
    words: float
    """Words of a text on average; 1 for numbers."""
    digits: float
    """Share of texts that hold a digit; 1 for numbers."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words of its name: customerID is customer and id."""
        return tokens(self.name)

    @property
    def missing(self) -> float:
        """Share of the cells that hold nothing."""
        return 1 - self.present / self.rows

    @property
    def whole(self) -> bool:
        """Whether all its values are whole numbers."""
        if self.numbers is None:
            return False
        present = self.numbers[np.isfinite(self.numbers)]
        return bool((present == np.round(present)).all())

    @property
    def sorted(self) -> bool:
        """Whether every row has a value and none is below that of the row before."""
        return self.present == self.rows and bool((np.diff(self.order) >= 0).all())


def facts(frame: "pd.DataFrame", columns: Sequence[Column], missing: Sequence[str]) -> list[Facts]:
    """Facts about each of `columns`; `missing` are the texts that mean a missing cell."""
    return [_of(frame[column.name], column, missing) for column in columns]


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters, however they are run together."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+|#", name)
    return tuple(word.lower() for word in found)


def _of(values: "pd.Series[str]", column: Column, missing: Sequence[str]) -> Facts:
    import pandas as pd

    absent = missing_cells(values, missing).to_numpy()
    texts = values.astype(str).str.strip().where(~absent)
    codes, distinct = pd.factorize(texts)
    counted = np.bincount(codes[codes >= 0], minlength=len(distinct))
    numbers = None
    if column.type == "numeric":
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    few = len(distinct) <= MOST_COUNTED
    commonest = np.argsort(-counted, kind="stable") if few else np.empty(0, dtype=np.intp)
    words, digits = _texture([str(text) for text in distinct]) if numbers is None else (1.0, 1.0)
    return Facts(
        name=column.name,
        type=column.type,
        rows=len(values),
        present=int((~absent).sum()),
        distinct=len(distinct),
        counts={str(distinct[place]): int(counted[place]) for place in commonest},
        numbers=numbers,
        order=_places(codes, distinct) if numbers is None else numbers,
        words=words,
        digits=digits,
    )


def _places(codes: npt.NDArray[np.int64], distinct: "pd.Index[str]") -> npt.NDArray[np.float64]:
    """Each cell's place in the order of the values, NaN for a missing one."""
    ranks = np.append(np.argsort(np.argsort(distinct.to_numpy().astype(str))), 0).astype(float)
    return np.where(codes >= 0, ranks[codes], np.nan)


def _texture(distinct: Sequence[str]) -> tuple[float, float]:
    """Words on average, and the share with a digit, of a sample of different texts."""
    sample = distinct[:: max(1, len(distinct) // LOOKED_AT)]
    if not sample:
        return 0.0, 0.0
    words = float(np.mean([len(text.split()) for text in sample]))
    return words, float(np.mean([any(map(str.isdigit, text)) for text in sample]))
