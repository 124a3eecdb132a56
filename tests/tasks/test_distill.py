import hashlib
import json

import numpy as np
import pytest

from models import archive, determinism, distillation, network, training
from models.budget import Budget
from models.candidate import Candidate, Trained
from models.training import predict
from pipeline.executor import InSeries
from tasks.distill import DistillParams, distill
from tests.models import small
from tests.tasks import left
from tests.tasks.handed import Handed

SMALL = {
    "enabled": True,
    "student": {"width": 3, "embedding": 3, "patience": 2},
    "temperature": 4.0,
    "hard_weight": 0.1,
    "seeds": [1],
}


def params(**changes):
    return DistillParams.model_validate_json(json.dumps(SMALL | changes))


def costs(*, budget=small.FREE, **changes):
    asked = {"distill": params(**changes), "recipe": small.RECIPE, "budget": budget}
    return distill.cost(asked)


def candidate(folder, development, stage, predictions):
    """An untrained model, and one seed's validation predictions that it did not make."""
    trained = small.predecessor(folder, stage)
    trained.write_predictions(predictions[np.newaxis])
    data = training.encoded(str(development.path))
    determinism.start(1)
    spec = small.spec(width=8, depth=2, text="pool", embedding=4)
    built = network.build(data.shape, data.target.outputs, spec, seed=1, layout=data.layout)
    archive.save(network.assemble(data.encoder(), built, data.target), trained.model)
    return trained


def certain(development, right, certainty):
    """Probabilities of two classes, right for the given number of examples."""
    codes, _ = development.truth("validation")
    shown = np.where(np.arange(len(codes)) < right, codes, 1 - codes)
    probabilities = np.full((len(codes), 2), 1 - certainty, dtype=np.float32)
    probabilities[np.arange(len(codes)), shown] = certainty
    return probabilities


def distilled(
    folder, development, first, second, metric, *, executor=None, budget=small.FREE, **changes
):
    """Between a baseline and a regularised network; the others are switched off."""
    out = Candidate.at(folder / "distill")
    distill.function(
        out=out,
        development=development,
        baseline=first,
        search=off(folder, "search"),
        regularize=second,
        finetune=off(folder, "finetune"),
        ensemble=off(folder, "ensemble"),
        objective=left.objective(metric),
        recipe=small.RECIPE,
        budget=budget,
        params=params(**changes),
        executor=executor or InSeries(),
    )
    return out


def off(folder, stage) -> Trained:
    return small.predecessor(folder, stage, enabled=False)


