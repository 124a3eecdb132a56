import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn import metrics as reference

from dataset.target import Target
from metrics import objective as objectives
from metrics.objective import METRICS, Objective, all_figures, loss_for, plain_figures
from pipeline.errors import InputError
from tests.conftest import ROOT

CLASSES = Target(task="classification", names=("ill", "sound"), quantities=(), class_weights=())
THREE = CLASSES.model_copy(update={"names": ("a", "b", "c")})
LABELS = Target(task="multilabel", names=("x", "y", "z"), quantities=(), class_weights=())
QUANTITY = Target(task="regression", names=("price",), quantities=(), class_weights=())
QUANTITIES = QUANTITY.model_copy(update={"names": ("price", "rent")})
EVERY = (CLASSES, THREE, LABELS, QUANTITY, QUANTITIES)


def objective(metric, **options):
    return Objective.model_validate(
        {"metric": metric, "positive": None, "precision": 0.9, "quantile": 0.5} | options
    )


def made_up(target, n=60, seed=0):
    random = np.random.default_rng(seed)
    k = len(target.names)
    if target.task == "regression":
        truth = random.normal(size=(n, k)).astype(np.float32)
        return (truth + random.normal(size=(n, k))).astype(np.float32), truth
    if target.task == "multilabel":
        truth = (random.random((n, k)) < 0.5).astype(np.float32)
        return random.random((n, k)).astype(np.float32), truth
    truth = (np.arange(n) % k).astype(np.int32)
    values = random.random((n, k)) + np.eye(k)[truth] / 2
    return (values / values.sum(axis=1, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize("target", EVERY)
@pytest.mark.parametrize("name", get_args(objectives.Name))
def test_every_metric_measures_its_tasks_and_refuses_the_others(name, target):
    predictions, truth = made_up(target)
    if target.task in METRICS[name].tasks:
        metric = objective(name).metric_for(target)
        value = metric.score(predictions, truth, None)
        assert np.isfinite(value)
        assert metric.score(predictions, truth, np.full(60, 0.5, np.float32)) == pytest.approx(
            value
        )
        assert name in all_figures(target, objective(name), 10)
    else:
        with pytest.raises(InputError, match=rf"objective\.metric: {name} is not for") as caught:
            objective(name).metric_for(target)
        named = str(caught.value).split("Choose one of ")[1].rstrip(".").split(", ")
        assert named == [
            one for one in get_args(objectives.Name) if target.task in METRICS[one].tasks
        ]


def test_the_positive_class_is_the_last_or_the_one_that_is_named():
    predictions, truth = made_up(CLASSES)
    answers = predictions.argmax(axis=1)
    for positive, place in ((None, 1), ("ill", 0), ("sound", 1)):
        found = objective("recall", positive=positive).metric_for(CLASSES)
        expected = reference.recall_score(truth, answers, pos_label=place)
        assert found.score(predictions, truth, None) == pytest.approx(expected)
        assert found.reading.title == f"recall of {CLASSES.names[place]!r}"
        assert found.trials(truth, None) == 30


def test_a_class_that_is_not_there_is_refused_whatever_the_metric():
    with pytest.raises(InputError, match=r"'il'; did you mean 'ill'\?(.|\n)*'ill', 'sound'\."):
        objective("accuracy", positive="il").metric_for(CLASSES)
    with pytest.raises(InputError, match="regression has no classes"):
        objective("rmse", positive="ill").metric_for(QUANTITY)
    many = CLASSES.model_copy(update={"names": tuple(f"{at:04d}" for at in range(1000))})
    with pytest.raises(InputError) as caught:
        objective("recall", positive="x").metric_for(many)
    assert len(str(caught.value)) < 250


def test_what_the_examples_cannot_tell_is_said_and_a_diverged_fit_is_none_of_it():
    recall = objective("recall").metric_for(CLASSES)
    predictions, _ = made_up(CLASSES)
    nobody = np.zeros(60, dtype=np.int32)
    assert np.isnan(recall.value(predictions, nobody, None))
    with pytest.raises(InputError, match=r"recall of 'sound' cannot be measured on these 60"):
        recall.score(predictions, nobody, None)
    assert np.isnan(recall.score(np.full_like(predictions, np.nan), nobody, None))


def test_signs_and_units():
    for target in EVERY:
        for name, metric in all_figures(target, objective_of(target), 10).items():
            lower = name in ("log_loss", "ece", "rmse", "mae", "pinball")
            assert metric.sign == (-1 if lower else 1)
            assert metric.name == name
    assert objective("rmse").metric_for(QUANTITY).reading.unit == "price"
    assert objective("rmse").metric_for(QUANTITIES).reading.unit == "units"
    assert "mean over 2 targets" in objective("mae").metric_for(QUANTITIES).reading.title
    assert objective("r2").metric_for(QUANTITY).reading.unit == ""
    assert loss_for(QUANTITY).name == "rmse"
    assert loss_for(LABELS).reading.unit == "nats"
    title = objective("recall_at_precision", precision=0.95).metric_for(CLASSES).reading.title
    assert title == "recall of 'sound' at a precision of 95 % or more"


def objective_of(target):
    return objective("pinball" if target.task == "regression" else "accuracy")


def test_a_special_class_has_its_figures():
    assert {"recall", "precision"} <= set(all_figures(CLASSES, objective("accuracy"), 10))
    assert "recall" not in all_figures(THREE, objective("accuracy"), 10)
    assert {"recall", "precision"} <= set(all_figures(THREE, objective("recall_at_precision"), 10))
    assert set(plain_figures("regression")) == {"rmse", "mae", "r2"}
    assert "pinball" in all_figures(QUANTITY, objective("pinball"), 10)


def test_the_section_is_strict():
    for wrong in (
        {"metric": "f1"},
        {"precision": 90.0},
        {"quantile": 0.0},
        {"positive": 1},
        {"more": 1},
    ):
        with pytest.raises(ValidationError):
            objective(**{"metric": "recall"} | wrong)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, metrics.objective, metrics.threshold, models.judging.ledger, tasks.evaluate;"
        "print(sorted({'tensorflow', 'keras', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
