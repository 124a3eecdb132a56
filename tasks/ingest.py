"""Read the raw data, check that it can be learned from, and write it typed."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models import findings
from models.examples import GIVEN, PICTURE, Examples, Kind, Schema, Table, Texts
from models.profile import profile
from models.table_cells import Cells, Missing, Origin
from models.table_types import Type
from models.target import Task
from pipeline.artifacts import Bundle, Json, Raw
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section


class IngestParams(Section):
    """What the data are and what is to be learned from them."""

    path: str | None
    """Below data/: a table as `models.tables` reads it, or pictures as `models.picture_files`
    does; null for scikit-learn's digits."""
    kind: Kind
    task: Task
    target: tuple[str, ...] = Field(min_length=1)
    """The column to predict, or several; for pictures what the label is called, or its column."""
    ignore: tuple[str, ...]
    """Columns that are not features."""
    types: dict[str, Type]
    """What columns hold, where `models.table_types` would say something else."""
    missing: tuple[str, ...]
    """Cell texts that mean a missing value."""
    missing_in: dict[str, tuple[str, ...]]
    """More of them, each for one column."""
    weight: str | None
    """The column that says how much a row counts."""
    size: tuple[int, int] | None
    """Height and width of pictures; null: as they are, or at most 64."""
    channels: Literal[1, 3] | None
    """Grey or colour; null: as the pictures are."""
    picture: str | None
    """The column of paths, in a list of pictures; null: the one whose cells look like paths."""
    allow: tuple[str, ...]
    """Names of findings that would stop the run, and are not to."""

    @model_validator(mode="after")
    def _one_meaning_a_column(self) -> Self:
        roles = [*self.target, *self.ignore, *([self.weight] if self.weight is not None else [])]
        for name in roles:
            if roles.count(name) > 1:
                raise ValueError(
                    f"the column {name!r} is named twice; "
                    "each has one place in target, ignore or weight"
                )
            if name in self.types:
                raise ValueError(f"types names {name!r}, which is no feature")
        if self.task == "classification" and len(self.target) > 1:
            raise ValueError("a classification has one target; several are multilabel's")
        return self

    @model_validator(mode="after")
    def _what_the_kind_needs(self) -> Self:
        if self.kind == "table":
            only: tuple[str, ...] = ("size", "channels", "picture")
            if self.path is None:
                raise ValueError("a table needs its path; null is scikit-learn's digits, pictures")
        elif self.path is None:
            only = ("size", "channels", "picture", "ignore", "types", "missing_in", "weight")
            if self.task != "classification":
                raise ValueError("scikit-learn's digits are for classification")
        else:
            only = ("ignore", "types", "weight")
            if len(self.target) > 1:
                raise ValueError("pictures have one target; labels may be listed in it")
        for name in only:
            if getattr(self, name):
                what = self.kind if self.path else "scikit-learn's digits"
                raise ValueError(f"{name} says nothing about {what}; leave it empty or null")
        if self.size and min(self.size) < 1:
            raise ValueError("size is height and width in pixels, 1 or more")
        return self


@dataclass(frozen=True)
class Ingested(Bundle):
    """The typed examples, and facts about them for people."""

    table: Table
    findings: Json
    """[{name, severity, evidence, advice}], see `models.findings`; read by the report alone."""
    profile: Json
    """`models.profile.profile`, with source, ignored (columns), weight (a column or null) and
    notes (texts); read by the report alone."""


@stage()
def ingest(out: Ingested, raw: Raw, params: IngestParams) -> None:
    """Read the raw data, check and type them.

    Raises InputError, naming file and column, where nothing can be learned from them, and where
    they are not as expected.
    """
    read = read_examples_file(raw.data.path, params)
    source = read.profile["source"]
    if raw.expected.path.name:
        _require_expected(read, raw.expected.path, source)
    found = [*findings.look(read.examples, read.schema), *read.findings]
    findings.require(found, params.allow, source)
    out.findings.write([asdict(finding) for finding in found])
    out.table.write(read.examples, read.schema, read.aside)
    out.profile.write(read.profile)


@dataclass(frozen=True)
class Read:
    """What was understood of the raw data."""

    examples: Examples
    schema: Schema
    aside: Texts
    """Columns that are no features, and `GIVEN` where the data came in parts."""
    profile: dict[str, Any]
    findings: list[findings.Finding]
    """What reading itself found; `models.findings.look` finds the rest."""


def read_examples_file(path: Path, params: IngestParams) -> Read:
    """What the raw data hold; raises InputError. `path` counts where `params.path` is not null."""
    if params.path is None:
        return _digits(params)
    return _table(path, params) if params.kind == "table" else _pictures(path, params)


def _require_expected(read: Read, path: Path, source: str) -> None:
    from models import expectations

    expected = expectations.read(path)
    if expected is not None:
        problems = expectations.check(read.examples, read.schema, read.aside, expected)
        expectations.require(problems, source)


