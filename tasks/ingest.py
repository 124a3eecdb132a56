"""Read the raw data, check that it can be learned from, and write it typed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from dataset import reading
from dataset.checks import findings
from dataset.examples import PICTURE, Examples, Table, Texts
from dataset.ingest_settings import IngestParams
from dataset.reading import Blocks, Read
from pipeline.artifacts import Bundle, Json, Raw
from pipeline.declaration import stage
from tasks import ingest_pictures, ingest_tables


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
