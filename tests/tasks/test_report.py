import re
from html.parser import HTMLParser

import numpy as np
import pytest

from models.evaluation import Evaluation
from models.objective import Objective
from pipeline.artifacts import Json
from pipeline.picture import draw
from tasks.evaluate import EvaluateParams, evaluate
from tasks.report import Report, ReportParams, report
from tests.tasks import candidates

PARAMS = ReportParams(title="Which is best?", gap=0.05, recall=0.9, ece=0.02)
ACCURACY = Objective(metric="accuracy", positive=None, precision=0.9, quantile=0.5)
RMSE = ACCURACY.model_copy(update={"metric": "rmse"})
MACRO_F1 = ACCURACY.model_copy(update={"metric": "macro_f1"})
TASKS = [
    {},
    {"classes": ("ill", "well")},
    {"task": "multilabel", "objective": MACRO_F1, "classes": ("calm", "happy", "sad")},
    {"task": "regression", "objective": RMSE, "classes": ("price",)},
    {"task": "regression", "objective": RMSE, "classes": ("width", "height")},
]
HOSTILE = "<script>alert(\"1\")</script> & 'x'"
BETTER = {
    "linear": 0.80,
    "baseline": 0.85,
    "search": 0.90,
    "regularize": 0.902,
    "finetune": 0.93,
    "distill": 0.9275,
}
STAGES = [
    ("ingest", []),
    ("split", ["ingest"]),
    ("baseline", ["split"]),
    ("search", ["split"]),
    ("regularize", ["split", "baseline", "search"]),
    ("finetune", ["split", "baseline", "search", "regularize"]),
    ("distill", ["split", "baseline", "search", "regularize", "finetune"]),
    ("evaluate", ["split", *candidates.STORY]),
    ("report", ["ingest", "split", *candidates.STORY, "evaluate"]),
]


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "dag.svg").write_text(draw(STAGES, {"split": "as in the README"}))


def profile_of(made, columns):
    counts, rows = counts_of(made), 2 * len(made.development.validation()) + len(made.holdout.read())
    profile = {
        "source": "data/some.csv",
        "kind": "table",
        "task": made.task,
        "targets": list(made.development.schema().targets),
        "rows": rows,
        "columns": [
            {"name": name, "type": "numeric", "missing": 3, "distinct": 800}
            | {"min": -1234.5678, "median": 0.5, "max": 2.0}
            for name in columns
        ],
        "shape": [],
        "classes": {name: 2 * count for name, count in counts.items()},
        "quantities": {},
        "ignored": ["id"],
        "weight": None,
        "notes": [f"7 rows without a target were set aside {HOSTILE}"],
    }
    if made.task == "regression":
        quantity = {"min": 3.14159, "quartiles": [500, 1000, 1500], "max": 2e6, "mean": 1001.5}
        profile["quantities"] = dict.fromkeys(made.classes, quantity)
    return profile


def counts_of(made):
    """Validation examples by class or label."""
    targets = made.development.validation().targets
    if made.task == "classification":
        return {name: targets.tolist().count(name) for name in made.classes}
    if made.task == "multilabel":
        return dict(zip(made.classes, targets.sum(axis=0).astype(int).tolist(), strict=True))
    return {}


def summary_of(made):
    counts = counts_of(made)
    n, tests = len(made.development.validation()), len(made.holdout.read())
    parts = ("train", "validation", "holdout")
    summary = {
        "rows": {"train": n, "validation": n, "holdout": tests},
        "parts": dict.fromkeys(parts, counts),
        "notes": ["12 rows are copies of another"],
    }
    if made.task == "regression":
        told = {"least": -7.5, "mean": 1000.0, "most": 1400.0}
        summary["quantities"] = {part: dict.fromkeys(made.classes, told) for part in parts}
    return summary


def build(
    root,
    monkeypatch,
    accuracies=BETTER,
    params=PARAMS,
    columns=("x", "y"),
    objective=ACCURACY,
    threshold="half",
    tested=0.92,
    change=lambda made: None,
    **options,
):
    """The page's text, from synthetic training stages and the real evaluation.

    tested: the chosen model's accuracy on the holdout. change: what to do to the results of the
    training stages before they are evaluated.
    """
    made = candidates.make(root / "in", accuracies, **options)
    change(made)

    def predict(model, examples, seed):
        return made.said(examples, {"baseline": 0.85}.get(model.read_text(), tested))

    monkeypatch.setattr("tasks.evaluate._predict", predict)
    evaluation = Evaluation.at(root / "evaluate")
    checks = EvaluateParams(
        replicates=200, level=0.95, seed=1, tolerance=0.01, bins=10, threshold=threshold
    )
    evaluate.function(evaluation, **made.evaluate_inputs(), objective=objective, params=checks)
    profile, split = Json(root / "profile.json"), Json(root / "summary.json")
    profile.write(profile_of(made, columns))
    split.write(summary_of(made))
    findings, split_findings = Json(root / "findings.json"), Json(root / "split_findings.json")
    findings.write(
        [
            {
                "name": f"constant:{HOSTILE}",
                "severity": "warning",
                "evidence": "the same value wherever it is not missing",
                "advice": "It can teach nothing.",
            }
        ]
    )
    split_findings.write(
        [
            {
                "name": "shared_rows",
                "severity": "error",
                "evidence": "4 holdout rows are in training too",
                "advice": "Group them.",
            }
        ]
    )
    out = Report.at(root / "report")
    report.function(
        out,
        profile,
        findings,
        split,
        split_findings,
        made.baseline,
        made.search,
        made.regularize,
        made.finetune,
        made.distill,
        evaluation,
        params,
    )
    return out.index.path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Checks that tags are balanced and gathers what a browser would act on."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def words(page):
    return " ".join(" ".join(read(page).text).split())


