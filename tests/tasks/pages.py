"""The whole report from synthetic results, and what a browser would make of it."""

from html.parser import HTMLParser

from metrics.objective import Objective
from models.judging.evaluation import Evaluation
from models.judging.ledger import Limits
from pipeline.artifacts import Json
from tasks.evaluate import EvaluateParams, evaluate
from tasks.report import Report, ReportParams, report
from tests.tasks import candidates

PARAMS = ReportParams(title="Which is best?", gap=0.05, noise=0.25, gain=0.1, recall=0.9, ece=0.02)
ACCURACY = Objective(metric="accuracy", positive=None, precision=0.9, quantile=0.5)
RMSE = ACCURACY.model_copy(update={"metric": "rmse"})
MACRO_F1 = ACCURACY.model_copy(update={"metric": "macro_f1"})
TASKS = [
    {},
    {"names": ("ill", "well")},
    {"task": "multilabel", "objective": MACRO_F1, "names": ("calm", "happy", "sad")},
    {"task": "regression", "objective": RMSE, "names": ("price",)},
    {"task": "regression", "objective": RMSE, "names": ("width", "height")},
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
    ("ensemble", ["split", "baseline", "search", "regularize", "finetune"]),
    ("distill", ["split", "baseline", "search", "regularize", "finetune", "ensemble"]),
    ("evaluate", ["split", *candidates.STORY]),
    ("report", ["ingest", "split", *candidates.STORY, "evaluate"]),
]


def profile_of(made, columns, types):
    counts, rows = (
        counts_of(made),
        2 * len(made.development.validation()) + len(made.holdout.read()),
    )
    profile = {
        "source": "data/some.csv",
        "kind": "table",
        "task": made.task,
        "targets": list(made.development.schema().targets),
        "rows": rows,
        "columns": [
            {"name": name, "type": kind, "missing": 3, "distinct": 800}
            | (
                {"min": -1234.5678, "median": 0.5, "max": 2.0}
                if kind == "numeric"
                else {"commonest": [[HOSTILE, 1200], ["green", 3]]}
            )
            for name, kind in zip(columns, types, strict=True)
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
        profile["quantities"] = dict.fromkeys(made.names, quantity)
    return profile


def counts_of(made):
    """Validation examples by class or label."""
    targets = made.development.validation().targets
    if made.task == "classification":
        return {name: targets.tolist().count(name) for name in made.names}
    if made.task == "multilabel":
        return dict(zip(made.names, targets.sum(axis=0).astype(int).tolist(), strict=True))
    return {}


def summary_of(made):
    counts = counts_of(made)
    n, tests = len(made.development.validation()), len(made.holdout.read())
    parts = ("train", "validation", "holdout")
    summary = {
        "balance": "none",
        "rows": {"train": n, "validation": n, "holdout": tests},
        "parts": dict.fromkeys(parts, counts),
        "notes": ["12 rows are copies of another"],
    }
    if made.task == "regression":
        told = {"least": -7.5, "mean": 1000.0, "most": 1400.0}
        summary["quantities"] = {part: dict.fromkeys(made.names, told) for part in parts}
    return summary


def build(
    root,
    monkeypatch,
    accuracies=BETTER,
    params=PARAMS,
    columns=("x", "y"),
    types=("numeric", "numeric"),
    objective=ACCURACY,
    threshold="half",
    choice="smallest",
    tested=0.92,
    change=lambda made: None,
    judge=lambda made, evaluation: None,
    **options,
):
    """The page's text, from synthetic training stages and the real evaluation.

    tested: the chosen model's accuracy on the holdout. change: what to do to the results of the
    training stages before they are evaluated. judge: what to do to the evaluation.
    """
    made = candidates.make(root / "in", accuracies, **options)
    change(made)

    good = {**dict.fromkeys(candidates.STORY, tested), "baseline": 0.85}
    monkeypatch.setattr("tasks.evaluate._predict", made.predict(good))
    monkeypatch.setattr("tasks.evaluate._measure_latency", lambda *told: None)
    # There are no models to be timed.
    monkeypatch.setattr("models.judging.latency.measure", lambda models, examples: None)
    evaluation = Evaluation.at(root / "evaluate")
    checks = EvaluateParams(
        replicates=200,
        level=0.95,
        seed=1,
        tolerance=0.01,
        choice=choice,
        limits=Limits(parameters=None, multiply_adds=10_000),
        bins=10,
        threshold=threshold,
    )
    evaluate.function(evaluation, **made.evaluate_inputs(), objective=objective, params=checks)
    judge(made, evaluation)
    profile, split = Json(root / "profile.json"), Json(root / "summary.json")
    profile.write(profile_of(made, columns, types))
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
        made.ensemble,
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
    text = " ".join(" ".join(read(page).text).split())
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def section(page, name):
    """The words of one section."""
    return words(page.split(f'<section id="{name}">')[1].split("</section>")[0])
