import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from models.evaluation import Details, Evaluation
from models.examples import Holdout
from pipeline.errors import InputError
from tasks.evaluate import EvaluateParams, evaluate
from tests.tasks import candidates

PARAMS = EvaluateParams(replicates=400, level=0.95, seed=1, tolerance=0.01, bins=10)
BETTER = {
    "linear": 0.80,
    "baseline": 0.85,
    "search": 0.90,
    "regularize": 0.90,
    "finetune": 0.93,
    "distill": 0.9275,
}


def run(made, folder, params=PARAMS):
    out = Evaluation.at(folder)
    evaluate.function(out, **made.evaluate_inputs(), params=params)
    return out


def ledger(out):
    return out.ledger.read().set_index("candidate")


@pytest.fixture
def fake_models(monkeypatch):
    """Predictions by the model file's content: each network's own luck on the holdout."""
    asked = []

    def predict(model, examples, seed):
        name = model.read_text()
        asked.append(name)
        classes = sorted(set(examples.labels))
        right = {"baseline": 0.85}.get(name, 0.92)
        return candidates.probabilities(examples.codes(classes), classes, right)

    monkeypatch.setattr("tasks.evaluate._predict", predict)
    return asked


def test_the_ledger_walks_the_story(tmp_path, fake_models):
    made = candidates.make(tmp_path / "in", BETTER)
    rows = ledger(run(made, tmp_path / "out"))
    assert list(rows.index) == ["majority", "linear", *candidates.STORY]
    assert list(rows["decision"]) == [
        "yardstick",
        "yardstick",
        "kept",
        "kept",
        "left out",
        "kept",
        "chosen",
    ]
    # The reference is the incumbent, not the stage before.
    assert list(rows["reference"].fillna("")) == [
        "",
        "majority",
        "linear",
        "baseline",
        "search",
        "search",
        "finetune",
    ]
    assert rows.loc["search", "accuracy"] == pytest.approx(0.90)
    assert rows.loc["search", "difference"] == pytest.approx(0.05)
    assert 0 < rows.loc["search", "difference_low"] < 0.05 < rows.loc["search", "difference_high"]
    assert rows.loc["majority", "accuracy"] == pytest.approx(1 / 3, abs=0.01)
    assert "gain over the linear model is proven" in rows.loc["baseline", "reason"]
    assert "No gain over search: +0.00" in rows.loc["regularize", "reason"]
    assert "Gain over search proven: +3.00 percentage points" in rows.loc["finetune", "reason"]
    assert "4,000 multiply-adds an example against 40,000" in rows.loc["distill", "reason"]
    assert rows.loc["distill", "parameters"] == 4100
    assert rows.loc["distill", ["fits", "epochs", "examples"]].tolist() == [2, 40, 16000]


@pytest.mark.parametrize(
    ("distill", "decision", "words"),
    [
        (0.93, "chosen", "loses at most 0.00 percentage points"),
        (0.88, "left out", "may lose"),
        (0.99, "chosen", "Gain over finetune proven"),
    ],
)
def test_a_cheaper_candidate_may_lose_the_tolerance(
    tmp_path, fake_models, distill, decision, words
):
    made = candidates.make(tmp_path / "in", {**BETTER, "distill": distill})
    row = ledger(run(made, tmp_path / "out")).loc["distill"]
    assert row["decision"] == decision
    assert words in row["reason"]


def test_the_tolerance_decides(tmp_path, fake_models):
    made = candidates.make(tmp_path / "in", BETTER)
    strict = PARAMS.model_copy(update={"tolerance": 0.001})
    assert ledger(run(made, tmp_path / "out", strict)).loc["distill", "decision"] == "left out"
    assert ledger(run(made, tmp_path / "out")).loc["distill", "decision"] == "chosen"


def test_switched_off_stages_have_rows_without_figures(tmp_path, fake_models):
    made = candidates.make(tmp_path / "in", BETTER, off=("search", "finetune", "distill"))
    out = run(made, tmp_path / "out")
    rows = ledger(out)
    off = rows.loc[["search", "finetune", "distill"]]
    assert (off["decision"] == "off").all()
    assert off.drop(columns=["decision", "reason"]).isna().all(axis=None)
    assert rows.loc["regularize", "reference"] == "baseline"
    assert out.chosen.choice().candidate == "regularize"
    # Whole numbers stay whole beside empty cells.
    assert ",40100,40000,2,40,16000," in out.ledger.path.read_text()


def test_a_network_no_better_than_the_linear_model_is_said_to_be_so(tmp_path, fake_models):
    same = dict.fromkeys(BETTER, 0.85)
    made = candidates.make(tmp_path / "in", same, off=("distill",))
    rows = ledger(run(made, tmp_path / "out"))
    assert rows.loc["baseline", "decision"] == "chosen"
    assert "not proven" in rows.loc["baseline", "reason"]
    worse = candidates.make(tmp_path / "worse", {**same, "linear": 0.95}, off=("distill",))
    rows = ledger(run(worse, tmp_path / "out2"))
    assert "less accurate than the linear model" in rows.loc["baseline", "reason"]