def test_it_tells_the_story(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    text = words(page)
    assert "The chosen model is distill ." in text
    for name in candidates.STORY:
        assert name in text
    assert "Gain over search proven: +3.00 percentage points" in text
    assert "2 fits, 40 epochs, 16,000 examples" in text
    assert "400 + 400 + 400: train, validation, holdout" in text
    assert "12 trials, 1 diverged" in text
    # Every drawing says what it shows.
    assert page.count("<svg") == page.count('role="img"')
    assert len(re.findall(r'<svg class="panel"[^>]*aria-label="[^"]{10,}"', page)) >= 10


def test_text_from_data_is_escaped(tmp_path, monkeypatch):
    page = build(
        tmp_path, monkeypatch, classes=("plain", HOSTILE), columns=(HOSTILE, "<img src=x>")
    )
    reader = read(page)
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    # It is shown all the same, as text, for classes, columns and notes, and in the SVG's labels.
    assert "".join(reader.text).count(HOSTILE) >= 6
    assert any(
        HOSTILE in (value or "") for name, value in reader.attributes if name == "aria-label"
    )


def test_it_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    reader = read(page)
    loads = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href")]
    assert [value for value in loads if not value.startswith("#")] == ["timing.html"]
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_bytes_are_equal_on_two_runs(tmp_path, monkeypatch):
    one = build(tmp_path / "one", monkeypatch)
    two = build(tmp_path / "two", monkeypatch)
    assert one == two


def test_switched_off_stages_are_said_to_be_off(tmp_path, monkeypatch):
    off = ("search", "regularize", "finetune", "distill")
    text = words(build(tmp_path, monkeypatch, off=off))
    assert text.count("switched off") >= 4  # in the picture
    assert "The search was switched off" in text
    assert "The chosen model is the baseline" in text
    assert "Switch on search, regularize, finetune, distill." in text


def test_links_within_the_page_lead_somewhere(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    reader = read(page)
    targets = {value for name, value in reader.attributes if name == "id"}
    links = {value[1:] for name, value in reader.attributes if name == "href" and value[0] == "#"}
    assert links <= targets
    assert len(links) == 8


def test_headings_do_not_skip_a_level(tmp_path, monkeypatch):
    levels = [
        int(tag[1])
        for tag in read(build(tmp_path, monkeypatch)).tags
        if tag[0] == "h" and tag[1:].isdigit()
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


def test_very_many_classes_stay_readable(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, classes=tuple(f"class {at:02d}" for at in range(45)), n=900)
    text = words(page)
    assert "45 classes are too many for a matrix" in text
    assert "The 40 classes found least often; 5 more are" in text
    assert "Most often mistaken" in text


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({**BETTER, "linear": 0.85}, "gain over it is not proven: +0.00"),
        # regularize is 1 of 400 better than search, too few to prove.
        ({**BETTER, "regularize": 0.9025}, "validation examples would show it; there are 400"),
        ({**BETTER, "distill": 0.99}, "the choice was optimistic"),
    ],
)
def test_advice_follows_the_evidence(tmp_path, monkeypatch, accuracies, expected):
    assert expected in words(build(tmp_path, monkeypatch, accuracies))


def test_advice_on_the_search_names_the_edges(tmp_path, monkeypatch):
    text = words(build(tmp_path, monkeypatch))
    # Of the synthetic trials the best has depth 3 of 1 to 3 and batch size 64 of 32 and 64.
    assert "Widen the search: a higher depth, a higher batch size." in text
    assert "with 3 for depth, 64 for batch size" in text


def test_advice_knows_its_limits(tmp_path, monkeypatch):
    silent = PARAMS.model_copy(update={"gap": 0.9, "recall": 0.0, "ece": 0.9})
    text = words(build(tmp_path / "silent", monkeypatch, params=silent))
    assert "overfits" not in text
    assert "Look at the examples of" not in text
    assert "at their word" not in text
    strict = PARAMS.model_copy(update={"gap": 0.001, "recall": 1.0, "ece": 0.001})
    text = words(build(tmp_path / "strict", monkeypatch, params=strict))
    assert "Look at the examples of" in text
    assert "underconfident: mean confidence" in text or "overconfident: mean confidence" in text
    assert "1 of 12 trials diverged" in text


def test_the_dag_is_the_rendered_one_with_costs(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    assert "evaluate reads split, baseline, search, regularize, finetune, distill" in page
    assert "as in the README" not in page
    (tmp_path / "docs" / "dag.svg").write_text(draw(STAGES[:3], {}))
    page = build(tmp_path / "other", monkeypatch)
    assert "evaluate reads" not in page
