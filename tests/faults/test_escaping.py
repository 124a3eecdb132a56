"""Markup, formulas and escape sequences in data: shown by the report and by predict, never run."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from dataset.examples import Table
from dataset.ingest_settings import IngestParams
from flows import predict
from metrics.threshold import Decision
from models.judging.evaluation import Choice, Chosen, Evaluation
from models.judging.ledger import Limits
from pipeline.artifacts import Raw, Source
from pipeline.picture import draw
from tasks.evaluate import EvaluateParams, evaluate
from tasks.ingest import Ingested, ingest
from tasks.report import Report, report
from tasks.split import Parts, SplitParams, split
from tests.faults import mutations
from tests.tasks import candidates, pages

MARKUP = "<script>alert(1)</script>"
PICTURE = "<img src=x onerror=alert(1)>"
FORMULA = "=cmd|' /C calc'!A0"
CLASSES = (FORMULA, f"{MARKUP}\x1b[31m")
CHECKS = EvaluateParams(
    replicates=100,
    level=0.95,
    seed=1,
    tolerance=0.01,
    choice="smallest",
    limits=Limits(parameters=None, multiply_adds=None),
    bins=10,
    threshold="half",
)


def hostile_table() -> str:
    """Names, categories, texts and classes of which each would do something somewhere."""
    chance = random.Random(3)
    cells = [[MARKUP, PICTURE, FORMULA, "\"&lt;'", "y\r\n"]]
    for row in range(120):
        kind = row % 2
        words = " ".join(chance.choices([MARKUP, PICTURE, "@SUM(A1)", "plain", "words"], k=6))
        place = chance.choice([PICTURE, "=1+1", "-1+1", "\x1b[2J"])
        number = f"{kind + chance.gauss(0, 1):.3f}"
        cells.append([number, place, words, "<marquee>always</marquee>", CLASSES[kind]])
    return mutations.delimited(cells)


@pytest.fixture
def parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ingested, Parts]:
    """The table, ingested and split by the project's own params.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/dag.svg").write_text(draw(pages.STAGES, {"split": MARKUP}))
    files = {"data/data.csv": hostile_table().encode()}
    wishes = {"path": "data/data.csv", "kind": "table", "target": ["y"]}
    mutations.place(mutations.Case(files, wishes, mutations.SPLIT), tmp_path)
    from pipeline.params_file import load_some

    params = load_some({"ingest": IngestParams, "split": SplitParams})
    ingested, parts = Ingested.at(Path("artifacts/ingest")), Parts.at(Path("artifacts/split"))
    ingest.function(ingested, Raw(Source(Path("data/data.csv")), Source(Path())), params["ingest"])
    split.function(parts, Table(ingested.table.path), params["split"])
    return ingested, parts


def test_the_report_shows_what_the_data_hold_and_runs_none_of_it(
    parted: tuple[Ingested, Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested, parts = parted
    made = candidates.make(Path("in"), pages.BETTER, names=CLASSES)
    monkeypatch.setattr("tasks.evaluate._predict", made.predict({}))
    monkeypatch.setattr("models.judging.latency.measure", lambda models, examples: None)
    results, page = Evaluation.at(Path("artifacts/evaluate")), Report.at(Path("artifacts/report"))
    inputs = made.evaluate_inputs()
    evaluate.function(results, **inputs, objective=pages.ACCURACY, params=CHECKS)
    facts = (ingested.profile, ingested.findings, parts.summary, parts.findings)
    report.function(page, *facts, *made.training(), results, pages.PARAMS)
    text = page.index.path.read_text(encoding="utf-8")
    reader = pages.read(text)
    assert not {"script", "img", "marquee"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    shown = "".join(reader.text)
    for hostile in (MARKUP, PICTURE, FORMULA, "<marquee>always</marquee>"):
        assert hostile in shown
    assert "constant:\"&lt;'" in shown


def test_predictions_hold_no_formula_and_notes_no_escape_sequence(
    parted: tuple[Ingested, Parts],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, parts = parted
    Path("model").touch()
    Chosen(predict.CHOSEN).write(
        Path("model"),
        parts.development.schema(),
        parts.development.target(),
        Decision(task="classification", positive=1, thresholds=()),
        Choice(candidate="baseline", reason=""),
    )
    chances = np.tile(np.float32([[0.9, 0.1], [0.2, 0.8]]), (60, 1))
    monkeypatch.setattr(predict, "_predictions", lambda *_: chances)
    predict.predict(Path("data/data.csv"), Path("out.csv"))
    with Path("out.csv").open(newline="") as file:
        cells = list(csv.reader(file))
    assert len(cells) == 121
    names = parts.development.target().names
    for row in cells:
        assert not [cell for cell in row if cell.startswith(predict.FORMULA)]
    assert {row[1] for row in cells[1:]} == {predict.harmless(name) for name in names}
    assert f"'{FORMULA}" in {row[1] for row in cells[1:]}
    said = capsys.readouterr()
    assert "\x1b" not in said.err + said.out
    predict.predict(Path("data/data.csv"), None)
    assert "\r" not in capsys.readouterr().out
