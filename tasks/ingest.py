"""Read the raw data, check that it can be learned from, and write it typed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from dataset import reading
from dataset.checks import findings
from dataset.examples import PICTURE, Examples, Kind, Table, Texts
from dataset.reading import Blocks, Read
from dataset.tables.types import Type
from dataset.target import Task
from pipeline.artifacts import Bundle, Json, Raw
from pipeline.declaration import stage
from pipeline.params import Section
from tasks import ingest_pictures, ingest_tables


class IngestParams(Section):
    """What the data are and what is to be learned from them."""

    path: str | None
    """Below data/: a table as `dataset.tables.read` reads it, or pictures as
    `dataset.pictures.files` does; null for scikit-learn's digits."""
    kind: Kind
    task: Task
    target: tuple[str, ...] = Field(min_length=1)
    """The column to predict, or several; for pictures what the label is called, or its column."""
    ignore: tuple[str, ...]
    """Columns that are not features."""
    types: dict[str, Type]
    """What columns hold, where `dataset.tables.types` would say something else."""
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
    """[{name, severity, evidence, advice}], see `dataset.checks.findings`; read by the report
    alone."""
    profile: Json
    """`dataset.profile.profile`, with source, ignored (columns), weight (a column or null) and
    notes (texts); read by the report alone."""


@stage()
def ingest(out: Ingested, raw: Raw, params: IngestParams) -> None:
    """Read the raw data, check and type them.

    Raises InputError, naming file and column, where nothing can be learned from them, and where
    they are not as expected.
    """
    read = read_examples_file(_place(raw, params), params)
    source = read.profile["source"]
    blocks = _as_expected(read, raw.expected.path, source)
    found = [*findings.look(read.examples, read.schema), *read.findings]
    notes = findings.require(found, params.allow, source, checks=findings.CHECKS)
    with out.table.writing(read.schema) as writer:
        for examples, aside in blocks():
            writer.append(examples, aside)
    out.findings.write([asdict(finding) for finding in found])
    out.profile.write(read.profile | {"notes": [*read.profile["notes"], *notes]})


def _place(raw: Raw, params: IngestParams) -> Path:
    """The raw data; a list of pictures lies in the folder that is tracked, by the name it has."""
    listed = raw.data.path / Path(params.path or "").name
    return listed if params.kind == "pictures" and listed.is_file() else raw.data.path


def read_examples_file(path: Path, params: IngestParams) -> Read:
    """What the raw data hold; raises InputError. `path` counts where `params.path` is not null."""
    if params.path is None:
        held = _digits(params)
    elif params.kind == "table":
        held = ingest_tables.read(path, params)
    else:
        held = ingest_pictures.read(path, params)
    told = {"ignored": list(params.ignore), "weight": params.weight}
    return replace(held, profile=held.profile | told)


def _digits(params: IngestParams) -> Read:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = bunch.images.astype(np.float32)[..., np.newaxis]
    labels = bunch.target.astype(str).astype(object)
    examples = Examples({PICTURE: pictures}, labels, np.arange(len(labels), dtype=np.int64))
    schema = ingest_pictures.schema_of(pictures, params.task, params.target)
    source = "scikit-learn's digits"
    return reading.whole(examples, schema, {}, source=source, notes=[], findings=[])


def _as_expected(read: Read, path: Path, source: str) -> Blocks:
    """The blocks of `read`, held against the file of expectations; raises InputError."""
    from dataset.checks import expectations

    expected = expectations.read(path) if path.name else None
    if expected is None:
        return read.blocks

    def require(examples: Examples, aside: Texts, *, whole: bool) -> None:
        problems = expectations.check(examples, read.schema, aside, expected, whole)
        expectations.require(problems, source)

    # Before all else: what departs is the likeliest reason for anything that follows.
    require(read.examples, read.aside, whole=True)
    if len(read.examples) == read.profile["rows"]:
        return read.blocks

    def required() -> Iterator[tuple[Examples, Texts]]:
        for examples, aside in read.blocks():
            require(examples, aside, whole=False)
            yield examples, aside

    return required