@pytest.mark.parametrize(
    ("metric", "rights", "certainties", "teacher"),
    [
        ("accuracy", (30, 35), (0.9, 0.9), "regularize"),
        # Equally often right: the first, however certain.
        ("accuracy", (35, 35), (0.8, 0.9), "baseline"),
        # Of a lower-better objective the lowest, though it is not as often right.
        ("log_loss", (35, 34), (0.99, 0.8), "regularize"),
    ],
)
def test_the_best_candidate_teaches_and_stays_as_it_is(
    tmp_path, metric, rights, certainties, teacher
):
    development = small.table(tmp_path / "development")
    first, second = (
        candidate(tmp_path, development, stage, certain(development, right, certainty))
        for stage, right, certainty in zip(
            ("baseline", "regularize"), rights, certainties, strict=True
        )
    )
    before = hashlib.sha256(first.model.read_bytes() + second.model.read_bytes()).hexdigest()

    out = distilled(tmp_path, development, first, second, metric)

    record = out.model.record()
    assert record.settings["teacher"] == teacher
    assert record.fits == costs().fits == 1
    assert out.model.fits.read()["phase"].unique().tolist() == ["distil"]
    after = hashlib.sha256(first.model.read_bytes() + second.model.read_bytes()).hexdigest()
    assert before == after
    left.check(out, development)


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_data_is_distilled_from_the_best(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")
    truth, _ = development.truth("validation")
    if data == "texts":
        good, bad = (certain(development, right, 0.9) for right in (55, 30))
    elif data == "multilabel":
        good, bad = (np.where(truth > 0.5, sure, 1 - sure) for sure in (0.9, 0.1))
    else:
        good, bad = truth + 1, truth + 2

    out = distilled(
        tmp_path,
        development,
        candidate(tmp_path, development, "baseline", bad),
        candidate(tmp_path, development, "regularize", good),
        left.METRIC[data],
        student=SMALL["student"] | {"epochs": 6, "patience": 6},
    )

    assert out.model.record().settings["teacher"] == "regularize"
    left.check(out, development)


@pytest.mark.parametrize("data", ["regression", "multilabel"])
def test_without_labels_a_student_comes_to_say_what_its_teacher_says(tmp_path, data):
    """The teacher is untrained, so nothing but its outputs leads there."""
    development = left.DATA[data](tmp_path / "development")
    truth, _ = development.truth("validation")
    teacher = candidate(tmp_path, development, "baseline", truth)
    place, logits = str(development.path), str(tmp_path / "teacher.npy")
    distillation.teach(distillation.Teaching(place, str(teacher.model), logits))
    # No patience: it would bring back what suits the labels best.
    settings = small.settings(learning_rate=0.03, batch_size=32, epochs=60, patience=None)
    spec = small.spec(width=16, depth=1, text="pool", embedding=4)

    run = distillation.learn(
        distillation.StudentRun(place, None, spec, settings, 1, "student", logits, 2.0, 0.0)
    )

    taught = predict(archive.load(teacher.model), development.validation())
    spread = np.abs(taught - taught.mean(axis=0)).mean(axis=0)
    assert (np.abs(run.predictions - taught).mean(axis=0) < 0.5 * spread).all()


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = Candidate.at(tmp_path / "distill")

    distill.function(
        out=out,
        development=None,
        baseline=None,
        search=None,
        regularize=None,
        finetune=None,
        ensemble=None,
        objective=None,
        recipe=small.RECIPE,
        budget=small.FREE,
        params=params(enabled=False),
        executor=InSeries(),
    )

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert costs(enabled=False).fits == 0


@pytest.mark.parametrize(("epochs", "each"), [(1, 1), (9, 4), (100, 30)])
def test_all_students_together_keep_to_the_budget(tmp_path, epochs, each):
    development = small.table(tmp_path / "development")
    teacher = small.predecessor(tmp_path, "baseline")
    teacher.write_predictions(certain(development, 30, 0.9)[np.newaxis])
    handed, budget = Handed(), Budget(epochs=epochs, minutes=10)
    asked = {"student": SMALL["student"] | {"epochs": 30}, "seeds": [1, 2]}

    out = distilled(
        tmp_path,
        development,
        teacher,
        off(tmp_path, "regularize"),
        "accuracy",
        executor=handed,
        budget=budget,
        **asked,
    )

    record, cost = out.model.record(), costs(budget=budget, **asked)
    assert record.fits == cost.fits == 2
    assert record.epochs == 2 * each <= cost.epochs <= max(epochs, 2)
    assert handed.epochs == {"distill seed 1": [each], "distill seed 2": [each]}
    assert handed.minutes == {5}
    assert record.settings["epochs"] == each


def test_the_clock_ends_a_student_s_fit(tmp_path, monkeypatch):
    from models import fit

    seconds = iter(range(0, 10**7, 3600))
    monkeypatch.setattr(fit, "monotonic", lambda: next(seconds))
    development = small.table(tmp_path / "development")
    logits = tmp_path / "teacher.npy"
    np.save(logits, np.zeros((120, 2), np.float32), allow_pickle=False)
    settings = small.settings(epochs=9)

    run = distillation.learn(
        distillation.StudentRun(
            str(development.path),
            None,
            small.SPEC,
            settings,
            1,
            "student",
            str(logits),
            2.0,
            0.5,
            minutes=1,
        )
    )

    assert (run.epochs, run.lasting) == (1, False)


def test_what_the_clock_may_change_is_in_the_plan():
    timed = Budget(epochs=None, minutes=5)
    assert "clock" in distill.caution({"distill": params(), "budget": timed})
    assert distill.caution({"distill": params(enabled=False), "budget": timed}) is None
