"""`fettle predict`: what is written for each task, and what is said of known targets."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from dataset.examples import Column, Schema
from dataset.target import Target, Task
from flows import predict
from metrics.threshold import Decision
from models.judging.evaluation import Choice, Chosen
from pipeline.errors import InputError

PARAMS = """
objective: {metric: METRIC, positive: null, precision: 0.9, quantile: 0.5}
ingest:
  {path: data/t.csv, kind: table, task: classification, target: [y], ignore: [], types: {},
  missing: ["?"], missing_in: {}, weight: null, size: null, channels: null, picture: null,
  allow: []}
evaluate: {replicates: 200, level: 0.9, seed: 1, tolerance: 0.01, bins: 10, threshold: half,
  choice: smallest, limits: {parameters: null, multiply_adds: null}}
"""


def chosen(
    names: tuple[str, ...],
    task: Task,
    targets: tuple[str, ...] = ("y",),
    thresholds: tuple[float, ...] = (),
) -> None:
    """A chosen model of a column x, without the model itself."""
    column = Column(name="x", type="numeric")
    schema = Schema(kind="table", task=task, targets=targets, columns=(column,), shape=())
    target = Target(task=task, names=names, quantities=(), class_weights=())
    model = Path("model")
    model.write_bytes(b"")
    positive = len(names) - 1 if task == "classification" else None
    decision = Decision(task=task, positive=positive, thresholds=thresholds)
    choice = Choice(candidate="baseline", reason="")
    Chosen(predict.CHOSEN).write(model, schema, target, decision, choice)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    monkeypatch: pytest.MonkeyPatch, text: str, outputs: list[list[float]], metric: str
) -> list[dict[str, str]]:
    Path("params.yaml").write_text(PARAMS.replace("METRIC", metric))
    Path("new.csv").write_text(text)
    predictions = np.array(outputs, dtype=np.float32)
    monkeypatch.setattr(predict, "_predictions", lambda *_: predictions)
    predict.predict(Path("new.csv"), Path("out.csv"))
    with Path("out.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_classes_come_with_probabilities_and_accuracy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(("1", "no"), "classification", thresholds=(0.3,))
    text = "x,y\n1,1.0\n2,no\n3,1\n4,?\n5,other\n"
    outputs = [[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.5, 0.5], [0.9, 0.1]]
    rows = run(monkeypatch, text, outputs, "accuracy")
    assert [row["prediction"] for row in rows] == ["1", "no", "no", "no", "1"]
    assert rows[1] == {
        "row": "2",
        "prediction": "no",
        "probability 1": "0.6",
        "probability no": "0.4",
    }
    said = capsys.readouterr().err.splitlines()
    exact = binomtest(2, 4).proportion_ci(0.9, "wilson")
    assert said == [
        "accuracy on 4 rows with a target: 50.0 % "
        f"(90 % interval {100 * exact.low:.1f} to {100 * exact.high:.1f})",
        "1 of these have a class that the model does not know",
    ]


def test_the_objective_is_said_beside_accuracy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(("a", "b"), "classification")
    outputs = [[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]]
    run(monkeypatch, "x,y\n1,a\n2,a\n3,b\n4,b\n", outputs, "auc")
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("accuracy on 4 rows with a target: 100.0 % (90 % interval 59.7")
    assert said[1].startswith("area under the ROC curve on 4 rows with a target: 100.0 % (90 %")


def test_labels_come_with_a_decision_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(("p", "q"), "multilabel", ("p", "q"), thresholds=(0.5, 0.2))
    rows = run(monkeypatch, "x,p,q\n1,1,0\n2,no,yes\n", [[0.9, 0.1], [0.4, 0.3]], "macro_f1")
    assert rows[1] == {
        "row": "2",
        "prediction p": "0",
        "probability p": "0.4",
        "prediction q": "1",
        "probability q": "0.3",
    }
    said = capsys.readouterr().err
    assert "accuracy on 2 rows with a target: 100.0 %" in said
    assert "macro F1 on 2 rows with a target: 100.0 %" in said


def test_quantities_come_with_their_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(("y",), "regression")
    rows = run(monkeypatch, "x,y\n1,1\n2,2\n3,?\n", [[4.0], [6.0], [9.5]], "rmse")
    assert rows[2] == {"row": "3", "prediction y": "9.5"}
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(
        "root mean squared error on 2 rows with a target: 3.536 y (90 % interval"
    )


def test_rows_without_a_target_are_predicted_in_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(("y",), "regression")
    assert len(run(monkeypatch, "x\n1\n2\n", [[4.0], [6.0]], "accuracy")) == 2
    assert capsys.readouterr().err == ""


def test_an_objective_of_another_task_is_told_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen(("y",), "regression")
    with pytest.raises(InputError, match="accuracy is not for regression"):
        run(monkeypatch, "x,y\n1,2\n", [[4.0]], "accuracy")
    assert not Path("out.csv").exists()


def test_a_label_is_no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen(("-1", "=cmd|' /C calc'!A0"), "classification")
    rows = run(monkeypatch, "x\n1\n2\n", [[0.9, 0.1], [0.1, 0.9]], "accuracy")
    assert [row["prediction"] for row in rows] == ["-1", "'=cmd|' /C calc'!A0"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("@a", "'@a"),
        ("+a", "'+a"),
        ("\ta", "'\ta"),
        ("\ra", "'\ra"),
        ("-a", "'-a"),
        ("+1.5", "+1.5"),
        ("a=b", "a=b"),
        ("", ""),
        (7, 7),
    ],
)
def test_formulas_are_made_harmless(value: Any, written: Any) -> None:
    assert predict.harmless(value) == written


def test_without_a_chosen_model_there_is_nothing_to_predict() -> None:
    with pytest.raises(InputError, match="No model is chosen yet"):
        predict.predict(Path("new.csv"), None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: accuracy", "metric: acuracy", "params.yaml: objective.metric: "),
        ("objective:", "objectives:", "params.yaml: objective: is missing"),
        ("level: 0.9", "level: 9", "params.yaml: evaluate.level: 9"),
        ("target: [y]", "target: y", "params.yaml: ingest.target: "),
    ],
)
def test_wrong_params_are_told(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    chosen(("a", "b"), "classification")
    assert old in PARAMS.replace("METRIC", "accuracy")
    monkeypatch.setattr(
        "tests.flows.test_predict.PARAMS", PARAMS.replace("METRIC", "accuracy").replace(old, new)
    )
    with pytest.raises(InputError, match=message):
        run(monkeypatch, "x,y\n1,a\n", [[0.8, 0.2]], "accuracy")
    assert not Path("out.csv").exists()


def test_notes_and_figures_do_nothing_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(("y\x1b[2J",), "regression", ("y\x1b[2J",))
    read = predict.read_arrivals

    def noted(*given: Any) -> Any:
        return replace(read(*given), notes=["\x1b[2J.png: left out: the file is empty"])

    monkeypatch.setattr(predict, "read_arrivals", noted)
    run(monkeypatch, "x,y\x1b[2J\n1,1\n2,2\n", [[4.0], [6.0]], "rmse")
    said = capsys.readouterr().err
    assert r"\x1b[2J.png: left out" in said
    assert r"3.536 y\x1b[2J" in said
    assert "\x1b" not in said


def test_new_data_are_not_written_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen(("a", "b"), "classification")
    run(monkeypatch, "x,y\n1,a\n", [[0.8, 0.2]], "accuracy")
    before = Path("new.csv").read_bytes()
    Path("link.csv").symlink_to("new.csv")
    for out in ("new.csv", "link.csv"):
        with pytest.raises(InputError, match="these are the new data"):
            predict.predict(Path("new.csv"), Path(out))
    assert Path("new.csv").read_bytes() == before
    with pytest.raises(InputError, match=r"lost\.csv"):
        predict.predict(Path("lost.csv"), Path("new.csv"))
