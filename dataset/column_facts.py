"""What the cells of a raw table's columns look like, before anything is decided about them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset.examples import Column
from dataset.tables.cells import FEW_STRAYS, Cells, Words

MOST_COUNTED = 1000
"""Values are counted one by one where a column has at most so many different ones."""
LOOKED_AT = 2000
"""Texts whose words and digits are looked at, evenly taken from the column."""


@dataclass(frozen=True)
class Facts:
    """One column. Texts are taken without the blanks around them."""

    name: str
    type: str
    """As `dataset.tables.read.infer` has it: numeric, categorical, text or time."""
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
    stray: str | None
    """The first of a few texts among numbers; None where there are none, or more than a few."""

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


def facts(cells: Sequence[Cells], columns: Sequence[Column]) -> list[Facts]:
    """Facts about each of `columns`, whose cells are in the same order."""
    return [_of(one, column) for one, column in zip(cells, columns, strict=True)]


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters, however they are run together."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(word.lower() for word in re.findall(r"[^\W\d_]+|\d+|#", apart))


def _of(cells: Cells, column: Column) -> Facts:
    import pandas as pd

    texts = cells.texts()
    texts[cells.absent] = None
    codes, distinct = pd.factorize(texts)
    counted = np.bincount(codes[codes >= 0], minlength=len(distinct))
    few = len(distinct) <= MOST_COUNTED
    commonest = np.argsort(-counted, kind="stable") if few else np.empty(0, dtype=np.intp)
    numbers = None
    if column.type == "numeric":
        numbers = np.where(cells.absent, np.nan, cells.numbers())
    words, digits = _texture(distinct.tolist()) if numbers is None else (1.0, 1.0)
    return Facts(
        name=column.name,
        type=column.type,
        rows=len(cells),
        present=int((~cells.absent).sum()),
        distinct=len(distinct),
        counts={distinct[place]: int(counted[place]) for place in commonest},
        numbers=numbers,
        order=_places(codes, distinct) if numbers is None else numbers,
        words=words,
        digits=digits,
        stray=_stray(cells) if column.type == "categorical" else None,
    )


def _stray(cells: Cells) -> str | None:
    """A text that makes a column of numbers one of texts, where it has but a few."""
    strange = ~cells.absent & ~np.isfinite(cells.numbers())
    few = 0 < strange.sum() <= FEW_STRAYS * (~cells.absent).sum()
    return str(cells.texts()[strange.argmax()]) if few else None


def _places(codes: npt.NDArray[np.intp], distinct: Words) -> npt.NDArray[np.float64]:
    """Each cell's place in the order of the values, NaN for a missing one."""
    ranks = np.append(np.argsort(np.argsort(distinct.astype(str))), 0).astype(float)
    return np.where(codes >= 0, ranks[codes], np.nan)


def _texture(distinct: Sequence[str]) -> tuple[float, float]:
    """Words on average, and the share with a digit, of a sample of different texts."""
    sample = distinct[:: max(1, len(distinct) // LOOKED_AT)]
    if not sample:
        return 0.0, 0.0
    words = float(np.mean([len(text.split()) for text in sample]))
    return words, float(np.mean([any(map(str.isdigit, text)) for text in sample]))
