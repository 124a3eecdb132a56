"""Tables as `ingest` reads them: whole, or a block of rows at a time where that is too much."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset import reading
from dataset.examples import GIVEN, Column, Examples, Schema, Texts, Weights
from dataset.reading import Read
from dataset.tables.cells import Cells, Missing, Origin
from dataset.tables.stream import Stream, open_stream
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from dataset.ingest_settings import IngestParams
    from dataset.tables.targets import Targets


def read(path: Path, params: "IngestParams") -> Read:
    """What a table holds; raises InputError, naming file, row and column."""
    stream = open_stream(path)
    return _whole(path, params) if stream is None else _streamed(stream, params)


def _whole(path: Path, params: "IngestParams") -> Read:
    from dataset.tables.cells import read_cells
    from dataset.tables.read import read_raw_table
    from dataset.tables.targets import known, read_targets, read_weights

    raw = read_raw_table(path)
    origin, missing = raw.origin, Missing(params.missing, params.missing_in)
    _require_named(raw.frame, params, origin)
    targets = [read_cells(raw.frame[name], missing) for name in params.target]
    rows = np.flatnonzero(known(targets)).astype(np.int64)
    _require_targets(targets, rows, origin)

    def cells(name: str) -> Cells:
        every = read_cells(raw.frame[name], missing)
        return every if len(rows) == len(every) else every.take(rows)

    target = read_targets([whole.take(rows) for whole in targets], params.task, origin)
    apart = {*params.target, *params.ignore, params.weight}
    names = [name for name in raw.frame.columns if name not in apart]
    features, columns = _features(names, cells, params, origin)
    weight = None if params.weight is None else read_weights(cells(params.weight), origin)
    examples = Examples(features, target.values, rows, weight)
    schema = Schema(kind="table", task=params.task, targets=target.names, columns=columns, shape=())
    aside: Texts = {name: cells(name).texts() for name in params.ignore}
    notes = _notes_on_rows(len(raw.frame) - len(rows), params)
    if raw.given is not None:
        aside[GIVEN] = raw.given[rows]
    return reading.whole(examples, schema, aside, source=str(origin), notes=notes, findings=[])


def _features(
    names: list[str], cells: Callable[[str], Cells], params: "IngestParams", origin: Origin
) -> tuple[dict[str, npt.NDArray[np.generic]], tuple[Column, ...]]:
    """The arrays and types of the feature columns, one after the other: a table may be large."""
    from dataset.tables.types import arrays, types_of

    if not names:
        told = ", ".join(map(repr, params.target))
        raise InputError(f"{origin}: no feature column is left beside the target {told}.")
    features: dict[str, npt.NDArray[np.generic]] = {}
    columns: tuple[Column, ...] = ()
    for name in names:
        one = cells(name)
        if one.absent.all():
            raise InputError(
                f"{origin}: the column {name!r} holds only missing values.\n"
                "Add it to ingest.ignore in params.yaml, or mend the file."
            )
        kinds = types_of([one], params.types)
        features |= arrays([one], kinds, origin)
        columns += kinds
    return features, columns


@dataclass(frozen=True)
class _Told:
    """What is known of a streamed table before its rows are read."""

    stream: Stream
    missing: Missing
    schema: Schema
    rows: npt.NDArray[np.int64]
    """Places of the rows that have their targets, rising."""
    targets: "Targets"
    """Of those rows."""
    weights: Weights

    def examples(self, place: int, frame: "pd.DataFrame", aside: Sequence[str]) -> "_Block":
        """The rows of a block of which the first is at `place`."""
        ends = np.searchsorted(self.rows, [place, place + len(frame)])
        return self.chosen(frame, np.arange(place, place + len(frame)), np.arange(*ends), aside)

    def chosen(
        self,
        frame: "pd.DataFrame",
        places: npt.NDArray[np.int64],
        own: npt.NDArray[np.int64],
        aside: Sequence[str],
    ) -> "_Block":
        """Those rows of `frame`, which stand at `places`, that are `own`, places in `rows`."""
        from dataset.tables.cells import read_cells
        from dataset.tables.types import arrays

        kept = np.searchsorted(places, self.rows[own])

        def cells(name: str) -> Cells:
            every = replace(read_cells(frame[name], self.missing), rows=places)
            return every if len(kept) == len(every) else every.take(kept)

        columns = self.schema.columns
        features = arrays([cells(column.name) for column in columns], columns, self.stream.origin)
        weights = None if self.weights is None else self.weights[own]
        examples = Examples(features, self.targets.values[own], self.rows[own], weights)
        texts: Texts = {name: cells(name).texts() for name in aside}
        if self.stream.given:
            texts[GIVEN] = self.stream.parts(self.rows[own])
        return examples, texts


_Block = tuple[Examples, Texts]


def _streamed(stream: Stream, params: "IngestParams") -> Read:
    """A table of which no more than a block and a sample is held at any time."""
    from dataset.profile import counted, profile

    told, sample = _tell(stream, params)
    examples, aside = sample

    def blocks() -> Iterator[_Block]:
        for place, frame in stream.blocks():
            yield told.examples(place, frame, params.ignore)

    facts = counted(profile(examples, told.schema), told.schema, told.targets.values, blocks())
    facts |= {
        "source": str(stream.origin),
        "notes": [
            *_notes_on_rows(stream.count - len(told.rows), params),
            f"too large to be held in memory: what columns hold, their medians and distinct "
            f"values, and the findings are those of {len(examples):,} rows spread evenly",
        ],
    }
    return Read(examples, told.schema, aside, facts, [], blocks)


def _tell(stream: Stream, params: "IngestParams") -> tuple[_Told, _Block]:
    """What is known of the table, and a sample of its rows."""
    import pandas as pd

    from dataset.tables.cells import read_cells
    from dataset.tables.targets import known, read_targets, read_weights

    origin, missing = stream.origin, Missing(params.missing, params.missing_in)
    _require_named(pd.DataFrame(columns=list(stream.columns)), params, origin)
    targets = [read_cells(stream.whole(name), missing) for name in params.target]
    rows = np.flatnonzero(known(targets)).astype(np.int64)
    _require_targets(targets, rows, origin)
    target = read_targets([whole.take(rows) for whole in targets], params.task, origin)
    weight = None
    if params.weight is not None:
        every = read_cells(stream.whole(params.weight), missing).take(rows)
        weight = read_weights(every, origin)

    places, frame = stream.sample()
    apart = {*params.target, *params.ignore, params.weight}
    names = [name for name in stream.columns if name not in apart]
    _, columns = _features(names, lambda name: read_cells(frame[name], missing), params, origin)
    schema = Schema(kind="table", task=params.task, targets=target.names, columns=columns, shape=())
    told = _Told(stream, missing, schema, rows, target, weight)
    return told, told.chosen(frame, places, np.flatnonzero(np.isin(rows, places)), params.ignore)


def _notes_on_rows(lost: int, params: "IngestParams") -> list[str]:
    if not lost:
        return []
    what = "a target" if len(params.target) == 1 else "all targets"
    return [f"{lost:,} row{'s' if lost > 1 else ''} without {what}: set aside"]


def _require_named(frame: Any, params: "IngestParams", origin: Origin) -> None:
    """Raise InputError where params.yaml names a column that is not there."""
    from dataset.tables.read import require_columns

    require_columns(frame, params.target, "target column", origin)
    require_columns(frame, params.ignore, "column to ignore", origin)
    require_columns(frame, list(params.types), "column of ingest.types", origin)
    require_columns(frame, list(params.missing_in), "column of ingest.missing_in", origin)
    if params.weight is not None:
        require_columns(frame, [params.weight], "weight column", origin)


def _require_targets(targets: list[Cells], rows: npt.NDArray[np.int64], origin: Origin) -> None:
    for cells in targets:
        if cells.absent.all():
            raise InputError(
                f"{origin}: the target column {cells.name!r} holds only missing values."
            )
    if not len(rows):
        raise InputError(f"{origin}: no row has all targets; each lacks one at least.")
