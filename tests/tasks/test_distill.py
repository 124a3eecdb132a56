import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset.ingest_settings import IngestParams
from models import archive, training
from models.budget import Budget
from models.candidate import Distilled, Trained
from models.distillation import student_size, students, teachers
from models.distillation.students import Lesson, StudentRun, Weights
from models.fitting import determinism
from models.networks import count, network
from models.training import predict
from pipeline.artifacts import Source
from pipeline.errors import InputError
from pipeline.params_file import read_raw
from tasks.distill import DistillParams, distill
from tests.conftest import ROOT
from tests.in_series import InSeries
from tests.models import small
from tests.tasks import left
from tests.tasks.handed import Handed

SMALL = {
    "enabled": True,
    "student": {"width": 3, "embedding": 3, "patience": 2},
    "size": {"parameters": None, "multiply_adds": None},
    "temperature": 4.0,
    "hard_weight": 0.1,
    "feature_weight": 0.0,
    "teacher": None,
    "unlabelled": None,
    "control": False,
    "int8": False,
    "seeds": [1],
}
INGEST = IngestParams.model_validate_json(json.dumps(read_raw(ROOT / "params.yaml")["ingest"]))
NONE = Source(Path())


def params(**changes):
    return DistillParams.model_validate_json(json.dumps(SMALL | changes))


def costs(*, budget=small.FREE, **changes):
    asked = {"distill": params(**changes), "recipe": small.RECIPE, "budget": budget}
    return distill.cost(asked)


class Asked(Handed):
    """Trains nothing, but asks the teacher and finds the size."""

    def _result(self, function, item):
        if isinstance(item, teachers.Teaching | student_size.Sizing):
            return function(item)
        return super()._result(function, item)


