"""Bad input of every kind ends in a message that says where, or in whole and readable results.

`make test` tries a few cases, the same each time; `make faults` thousands, others each time.
"""

import contextlib
import json
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dataset.arrivals import Reading, read_arrivals
from dataset.checks import expectations
from dataset.ingest_settings import IngestParams
from dataset.tables.cells import Missing
from metrics.objective import Objective
from pipeline.artifacts import Given, Raw, Source
from pipeline.errors import ExitCode, FettleError
from pipeline.graph import sections, trace
from pipeline.params_file import Params, load
from pipeline.project import read_raw_data
from tasks.ingest import Ingested, ingest
from tasks.split import Parts, split
from tests.faults import mutations
from tests.faults.mutations import Case

FEW, MANY = 200, 2_400
LINES = 12
"""Of a message, at the most."""
LETTERS = 12_000
UNFIT = ("Cc", "Cs", "Cf", "Zl", "Zp")
"""Unicode's categories of what a terminal obeys or cannot show."""
WHOLES = (
    {"ingest/table/schema.json", "ingest/table/examples.parquet", "ingest/findings.json"}
    | {"ingest/profile.json"},
    {"split/development/schema.json", "split/development/target.json", "split/summary.json"}
    | {"split/development/train.parquet", "split/development/validation.parquet"}
    | {"split/holdout/schema.json", "split/holdout/examples.parquet", "split/findings.json"},
)
"""Files that are there together or not at all."""


@dataclass(frozen=True)
class Subject:
    """What is spoiled."""

    name: str
    cases: st.SearchStrategy[Case]
    share: float
    """Of all cases."""


SUBJECTS = (
    Subject("text tables", mutations.text_tables(), 0.2),
    Subject("json lines", mutations.json_lines(), 0.05),
    Subject("folders of tables", mutations.folders(), 0.05),
    Subject("stored tables", mutations.stored_tables(), 0.15),
    Subject("picture folders", mutations.picture_folders(), 0.1),
    Subject("picture lists", mutations.picture_lists(), 0.075),
    Subject("picture arrays", mutations.picture_arrays(), 0.1),
    Subject("settings", mutations.settings_of_both(), 0.125),
    Subject("params.yaml", mutations.params_files(), 0.1),
    Subject("data/schema.yaml", mutations.expectations(), 0.05),
)
tried: Counter[str] = Counter()
"""Cases by how they ended."""


@pytest.fixture(scope="module", autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """Say at the end how many cases there were."""
    yield
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    ends = ", ".join(f"{name} {count:,}" for name, count in sorted(tried.items()))
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print(f"\n{tried.total():,} cases of bad input: {ends}")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
@pytest.mark.parametrize(
    "count",
    [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.faults)],
)
def test_bad_input_ends_in_a_message_or_in_whole_results(subject: Subject, count: int) -> None:
    @settings(
        max_examples=round(count * subject.share),
        derandomize=count == FEW,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(subject.cases)
    def holds(case: Case) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            mutations.place(case, Path())
            tried[attempt(case)] += 1

    holds()


@pytest.mark.parametrize(
    "case",
    [
        Case(mutations.CSV, mutations.TABLE, mutations.SPLIT, expected=mutations.EXPECTED.encode()),
        Case(mutations.pictured(), mutations.FOLDER, mutations.SPLIT),
    ],
    ids=["table", "pictures"],
)
def test_what_is_spoiled_is_valid_before(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mutations.place(case, Path())
    assert attempt(case) == "done"


SCHEMA = Path("data/schema.yaml")


def attempt(case: Case) -> str:
    """What `./fettle stage ingest` and `split` do; says how far it went."""
    ingested, parts = Ingested.at(Path("artifacts/ingest")), Parts.at(Path("artifacts/split"))
    done = "refused: params"
    try:
        raw, params = _known(case)
        done = "refused: ingest"
        ingest.function(ingested, raw, params["ingest"])
        done = "refused: split"
        split.function(parts, ingested.table, params["split"])
        done = "refused: objective"
        objective = params["objective"]
        assert isinstance(objective, Objective)
        objective.metric_for(parts.development.target())
    except FettleError as error:
        require_message(error, case)
        require_whole(Path("artifacts"))
        return done
    require_whole(Path("artifacts"))
    require_readable(ingested, parts)
    section = params["ingest"]
    assert isinstance(section, IngestParams)
    if not raw.expected.path.name:
        require_expected(ingested)
    if section.kind == "table":
        require_arrivals(raw.data.path, parts, section, case)
    return "done"


def _known(case: Case) -> tuple[Raw, Params]:
    """The raw data and the parameters, as they are known before anything runs."""
    from flows.training import training

    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_bytes(case.expected or b"")
    raw, nothing = read_raw_data(), Source(Path())
    if case.expected is None:
        raw = Raw(raw.data, nothing)
    return raw, load(sections(trace(training, Given(raw, nothing, nothing, nothing))))


def require_message(error: FettleError, case: Case) -> None:
    """A few lines, which say where, and nothing that a terminal would obey."""
    text = str(error)
    assert error.exit_code == ExitCode.INPUT, text
    assert 0 < len(text.splitlines()) <= LINES, text
    assert len(text) <= LETTERS, text[:1000]
    assert "Traceback" not in text
    assert not [mark for mark in text if unicodedata.category(mark) in UNFIT and mark != "\n"], text
    text.encode()
    places = ["params.yaml", "schema.yaml", "split", Path(next(iter(case.files))).parts[1]]
    places += [str(case.ingest.get("path")), "scikit-learn's digits"]
    assert any(place in text for place in places), text


def require_whole(artifacts: Path) -> None:
    """No temporary file, and no file of an artifact without the others."""
    found = {
        path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()
    }
    assert not [name for name in found if Path(name).name.startswith((".", "tmp"))], found
    for whole in WHOLES:
        assert whole <= found or not whole & found, found


def require_readable(ingested: Ingested, parts: Parts) -> None:
    """Every artifact can be read, and every example is in one part at the most."""
    examples, _ = ingested.table.read()
    train, validation = parts.development.train(), parts.development.validation()
    rows = [set(part.rows.tolist()) for part in (train, validation, parts.holdout.read())]
    assert all(rows)
    assert sum(map(len, rows)) == len(set.union(*rows))
    assert set.union(*rows) <= set(examples.rows.tolist())
    target = parts.development.target()
    truth, _ = parts.development.truth("train")
    codes = target.encode(truth)
    assert np.isfinite(codes).all()
    if target.task == "regression":
        assert np.isfinite(target.decode(codes)).all()
    parts.development.folds()
    for content in (ingested.profile, ingested.findings, parts.summary, parts.findings):
        json.dumps(content.read(), allow_nan=False)


def require_expected(ingested: Ingested) -> None:
    """What was just learned of data is what they are."""
    examples, schema = ingested.table.read()
    expectations.write(expectations.learn(ingested.table.blocks(), schema), SCHEMA)
    learned = expectations.read(SCHEMA)
    assert learned is not None
    assert not expectations.check(examples, schema, ingested.table.aside(), learned)


def require_arrivals(path: Path, parts: Parts, section: IngestParams, case: Case) -> None:
    """What was trained on can be predicted as well."""
    missing = Missing(section.missing, section.missing_in)
    reading = Reading(section.target, missing, None)
    development = parts.development
    try:
        new = read_arrivals(path, development.schema(), development.target(), reading)
    except FettleError as error:
        # A row that has no target was not looked at before.
        require_message(error, case)
    else:
        assert new.known is not None