def test_the_holdout_is_opened_after_the_choice_is_written(tmp_path, fake_models, monkeypatch):
    made = candidates.make(tmp_path / "in", BETTER)
    out = Evaluation.at(tmp_path / "out")
    seen = []
    read = Holdout.read

    def spy(self):
        seen.append(sorted(path.name for path in (tmp_path / "out").rglob("*.*")))
        return read(self)

    monkeypatch.setattr(Holdout, "read", spy)
    evaluate.function(out, **made.evaluate_inputs(), params=PARAMS)
    assert seen == [["choice.json", "classes.json", "ledger.csv", "model.keras", "schema.json"]]


def test_without_a_choice_the_holdout_stays_sealed(tmp_path, fake_models):
    made = candidates.make(tmp_path / "in", BETTER)
    shutil.rmtree(made.holdout.path)
    with pytest.raises(FileNotFoundError):
        run(made, tmp_path / "out")
    assert (tmp_path / "out" / "ledger.csv").is_file()
    assert fake_models == []
    # The choice fails: nothing asks for the (absent) holdout.
    (made.distill.model.path / "predictions.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions\.npz"):
        run(made, tmp_path / "out2")


def test_metrics_of_chosen_and_baseline_with_intervals(tmp_path, fake_models, caplog):
    made = candidates.make(tmp_path / "in", BETTER)
    with caplog.at_level(logging.INFO, logger="fettle"):
        out = run(made, tmp_path / "out")
    figures = json.loads(out.metrics.path.read_text())
    assert figures["n"] == 200
    names = {"accuracy", "log_loss", "balanced_accuracy", "macro_f1", "auc", "ece"}
    for model in ("chosen", "baseline"):
        assert set(figures[model]) == names
        for one in [*figures[model].values(), *figures["recall"][model].values()]:
            assert one["low"] <= one["value"] <= one["high"]
    assert set(figures["recall"]["chosen"]) == {"0", "1", "2"}
    accuracy = figures["chosen"]["accuracy"]
    assert accuracy["value"] == pytest.approx(0.92, abs=0.005)
    assert figures["baseline"]["accuracy"]["value"] == pytest.approx(0.85, abs=0.005)
    [message] = caplog.messages
    assert (
        f"distill; on the 200 holdout examples its accuracy is {100 * accuracy['value']:.1f} %"
        in (message)
    )
    table = out.confusion.read()
    assert len(table) == 200
    assert (table["actual"] == table["predicted"]).mean() == pytest.approx(accuracy["value"])
    details = Details.read(out.details)
    assert np.trace(details.confusion) == round(200 * accuracy["value"])
    assert sum(one["examples"] for one in details.calibration["chosen"]) == 200


def test_a_chosen_baseline_is_asked_once(tmp_path, fake_models):
    made = candidates.make(tmp_path / "in", BETTER, off=candidates.STORY[1:])
    figures = json.loads(run(made, tmp_path / "out").metrics.path.read_text())
    assert fake_models == ["baseline"]
    assert figures["chosen"] == figures["baseline"]


def test_classes_that_training_never_saw_are_refused(tmp_path, fake_models):
    made = candidates.make(tmp_path / "in", BETTER)
    examples = made.holdout.read()
    examples.labels[3] = "<new>"
    made.holdout.write(examples, made.development.schema())
    with pytest.raises(InputError, match=r"the holdout part holds 1 class.*'<new>'"):
        run(made, tmp_path / "out")


def test_a_class_without_holdout_examples_has_no_recall(tmp_path, fake_models, monkeypatch):
    made = candidates.make(tmp_path / "in", BETTER)
    examples = made.holdout.read()
    kept = examples.take(np.flatnonzero(examples.labels != "2"))
    made.holdout.write(kept, made.development.schema())

    def predict(model, examples, seed):
        codes = examples.codes(made.classes)
        return candidates.probabilities(codes, made.classes, 0.9)

    monkeypatch.setattr("tasks.evaluate._predict", predict)
    figures = json.loads(run(made, tmp_path / "out").metrics.path.read_text())
    assert set(figures["recall"]["chosen"]) == {"0", "1"}


# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2.4 discourages.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_bytes_are_equal_on_two_runs_with_real_models(tmp_path):
    made = candidates.make(tmp_path / "in", BETTER, save=save_model)
    one, two = run(made, tmp_path / "one"), run(made, tmp_path / "two")
    first, second = (
        {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert first == second
    assert one.chosen.model.read_bytes() == made.distill.model.model.read_bytes()
    assert one.chosen.classes() == made.classes
    assert one.chosen.schema() == made.development.schema()
    assert pd.notna(two.ledger.read()["reason"]).all()


def save_model(path, classes):
    """A real, untrained model of the two features, in the canonical form."""
    import keras

    from models import archive, determinism

    determinism.start(1)
    inputs = {name: keras.Input((), dtype="float32", name=name) for name in ("x", "y")}
    both = keras.ops.stack([inputs["x"], inputs["y"]], axis=1)
    output = keras.layers.Dense(len(classes), activation="softmax", name="probabilities")(both)
    archive.save(keras.Model(inputs, output), path)


def test_params_are_strict():
    given = {"replicates": 1000, "level": 0.95, "seed": 1, "tolerance": 0.01, "bins": 10}
    assert EvaluateParams.model_validate_json(json.dumps(given))
    for wrong in ({"level": 95}, {"tolerance": -0.1}, {"replicates": "1000"}, {"more": 1}):
        with pytest.raises(ValidationError):
            EvaluateParams.model_validate_json(json.dumps(given | wrong))
