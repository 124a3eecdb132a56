"""From runs of several seeds to a candidate's files; no network is trained."""

import json

import numpy as np
import pytest

from metrics import scores
from models import results
from models.candidate import Candidate
from models.fitting.curves import Line
from models.training import Run
from pipeline.errors import FettleError
from tests.models import small

SETTINGS = {"learning_rate": 0.5, "width": 4}


def run(development, seed, *, loss, epochs=2, shift=0.0, phase="train", diverged=False):
    """Quantities that lie `shift` beside the truth, or labels and classes that are nearly sure."""
    truth, _ = development.truth("validation")
    task, outputs = development.target().task, development.target().outputs
    if task == "classification":
        told = scores.softmax(np.eye(outputs, dtype=np.float32)[truth] * (1 - shift))
    else:
        told = np.abs(truth - shift) if task == "multilabel" else truth + shift
    lines = tuple(
        Line(epoch, loss, None, loss, None, 0.5, phase, seed) for epoch in range(1, epochs + 1)
    )
    return Run(seed, (lines,), told.astype(np.float32), loss, 10, 20, 7 * epochs, diverged)


def gathered(folder, development, runs, before=()):
    out = Candidate.at(folder)
    for one in runs:
        (out.model.make() / f"seed-{one.seed}.keras").write_text(f"model {one.seed}")
    results.gather(
        out,
        runs,
        stage="baseline",
        summary="for a test",
        settings=SETTINGS,
        development=development,
        before=before,
    )
    return out


@pytest.fixture(scope="module")
def quantities(tmp_path_factory):
    return small.several(tmp_path_factory.mktemp("quantities"), "regression")


def test_the_model_with_the_lowest_loss_stays_and_the_others_go(quantities, tmp_path):
    runs = [run(quantities, seed, loss=loss) for seed, loss in ((5, 0.3), (6, 0.1), (7, 0.2))]

    out = gathered(tmp_path, quantities, runs)

    assert out.model.model.read_text() == "model 6"
    assert out.model.record().saved_seed == 6
    assert sorted(path.suffix for path in out.model.path.iterdir()) == [
        ".csv",
        ".json",
        ".keras",
        ".npz",
    ]


def test_figures_are_means_over_the_seeds_in_the_target_s_unit(quantities, tmp_path):
    runs = [run(quantities, 1, loss=0.2, shift=2.0), run(quantities, 2, loss=0.4, shift=-1.0)]

    told = gathered(tmp_path, quantities, runs).metrics.read()["validation"]

    # The third target never varies, so nothing can be said of R².
    assert told == pytest.approx({"rmse": 1.5, "mae": 1.5, "loss": 0.3}, rel=1e-5)


def test_an_important_example_counts_more(tmp_path):
    labels = small.several(tmp_path / "development", "multilabel")
    truth, importance = labels.truth("validation")
    told = run(labels, 1, loss=0.1)
    wrong = importance == 2
    told.predictions[wrong] = 1 - truth[wrong]

    found = gathered(tmp_path / "out", labels, [told]).metrics.read()["validation"]

    expected = float((importance == 1).sum() / importance.sum())
    assert expected != pytest.approx((importance == 1).mean(), abs=0.05)
    assert found["accuracy"] == pytest.approx(expected)
    assert found["exact_match"] == pytest.approx(expected)


def test_what_led_there_counts_in_the_costs_alone(quantities, tmp_path):
    trial = run(quantities, 9, loss=0.01, epochs=5, shift=9.0, phase="trial")
    runs = [run(quantities, 1, loss=0.2), run(quantities, 2, loss=0.4, epochs=3)]

    out = gathered(tmp_path, quantities, runs, before=[trial])

    record, fits, curves = out.model.record(), out.model.fits.read(), out.curves.read()
    assert (record.fits, record.epochs, record.examples) == (3, 10, 70)
    assert record.seeds == (1, 2)
    assert fits.groupby("fit")["phase"].first().tolist() == ["trial", "train", "train"]
    # In the third epoch only one seed is left.
    assert curves["epoch"].tolist() == [1, 2, 3]
    assert curves["val_loss"].tolist() == pytest.approx([0.3, 0.3, 0.4])
    assert out.model.predictions().shape == (2, 60, 3)
    assert out.metrics.read()["validation"]["mae"] == 0


def test_classes_get_the_figures_of_classes(tmp_path):
    table = small.table(tmp_path / "development")

    found = gathered(tmp_path / "out", table, [run(table, 1, loss=0.1)])

    told = found.metrics.read()["validation"]
    names = {"accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss", "loss"}
    assert set(told) == names
    assert (told["accuracy"], told["auc"]) == (1, 1)
    assert told["log_loss"] == pytest.approx(np.log(1 + np.exp(-1)), rel=1e-5)
    json.dumps(told, allow_nan=False)


def test_a_run_that_diverged_leaves_nothing(quantities, tmp_path):
    runs = [run(quantities, 1, loss=0.2), run(quantities, 2, loss=0.1, diverged=True)]

    with pytest.raises(FettleError, match=r"seed 2 diverged in epoch 2.*learning_rate 0\.5"):
        gathered(tmp_path, quantities, runs)

    assert not (tmp_path / "model" / "record.json").exists()
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize("off", [(), ("regularize",), ("regularize", "search")])
def test_the_latest_is_the_first_that_is_switched_on(tmp_path, off):
    story = ["regularize", "search", "baseline"]
    candidates = [small.predecessor(tmp_path, stage, enabled=stage not in off) for stage in story]

    assert results.latest(*candidates).stage == story[len(off)]
