"""Findings on single columns, and on rows that contradict each other."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dataset.checks.findings import Finding
from dataset.examples import Column, Examples, Schema
from dataset.partition import content_keys
from dataset.tables.cells import FEW_STRAYS

SENTINELS = (-99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
"""Numbers that often stand for "not known"."""
ISOLATED = 5.0
"""A zero is suspect where the next value is so many usual steps between values away."""
MOSTLY = 0.6
"""Zeros in more of the cells than this are the usual value (amounts that are mostly nought)."""
MANY = 50
"""Fewer distinct values than this are not called ids: a small table may have as many by chance."""
COUNTING = 0.95
"""A number that is one more than in the row before in so many of the rows counts the rows. An hour
of the day comes close, but has few distinct values."""
EXACT = 2.0**24
"""float32 no longer tells whole numbers apart from here on."""

Array = npt.NDArray[np.generic]


def look(examples: Examples, schema: Schema) -> list[Finding]:
    """Contradicting rows first, then by column."""
    found = [*_contradictions(examples)]
    for column in schema.columns:
        values = examples.features[column.name]
        found += _constant(column, values)
        if column.type == "numeric":
            numbers = values.astype(np.float64)
            found += [*_hidden(column, numbers), *_row_number(column, numbers)]
        elif column.type == "categorical":
            found += [*_mixed(column, values), *_identifier(column, values)]
    return found


def _contradictions(examples: Examples) -> Iterator[Finding]:
    """Equal features with different targets: at least one is wrong, or a feature lacks."""
    keys = content_keys(examples)
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    other = examples.targets != examples.targets[first[place]]
    if other.ndim > 1:
        other = other.any(axis=1)
    rows = int((np.bincount(place, weights=other.astype(np.float64))[place] > 0).sum())
    if rows:
        yield Finding(
            "contradictions",
            "warning",
            f"{rows:,} of {len(keys):,} rows equal another one but for the target",
            "Look at them: wrong targets, or a feature that would tell them apart is not there.",
        )


def _constant(column: Column, values: Array) -> Iterator[Finding]:
    if len(_distinct(values)) == 1:
        yield Finding(
            f"constant:{column.name}",
            "warning",
            f"{column.name!r} has the same value wherever it is not missing",
            "It can teach nothing; add it to ingest.ignore.",
        )


def _hidden(column: Column, values: npt.NDArray[np.float64]) -> Iterator[Finding]:
    """Zeros or sentinels that stand far from all other values."""
    present = values[np.isfinite(values)]
    zeros = int((present == 0).sum())
    rest = np.unique(present[present != 0])
    if zeros and len(rest) > 10 and rest[0] > 0 and zeros <= MOSTLY * len(present):
        step = float(np.median(np.diff(rest)))
        if rest[0] >= ISOLATED * step:
            yield _as_hidden(column, 0.0, zeros, float(rest[0]), "is the least otherwise")
    distinct, counts = np.unique(present, return_counts=True)
    for sentinel in SENTINELS:
        others = distinct[~np.isin(distinct, SENTINELS)]
        count = int(counts[distinct == sentinel].sum())
        if count < 2 or len(others) < 2:
            continue
        width = others[-1] - others[0]
        if sentinel < others[0] - width or sentinel > others[-1] + width:
            nearest = others[0] if sentinel < others[0] else others[-1]
            yield _as_hidden(column, sentinel, count, float(nearest), "is the nearest otherwise")


def _as_hidden(column: Column, value: float, count: int, nearest: float, how: str) -> Finding:
    return Finding(
        f"hidden_missing:{column.name}",
        "warning",
        f"{column.name!r} is {value:g} in {count:,} rows, and {nearest:g} {how}",
        "Does it mean that the value is not known? Then say so in params.yaml: "
        f'ingest.missing_in: {{{column.name}: ["{value:g}"]}}.',
    )


def _row_number(column: Column, values: npt.NDArray[np.float64]) -> Iterator[Finding]:
    """Whole numbers that rise from row to row, or count the rows from the start again and again."""
    whole = np.isfinite(values).all() and (values == np.round(values)).all()
    if not whole or len(values) <= MANY:
        return
    steps = np.diff(values)
    distinct = len(np.unique(values))
    large = bool(np.abs(values).max() >= EXACT) and distinct > len(values) // 2
    rises = bool((steps > 0).all()) or (large and bool((steps >= 0).all()))
    counts = float((steps == 1).mean()) >= COUNTING and distinct > max(MANY, len(values) // 5)
    if rises or counts:
        how = "rises in every row" if rises else "counts up from row to row, again and again"
        yield Finding(
            f"identifier:{column.name}",
            "warning",
            f"{column.name!r} has whole numbers, {distinct:,} distinct in {len(values):,} rows, "
            f"and {how}",
            "A row number or an id tells nothing about new rows; if so, add it to ingest.ignore.",
        )


def _mixed(column: Column, values: Array) -> Iterator[Finding]:
    """A column of numbers that a few texts have made a column of categories."""
    import pandas as pd

    counted = pd.Series(values[values != ""]).value_counts(sort=True)
    texts = counted[[not _is_number(text) for text in counted.index]]
    present, among = int(counted.sum()), int(texts.sum())
    if among and among <= FEW_STRAYS * present:
        commonest = min(texts.index[texts == texts.iloc[0]])
        yield Finding(
            f"mixed_types:{column.name}",
            "warning",
            f"{column.name!r} holds {present - among:,} numbers and {among:,} "
            f"texts, {commonest!r} {texts.iloc[0]:,} times",
            "If the texts mean a missing value, add them to ingest.missing; it is read as text "
            "until then.",
        )


def _identifier(column: Column, values: Array) -> Iterator[Finding]:
    distinct = len(_distinct(values))
    if distinct > max(MANY, len(values) // 2):
        yield Finding(
            f"identifier:{column.name}",
            "warning",
            f"{column.name!r} has {distinct:,} distinct texts in {len(values):,} rows",
            "An id, perhaps; if so, add it to ingest.ignore. If it is free text, say so in "
            f"params.yaml: ingest.types: {{{column.name}: text}}.",
        )


def _distinct(values: Array) -> Array:
    """The values but for missing ones."""
    import pandas as pd

    missing = np.isnan(values.astype(np.float64)) if values.dtype.kind == "f" else values == ""
    return np.asarray(pd.unique(values[~missing]))


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
