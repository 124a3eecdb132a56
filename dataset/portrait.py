"""How columns are spread and how they go with the target, as small numbers that fit into a line.

Everything here looks at examples evenly taken where there are many: it is for people's eyes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset.examples import Column, Examples, Schema

LOOKED_AT = 100_000
"""Examples looked at."""
CATEGORIES = 50
"""Rarer categories are one when it comes to how a column goes with the target."""

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]


def sample(examples: Examples) -> Examples:
    """At most `LOOKED_AT` examples, evenly taken, in their order."""
    if len(examples) <= LOOKED_AT:
        return examples
    return examples.take(np.linspace(0, len(examples) - 1, LOOKED_AT).astype(np.int64))


def histogram(values: Floats, bins: int) -> list[int]:
    """How many of the finite values `(n,)` are in each of `bins` equal parts of their range."""
    present = values[np.isfinite(values)]
    if not present.size:
        return [0] * bins
    counts, _ = np.histogram(present.astype(np.float64), bins=bins)
    return [int(count) for count in counts]


def ties(examples: Examples, schema: Schema) -> dict[str, float | None]:
    """How far each column alone goes with the target, from 0 to 1; of several targets the most.

    Two quantities: Spearman's rank correlation without its sign. A quantity and categories: the
    correlation ratio of the quantity's ranks. Categories both: Cramér's V with Bergsma's
    correction for chance (Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", 2013).
    None for texts, and where nothing varies. Missing cells of quantities are left out, of
    categories they are one.
    """
    if schema.task == "classification":
        targets: list[Array] = [_codes(examples.targets)]
    else:
        targets = list(examples.targets.T)
    coded = schema.task != "regression"
    return {
        column.name: _most(
            [_tie(column, examples.features[column.name], y, coded) for y in targets]
        )
        for column in schema.columns
    }


def _most(found: Sequence[float | None]) -> float | None:
    return max((one for one in found if one is not None), default=None)


def _tie(column: Column, values: Array, target: Array, coded: bool) -> float | None:
    if column.type == "text":
        return None
    if column.type in ("numeric", "time"):
        # float64 holds float32 exactly, so equal ones stay equal.
        numbers = values.astype(np.float64)
        present = np.isfinite(numbers)
        numbers, target = numbers[present], target[present]
        return _ratio(numbers, target) if coded else _spearman(numbers, target.astype(np.float64))
    codes = _codes(values)
    return _cramer(codes, _codes(target)) if coded else _ratio(target.astype(np.float64), codes)


def _codes(values: Array) -> npt.NDArray[np.int64]:
    """Categories by number, the rarer ones beyond `CATEGORIES` as one."""
    _, codes, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return np.minimum(ranks, CATEGORIES)[codes].astype(np.int64)


def _ranks(values: Floats) -> Floats:
    import pandas as pd

    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _spearman(one: Floats, other: Floats) -> float | None:
    if len(one) < 2:
        return None
    one, other = _ranks(one) - (len(one) + 1) / 2, _ranks(other) - (len(one) + 1) / 2
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return abs(float((one * other).sum()) / size) if size else None


def _ratio(quantity: Floats, groups: Array) -> float | None:
    """Root of the share of the ranks' variance that lies between the groups."""
    if len(quantity) < 2:
        return None
    _, codes = np.unique(groups, return_inverse=True)
    ranks = _ranks(quantity) - (len(quantity) + 1) / 2
    total = float((ranks**2).sum())
    sums, counts = np.bincount(codes, ranks), np.bincount(codes)
    return float(np.sqrt((sums**2 / counts).sum() / total)) if total else None


def _cramer(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float | None:
    n, rows, columns = len(one), int(one.max()) + 1, int(other.max()) + 1
    if n < 2 or rows < 2 or columns < 2:
        return None
    table = np.bincount(one * columns + other, minlength=rows * columns).reshape(rows, columns)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    most = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return min(1.0, float(np.sqrt(phi / most))) if most > 0 else None