def candidate(folder, development, stage, predictions, **changes):
    """An untrained model, and one seed's validation predictions that it did not make."""
    trained = small.predecessor(folder, stage)
    trained.write_predictions(predictions[np.newaxis])
    data = training.encoded(str(development.path))
    determinism.start(1)
    spec = small.spec(**{"width": 8, "depth": 2, "text": "pool", "embedding": 4} | changes)
    target = data.target
    built = network.build(data.shape, target.outputs, spec, 1, data.layout, target.task)
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
    folder,
    development,
    first,
    second,
    metric,
    *,
    executor=None,
    budget=small.FREE,
    teacher=NONE,
    unlabelled=NONE,
    recipe=small.RECIPE,
    ingest=INGEST,
    **changes,
):
    """Between a baseline and a regularised network; the others are switched off."""
    out = Distilled.at(folder / "distill")
    distill.function(
        out=out,
        development=development,
        baseline=first,
        search=off(folder, "search"),
        regularize=second,
        finetune=off(folder, "finetune"),
        ensemble=off(folder, "ensemble"),
        teacher=teacher,
        unlabelled=unlabelled,
        objective=left.objective(metric),
        recipe=recipe,
        budget=budget,
        ingest=ingest,
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

    record = out.model.record()
    assert record.settings["teacher"] == "regularize"
    # Of quantities a teacher has no chances that could be softened.
    softened = development.target().task != "regression"
    assert record.settings["temperature"] == (4.0 if softened else None)
    assert ("at temperature 4" in record.summary) is softened
    left.check(out, development)


@pytest.mark.parametrize("data", ["regression", "multilabel"])
def test_without_labels_a_student_comes_to_say_what_its_teacher_says(tmp_path, data):
    """The teacher is untrained, so nothing but its outputs leads there."""
    development = left.DATA[data](tmp_path / "development")
    truth, _ = development.truth("validation")
    teacher = candidate(tmp_path, development, "baseline", truth)
    place, outputs = str(development.path), str(tmp_path / "teacher.npy")
    teachers.teach(teachers.Teaching(place, str(teacher.model), outputs))
    lesson = Lesson(Weights(2.0, 0.0, 0.0), outputs, None, None)
    # No patience: it would bring back what suits the labels best.
    settings = small.settings(learning_rate=0.03, batch_size=32, epochs=60, patience=None)
    spec = small.spec(width=16, depth=1, text="pool", embedding=4)

    run = students.learn(StudentRun(place, None, spec, settings, 1, "student", lesson=lesson))

    taught = predict(archive.load(teacher.model), development.validation())
    spread = np.abs(taught - taught.mean(axis=0)).mean(axis=0)
    assert (np.abs(run.predictions - taught).mean(axis=0) < 0.5 * spread).all()


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = Distilled.at(tmp_path / "distill")

    distill.function(
        out=out,
        development=None,
        baseline=None,
        search=None,
        regularize=None,
        finetune=None,
        ensemble=None,
        teacher=NONE,
        unlabelled=NONE,
        objective=None,
        recipe=small.RECIPE,
        budget=small.FREE,
        ingest=INGEST,
        params=params(enabled=False),
        executor=InSeries(),
    )

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert out.control.record().enabled is False
    assert out.int8.facts.read()["enabled"] is False
    assert "distill.enabled" in out.int8.facts.read()["reason"]
    assert costs(enabled=False).fits == 0


@pytest.mark.parametrize(
    ("epochs", "each", "control"), [(1, 1, False), (9, 4, False), (9, 2, True), (100, 30, False)]
)
def test_all_students_together_keep_to_the_budget(tmp_path, epochs, each, control):
    development = small.table(tmp_path / "development")
    teacher = small.predecessor(tmp_path, "baseline")
    teacher.write_predictions(certain(development, 30, 0.9)[np.newaxis])
    handed, budget = Handed(), Budget(epochs=epochs, minutes=10)
    asked = {
        "student": SMALL["student"] | {"epochs": 30},
        "seeds": [1, 2],
        "control": control,
        "int8": True,
    }

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
    both = [record, out.control.record()]
    assert record.fits == 2
    assert sum(one.fits for one in both) == cost.fits == (4 if control else 2)
    assert sum(one.epochs for one in both) == cost.fits * each <= cost.epochs
    assert cost.epochs <= max(epochs, cost.fits)
    names = ["distill seed 1", "distill seed 2"]
    names += ["distill control seed 1", "distill control seed 2"] if control else []
    assert handed.epochs == {name: [each] for name in names}
    assert handed.minutes == {10 / cost.fits}
    assert record.settings["epochs"] == each


def test_the_clock_ends_a_student_s_fit(tmp_path, monkeypatch):
    from models.fitting import fit

    seconds = iter(range(0, 10**7, 3600))
    monkeypatch.setattr(fit, "monotonic", lambda: next(seconds))
    development = small.table(tmp_path / "development")
    outputs = tmp_path / "teacher.npy"
    np.save(outputs, np.zeros((120, 2), np.float32), allow_pickle=False)
    settings, place = small.settings(epochs=9), str(development.path)
    lesson = Lesson(Weights(2.0, 0.5, 0.0), str(outputs), None, None)

    run = students.learn(
        StudentRun(place, None, small.SPEC, settings, 1, "student", lesson=lesson, minutes=1)
    )

    assert (run.epochs, run.lasting) == (1, False)


def test_what_the_clock_may_change_is_in_the_plan():
    timed = Budget(epochs=None, minutes=5)
    assert "clock" in distill.caution({"distill": params(), "budget": timed})
    assert distill.caution({"distill": params(enabled=False), "budget": timed}) is None


def pair(folder, development):
    """Two candidates for `distilled`, of which the second is the better one."""
    told = [certain(development, right, 0.9) for right in (25, 30)]
    stages = ("baseline", "regularize")
    return [candidate(folder, development, *one) for one in zip(stages, told, strict=True)]


def test_the_control_is_the_same_student_without_its_teacher(tmp_path):
    development = small.table(tmp_path / "development")
    first, second = pair(tmp_path, development)

    out = distilled(tmp_path, development, first, second, "accuracy", control=True, seeds=[2, 1])

    student, control = out.model.record(), out.control.record()
    assert (control.stage, control.seeds, control.saved_seed) == ("control", (2, 1), None)
    assert control.parameters == student.parameters
    assert (control.fits, student.fits) == (2, 2)
    assert costs(control=True, seeds=[2, 1]).fits == 4
    assert sorted(path.name for path in out.control.path.iterdir()) == [
        "fits.csv",
        "predictions.npz",
        "record.json",
    ]
    told = out.control.predictions()
    assert told.shape == out.model.predictions().shape
    assert (told != out.model.predictions()).any()
    assert out.control.fits.read()["seed"].unique().tolist() == [2, 1]
    assert "on the labels alone" in control.summary


def test_a_student_is_as_wide_as_its_share_of_the_teacher_allows(tmp_path):
    development = small.table(tmp_path / "development")
    first, second = pair(tmp_path, development)
    teacher = archive.load(second.model).get_layer("network")
    wide, share = {"student": {"width": 50, "depth": 1}}, {"parameters": 0.5, "multiply_adds": 0.4}

    handed = Asked()

    out = distilled(
        tmp_path, development, first, second, "accuracy", executor=handed, size=share, **wide
    )

    record, [fit] = out.model.record(), handed.fits
    data = training.encoded(str(development.path))

    def costs_of(width):
        determinism.start(1)
        built = network.build(data.shape, 2, small.spec(width=width), seed=1)
        return count.parameters(built), count.multiply_adds(built)

    allowed = 0.5 * count.parameters(teacher), 0.4 * count.multiply_adds(teacher)
    width = record.settings["width"]
    assert 1 < width < 50
    assert fit.spec.width == width
    assert all(cost <= most for cost, most in zip(costs_of(width), allowed, strict=True))
    assert any(cost > most for cost, most in zip(costs_of(width + 1), allowed, strict=True))
    assert (
        f"Width {width} is the largest with at most 50 % of the teacher's parameters and 40 % of "
        "the teacher's multiply-adds." in record.summary
    )


def test_where_no_student_is_small_enough_it_is_said_what_would_do(tmp_path):
    development = small.texts(tmp_path / "development")
    first, second = (
        candidate(tmp_path, development, stage, certain(development, right, 0.9), embedding=16)
        for stage, right in (("baseline", 40), ("regularize", 50))
    )
    vectors = {"embedding": 8, "depth": 2, "numbers": "piecewise"}

    def asked(share, student):
        size = {"parameters": share, "multiply_adds": None}
        given = {"executor": Asked(), "size": size, "student": student}
        return distilled(tmp_path, development, first, second, "accuracy", **given)

    with pytest.raises(InputError) as raised:
        asked(0.05, vectors)
    told = str(raised.value).splitlines()
    assert told[0].startswith("params.yaml: distill.size: parameters: 0.05: even with width 1 the ")
    assert "distill.student:" in told[1]
    assert "embedding: 4" in told[1]
    assert "numbers: plain" in told[1]
    # The share that it names is enough.
    share = float(told[1].split("parameters: ")[1].split(",")[0])
    out = asked(share, vectors)
    assert out.model.record().settings["width"] == 1
    # One that costs more than its teacher whatever its width has no share to be given.
    with pytest.raises(InputError) as raised:
        asked(1.0, {"embedding": 128})
    assert "What would do: make it smaller by one of distill.student: embedding: 64; or set" in (
        str(raised.value)
    )


def test_a_teacher_of_one_s_own_stays_as_it_is(tmp_path):
    development = small.table(tmp_path / "development")
    place = str(development.path)
    training.train(
        training.SeedRun(
            place, str(tmp_path), small.spec(width=16), small.settings(epochs=20), 1, "teacher"
        )
    )
    given = tmp_path / "own.keras"
    shutil.copy(tmp_path / "seed-1.keras", given)
    given.chmod(0o444)
    before = given.read_bytes(), given.stat().st_mtime_ns
    first, second = pair(tmp_path, development)

    out = distilled(
        tmp_path, development, first, second, "accuracy", teacher=Source(given), feature_weight=1.0
    )

    assert (given.read_bytes(), given.stat().st_mtime_ns) == before
    record = out.model.record()
    assert record.settings["teacher"] == "own.keras"
    assert "taught by own.keras" in record.summary
    left.check(out, development)


def test_unlabelled_examples_are_learned_from(tmp_path):
    development = small.table(tmp_path / "development")
    first, second = pair(tmp_path, development)
    path = tmp_path / "more.csv"
    lines = [f"{at / 10 - 2},{'red' if at % 3 else 'n/a'}" for at in range(40)]
    path.write_text("\n".join(["number,COLOUR", "none,green", *lines]) + "\n")
    ingest = INGEST.model_copy(update={"missing": ("n/a",), "missing_in": {"number": ("none",)}})
    given = {"unlabelled": Source(path), "ingest": ingest, "control": True}

    out = distilled(tmp_path, development, first, second, "accuracy", **given)

    record, control = out.model.record(), out.control.record()
    assert record.settings["unlabelled"] == 41
    assert "It also learned from 41 examples without a label." in record.summary
    assert record.examples == record.epochs * (120 + 41)
    assert control.examples == control.epochs * 120
    left.check(out, development)
    # Without labels to learn from, they are no different from others.
    path.write_text("number,COLOUR,label\n1.0,red,nobody knows\n")
    given["executor"] = Asked()
    again = distilled(tmp_path, development, first, second, "accuracy", **given)
    assert again.model.record().settings["unlabelled"] == 1
    path.write_text("number\n1.0\n")
    with pytest.raises(InputError, match="COLOUR"):
        distilled(tmp_path, development, first, second, "accuracy", **given)


def test_no_hint_is_given_where_there_is_none(tmp_path):
    development = small.table(tmp_path / "development")
    first, second = pair(tmp_path, development)
    asked = {"feature_weight": 1.0, "student": {"architecture": "tabm", "members": 2}}
    with pytest.raises(InputError, match="architecture: tabm"):
        distilled(tmp_path, development, first, second, "accuracy", **asked)
    many = candidate(
        tmp_path,
        development,
        "regularize",
        certain(development, 30, 0.9),
        architecture="tabm",
        members=2,
    )
    with pytest.raises(InputError, match="no single hidden vector"):
        distilled(tmp_path, development, first, many, "accuracy", feature_weight=1.0)


def test_mixtures_are_for_no_student(tmp_path):
    development = small.table(tmp_path / "development")
    first, second = pair(tmp_path, development)
    asked = {"recipe": small.RECIPE.changed({"mixup": 0.5}), "control": True}
    handed = Handed()
    distilled(tmp_path, development, first, second, "accuracy", executor=handed, **asked)
    assert [item.settings.mixup for item in handed.fits] == [0.0, 0.0]
