"""Read the raw data, check that it can be learned from, and write it typed."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import findings
from models.examples import PICTURE, Column, Examples, Schema, Table, Texts
from pipeline.artifacts import Bundle, Json, Source
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section

MOST_CLASSES = 1000
"""More distinct targets than this are an id or a quantity, not classes."""


class IngestParams(Section):
    """What the data are and what is to be learned from them."""

    path: str | None
    """A table below data/ that `models.table_files` reads, or null for scikit-learn's digits."""
    target: str
    """The column to predict."""
    ignore: tuple[str, ...]
    """Columns that are not features."""
    missing: tuple[str, ...]
    """Cell texts that mean a missing value."""
    allow: tuple[str, ...]
    """Names of findings that would stop the run, and are not to."""


@dataclass(frozen=True)
class Ingested(Bundle):
    """The typed examples, and facts about them for people."""

    table: Table
    findings: Json
    """[{name, severity, evidence, advice}], see `models.findings`; read by the report alone."""
    profile: Json
    """{source, kind, task, target, rows, columns: [{name, type, missing, distinct}], shape,
    classes: {label: count}, ignored, notes}; read by the report alone."""


@stage()
def ingest(out: Ingested, source: Source, params: IngestParams) -> None:
    """Read the raw data, check and type them.

    Raises InputError, naming file and column, where nothing can be learned from them.
    """
    if params.path is None:
        read = _digits(params.target)
    else:
        read = read_examples_file(source.path, params)
    found = findings.look(read.examples, read.schema)
    findings.require(found, params.allow, read.profile["source"])
    out.findings.write([asdict(finding) for finding in found])
    out.table.write(read.examples, read.schema, read.aside)
    out.profile.write(read.profile)


@dataclass(frozen=True)
class Read:
    """What was understood of the raw data."""

    examples: Examples
    schema: Schema
    aside: Texts
    profile: dict[str, Any]


def read_examples_file(path: Path, params: IngestParams) -> Read:
    """What a table's file holds; raises InputError."""
    from models.tables import infer, missing_cells, read_table, require_columns, typed

    frame = read_table(path)
    require_columns(frame, [params.target], "target column", path)
    require_columns(frame, params.ignore, "column to ignore", path)
    notes = []
    unlabelled = missing_cells(frame[params.target], params.missing).to_numpy()
    if unlabelled.all():
        raise InputError(f"{path}: the target column {params.target!r} holds only missing values.")
    if unlabelled.any():
        notes.append(f"{unlabelled.sum()} rows without a target were set aside")
    rows = np.flatnonzero(~unlabelled).astype(np.int64)
    frame = frame.iloc[rows]
    features = frame.drop(columns=[params.target, *params.ignore])
    if not len(features.columns):
        raise InputError(f"{path}: no feature column is left beside the target {params.target!r}.")
    _require_values(features, params, path)
    columns = infer(features, params.missing)
    labels = frame[params.target].astype(str).str.strip().to_numpy(dtype=object)
    examples = Examples(
        typed(features, columns, params.missing, path), np.asarray(labels, dtype=object), rows
    )
    schema = Schema(
        kind="table", task="classification", target=params.target, columns=columns, shape=()
    )
    facts = [_facts(column, examples) for column in columns]
    unseen = [Column(name=name, type="categorical") for name in params.ignore]
    aside = typed(frame, unseen, params.missing, path)
    _require_classes(examples, path.as_posix(), params.target)
    profile = _profile(path.as_posix(), schema, examples, facts, params, notes)
    return Read(examples, schema, aside, profile)


def _digits(target: str) -> Read:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = bunch.images.astype(np.float32)[..., np.newaxis]
    labels = bunch.target.astype(str).astype(object)
    examples = Examples({PICTURE: pictures}, labels, np.arange(len(labels), dtype=np.int64))
    schema = Schema(
        kind="pictures",
        task="classification",
        target=target,
        columns=(),
        shape=tuple(int(size) for size in pictures.shape[1:]),
    )
    profile = _profile("scikit-learn's digits", schema, examples, [], None, [])
    return Read(examples, schema, {}, profile)


def _profile(
    source: str,
    schema: Schema,
    examples: Examples,
    facts: list[dict[str, Any]],
    params: IngestParams | None,
    notes: list[str],
) -> dict[str, Any]:
    return {
        "source": source,
        "kind": schema.kind,
        "task": schema.task,
        "target": schema.target,
        "rows": len(examples),
        "columns": facts,
        "shape": list(schema.shape),
        "classes": dict(sorted(Counter(examples.labels.tolist()).items())),
        "ignored": list(params.ignore) if params else [],
        "notes": notes,
    }


def _facts(column: Column, examples: Examples) -> dict[str, Any]:
    values = examples.features[column.name]
    absent = np.isnan(values) if column.type == "numeric" else values == ""
    return {
        "name": column.name,
        "type": column.type,
        "missing": int(absent.sum()),
        "distinct": len(set(values[~absent].tolist())),
    }


def _require_values(features: Any, params: IngestParams, path: Path) -> None:
    from models.tables import missing_cells

    for name in features.columns:
        if missing_cells(features[name], params.missing).all():
            raise InputError(
                f"{path}: the column {name!r} holds only missing values.\n"
                "Add it to ingest.ignore in params.yaml, or mend the file."
            )


def _require_classes(examples: Examples, source: str, target: str) -> None:
    counts = Counter(examples.labels.tolist())
    if len(counts) < 2:
        raise InputError(
            f"{source}: the target {target!r} has one class only, {next(iter(counts))!r}; "
            "there is nothing to tell apart."
        )
    if len(counts) > MOST_CLASSES:
        raise InputError(
            f"{source}: the target {target!r} has {len(counts)} distinct values; "
            f"at most {MOST_CLASSES} classes can be told apart. Is it an id or a quantity?"
        )
