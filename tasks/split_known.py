"""What `split` knows of the examples: enough to part them, and no more than it needs in memory.

A table that is too large is read a block at a time: of it are kept hashes, targets, and the columns
that params.yaml names.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset import partition
from dataset.checks import parts
from dataset.examples import Examples, Schema, Table, Texts, joined
from dataset.tables.stream import IN_MEMORY_CELLS
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from tasks.split import SplitParams

Columns = Mapping[str, npt.NDArray[Any]]
IN_MEMORY_BYTES = 1 << 30
"""Pictures of more values than this are parted without being held: near copies are not looked for
then, as each would have to be held against the others."""
RISING = 0.95
"""A column of times that does not fall in so many of the rows tells when they were written."""


@dataclass(frozen=True)
class Known:
    """The n examples, and what is known of them beside the features."""

    examples: Examples
    """Of a table that is too large for memory, without the features that are not needed here."""
    columns: Columns
    """Features and columns set aside, by name."""
    keys: partition.Keys
    """`(n,)` equal for copies."""
    near: partition.Keys | None
    """`(n,)` equal for near copies, where it is wished that they stay together."""
    groups: partition.Keys | None
    """`(n,)` equal within a group."""
    times: npt.NDArray[np.int64] | None
    """`(n,)` whole numbers in the order of the times."""
    moments: "pd.DataFrame | None"
    """The distinct times in their order, as the columns tell them."""

    @property
    def units(self) -> partition.Keys:
        """`(n,)` equal for what may not be torn apart: groups, else near copies, else copies."""
        if self.groups is not None:
            return self.groups
        return self.keys if self.near is None else self.near

    def part(self, places: npt.NDArray[np.int64], table: Table | None) -> parts.Part:
        """What the findings look at; `table` where its features are not all in memory."""
        if table is None:
            examples, shown = self.examples.take(places), np.arange(len(places))
        else:
            shown = _spread(len(places), parts.SAMPLE)
            examples = table.take(places[shown])
        return parts.Part(
            examples,
            shown,
            self.examples.rows[places],
            self.keys[places],
            None if self.near is None else self.near[places],
            None if self.groups is None else self.groups[places],
            None if self.times is None else self.times[places],
        )


def read(table: Table, params: "SplitParams") -> tuple[Known, bool]:
    """What the table holds, and whether its features were too many to be kept."""
    schema = table.schema()
    if _fits(table, schema):
        examples, _ = table.read()
        return know(examples, schema, table.aside(), params), False
    needed = {params.group, *params.time}
    needed |= {column.name for column in schema.columns if column.type == "time"}
    kept: list[Examples] = []
    keys: list[partition.Keys] = []
    for examples, _ in table.blocks():
        keys.append(partition.content_keys(examples))
        features = {name: values for name, values in examples.features.items() if name in needed}
        kept.append(replace(examples, features=features))
    whole = joined(kept)
    return know(whole, schema, table.aside(), params, np.concatenate(keys)), True


def _fits(table: Table, schema: Schema) -> bool:
    """Whether all features can be held in memory."""
    if schema.kind == "pictures":
        return table.count() * prod(schema.shape) <= IN_MEMORY_BYTES
    return table.count() * len(schema.columns) <= IN_MEMORY_CELLS


def know(
    examples: Examples,
    schema: Schema,
    aside: Texts,
    params: "SplitParams",
    keys: partition.Keys | None = None,
) -> Known:
    """Read the columns that params name; raises InputError.

    keys: the hashes of features that are not all in `examples`; None: they all are.
    """
    columns = examples.features | aside
    whole = keys is None
    keys = partition.content_keys(examples) if keys is None else keys
    wished = schema.kind == "pictures" and params.near_copies and whole
    near = partition.near_keys(examples) if wished else None
    groups, times, moments = None, None, None
    if params.group is not None:
        groups = partition.text_keys(column_of(columns, params.group, "group"))
    if params.time:
        times, moments = _ranks(columns, examples.rows, params)
    else:
        times = _in_order(examples, schema)
    return Known(examples, columns, keys, near, groups, times, moments)


def _spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` evenly spread places of `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _ranks(
    columns: Columns, rows: npt.NDArray[np.int64], params: "SplitParams"
) -> "tuple[npt.NDArray[np.int64], pd.DataFrame]":
    """The rows' times as whole numbers in their order, and the distinct times."""
    import pandas as pd

    names = list(params.time)
    frame = pd.DataFrame(
        {name: _moments(column_of(columns, name, "time"), name, rows) for name in names}
    )
    # Several columns sort as a tuple would.
    ranks = frame.groupby(names, sort=True).ngroup().to_numpy().astype(np.int64)
    return ranks, frame.drop_duplicates().sort_values(names).reset_index(drop=True)


def _in_order(examples: Examples, schema: Schema) -> npt.NDArray[np.int64] | None:
    """The times by which the data were written down, if a column of times rises with the rows."""
    for column in schema.columns:
        if column.type != "time":
            continue
        values = examples.features[column.name].astype(np.float64)
        if np.isnan(values).any():
            continue
        steps = np.diff(values)
        if (steps > 0).any() and (steps >= 0).mean() >= RISING:
            return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)
    return None


def _moments(values: npt.NDArray[Any], name: str, rows: npt.NDArray[np.int64]) -> "pd.Series[Any]":
    """Numbers as they are, texts as dates; raises InputError for a cell that is neither."""
    import pandas as pd

    cells = pd.Series(values)
    if values.dtype.kind != "f":
        numbers = pd.to_numeric(cells, errors="coerce")
        dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
        # What most cells are is what the others should be.
        cells = dates if dates.notna().sum() > numbers.notna().sum() else numbers
    elif values.dtype == np.float64:
        cells = pd.to_datetime(cells, unit="D", utc=True).dt.round("ms")
    wrong = np.flatnonzero(cells.isna())
    if wrong.size:
        where = f"split.time: column {name!r}, row {rows[wrong[0]] + 1}"
        text = str(values[wrong[0]])
        if text in ("", "nan"):
            raise InputError(
                f"{where}: the time is missing, in {len(wrong):,} of {len(values):,} rows.\n"
                "Fill it in, take these rows out, or choose another column."
            )
        raise InputError(
            f"{where}: {text!r} is neither a number nor a date like 2026-01-31 or 2026-01-31T12:00."
        )
    return cells


def column_of(columns: Columns, name: str, key: str) -> npt.NDArray[Any]:
    """A column by its name, which stands under split.`key`; raises InputError."""
    if name not in columns:
        near = difflib.get_close_matches(name, list(columns), n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise InputError(f"params.yaml: split.{key}: there is no column {name!r}{hint}")
    return columns[name]