def _table(path: Path, params: IngestParams) -> Read:
    from models.table_cells import read_cells
    from models.table_targets import known, read_targets, read_weights
    from models.table_types import arrays, types_of
    from models.tables import read_raw_table

    raw = read_raw_table(path)
    missing = Missing(params.missing, params.missing_in)
    _require_named(raw.frame, params, raw.origin)

    def cells(names: Any) -> list[Cells]:
        return [read_cells(raw.frame[name], missing) for name in names]

    targets = cells(params.target)
    rows = np.flatnonzero(known(targets)).astype(np.int64)
    _require_targets(targets, rows, raw.origin)
    target = read_targets(_taken(targets, rows), params.task, raw.origin)
    apart = {*params.target, *params.ignore, params.weight}
    features = _taken(cells(name for name in raw.frame.columns if name not in apart), rows)
    _require_values(features, params, raw.origin)
    columns = types_of(features, params.types)
    weight = None if params.weight is None else cells([params.weight])[0].take(rows)
    examples = Examples(
        arrays(features, columns, raw.origin),
        target.values,
        rows,
        None if weight is None else read_weights(weight, raw.origin),
    )
    schema = Schema(kind="table", task=params.task, targets=target.names, columns=columns, shape=())
    ignored = _taken(cells(params.ignore), rows)
    aside: Texts = {column.name: column.texts() for column in ignored}
    notes = _notes_on_rows(len(raw.frame) - len(rows), params)
    if raw.given is not None:
        aside[GIVEN] = raw.given[rows]
    return _read(examples, schema, aside, str(raw.origin), params, notes, [])


def _digits(params: IngestParams) -> Read:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = bunch.images.astype(np.float32)[..., np.newaxis]
    labels = bunch.target.astype(str).astype(object)
    examples = Examples({PICTURE: pictures}, labels, np.arange(len(labels), dtype=np.int64))
    schema = _schema_of_pictures(pictures, params.task, params.target)
    return _read(examples, schema, {}, "scikit-learn's digits", params, [], [])


def _pictures(path: Path, params: IngestParams) -> Read:
    import pandas as pd

    from models.picture_files import read_pictures
    from models.pictures import PictureSettings
    from models.table_cells import read_cells
    from models.table_targets import read_targets

    settings = PictureSettings(
        size=params.size,
        channels=params.channels,
        label=params.target[0],
        path=params.picture,
        part=None,
        missing=params.missing,
    )
    read = read_pictures(path, settings)
    origin = Origin(path)
    labels = pd.Series(read.labels, dtype=object, name=params.target[0])
    target = read_targets([read_cells(labels, Missing((), {}))], params.task, origin)
    rows = np.arange(len(labels), dtype=np.int64)
    examples = Examples({PICTURE: read.pictures}, target.values, rows)
    schema = _schema_of_pictures(read.pictures, params.task, target.names)
    aside: Texts = {} if read.parts is None else {GIVEN: read.parts}
    broken = _broken(read.broken)
    return _read(examples, schema, aside, str(path), params, read.notes, broken)


def _schema_of_pictures(
    pictures: npt.NDArray[np.generic], task: Task, targets: tuple[str, ...]
) -> Schema:
    shape = tuple(int(size) for size in pictures.shape[1:])
    return Schema(kind="pictures", task=task, targets=targets, columns=(), shape=shape)


def _broken(broken: list[tuple[str, str]]) -> list[findings.Finding]:
    if not broken:
        return []
    listed = "; ".join(f"{name}: {reason}" for name, reason in broken[:5])
    more = f"; and {len(broken) - 5:,} more" if len(broken) > 5 else ""
    return [
        findings.Finding(
            "broken_pictures",
            "warning",
            f"{len(broken):,} pictures cannot be used and were set aside ({listed}{more})",
            "Fetch them again, or remove them.",
        )
    ]


def _read(
    examples: Examples,
    schema: Schema,
    aside: Texts,
    source: str,
    params: IngestParams,
    notes: list[str],
    found: list[findings.Finding],
) -> Read:
    given = aside.get(GIVEN)
    told = profile(examples, schema) | {
        "source": source,
        "ignored": list(params.ignore),
        "weight": params.weight,
        "notes": [*notes, *([] if given is None else [_on_parts(given)])],
    }
    return Read(examples, schema, aside, told, found)


def _on_parts(given: npt.NDArray[np.generic]) -> str:
    names = given.tolist()
    counts = {part: names.count(part) for part in ("train", "validation", "test")}
    told = ", ".join(f"{part} {count:,}" for part, count in counts.items() if count)
    return f"the data came in parts: {told}"


def _notes_on_rows(lost: int, params: IngestParams) -> list[str]:
    if not lost:
        return []
    what = "a target" if len(params.target) == 1 else "all targets"
    return [f"{lost:,} row{'s' if lost > 1 else ''} without {what}: set aside"]


def _taken(columns: list[Cells], rows: npt.NDArray[np.int64]) -> list[Cells]:
    return [cells.take(rows) for cells in columns]


def _require_named(frame: Any, params: IngestParams, origin: Origin) -> None:
    """Raise InputError where params.yaml names a column that is not there."""
    from models.tables import require_columns

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


def _require_values(features: list[Cells], params: IngestParams, origin: Origin) -> None:
    if not features:
        names = ", ".join(map(repr, params.target))
        raise InputError(f"{origin}: no feature column is left beside the target {names}.")
    for cells in features:
        if cells.absent.all():
            raise InputError(
                f"{origin}: the column {cells.name!r} holds only missing values.\n"
                "Add it to ingest.ignore in params.yaml, or mend the file."
            )
