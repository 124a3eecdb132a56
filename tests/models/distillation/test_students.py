from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, log_softmax, rel_entr, softmax

from models import archive, training
from models.distillation import students, teachers
from models.distillation.students import Columns, Lesson, StudentRun, Weights
from models.fitting import determinism
from models.training import SeedRun
from tests.models import small

GENERATOR = np.random.default_rng(0)
TEACHER = GENERATOR.normal(0, 3, (6, 4)).astype(np.float32)
STUDENT = GENERATOR.normal(0, 3, (6, 4)).astype(np.float32)
CODES = np.array([0, 1, 2, 3, 0, 1], dtype=np.int32)
CLASSES = Columns(codes=1, labelled=1.0, outputs=4, hints=0)


def target_of(task, folder):
    development = small.table(folder) if task == "classification" else small.several(folder, task)
    target = development.target()
    names = target.names if task == "classification" else ("a", "b", "c", "d")
    quantities = target.quantities and (*target.quantities, target.quantities[0])
    names = ("a", "b", "c", "d") if task == "classification" else names
    return target.model_copy(update={"names": names, "quantities": quantities})


@pytest.fixture(scope="session")
def targets(tmp_path_factory):
    determinism.start(1)
    folder = tmp_path_factory.mktemp("targets")
    tasks = ("classification", "multilabel", "regression")
    return {task: target_of(task, folder / task) for task in tasks}


def loss(
    target,
    temperature=4.0,
    hard=0.1,
    feature=0.0,
    teacher=TEACHER,
    student=STUDENT,
    codes=CODES,
    hints=None,
    **settings,
):
    """By a criterion of four outputs; the first examples have codes, the rest are unlabelled."""
    columns = Columns(
        1 if target.task == "classification" else 4,
        len(codes) / len(teacher),
        4,
        0 if hints is None else hints.shape[1],
    )
    weights = Weights(temperature, hard, feature)
    one = students.criterion(target, small.settings(**settings), weights, columns)
    return np.asarray(one.loss(students.targets(codes, columns, teacher, hints), student))


def hinton(temperature, hard):
    """By SciPy."""
    own = -log_softmax(STUDENT.astype(np.float64), axis=1)[np.arange(6), CODES]
    soft = rel_entr(
        softmax(TEACHER.astype(np.float64) / temperature, axis=1),
        softmax(STUDENT.astype(np.float64) / temperature, axis=1),
    ).sum(axis=1)
    return hard * own + (1 - hard) * temperature**2 * soft


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
def test_it_is_hintons_loss(targets, temperature, hard):
    found = loss(targets["classification"], temperature, hard)
    np.testing.assert_allclose(found, hinton(temperature, hard), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_it_is_that_of_keras_with_a_divergence_and_not_its_default(targets, temperature):
    import keras

    found = float(loss(targets["classification"], temperature, hard=0.0).mean())
    logits = keras.ops.convert_to_tensor(TEACHER), keras.ops.convert_to_tensor(STUDENT)
    divergence = keras.distillation.LogitsDistillation(
        temperature=temperature, loss=keras.losses.KLDivergence()
    )
    assert float(divergence.compute_loss(*logits)) == pytest.approx(found, rel=1e-3)
    # By default it neither takes the softmax nor the square of the temperature.
    default = keras.distillation.LogitsDistillation(temperature=temperature)
    assert float(default.compute_loss(*logits)) != pytest.approx(found, rel=0.1)


def test_without_hard_weight_labels_do_not_matter(targets):
    target = targets["classification"]
    np.testing.assert_array_equal(
        loss(target, hard=0.0), loss(target, hard=0.0, codes=CODES[::-1].copy())
    )


def test_with_hard_weight_alone_the_teacher_does_not_matter(targets):
    target = targets["classification"]
    np.testing.assert_array_equal(
        loss(target, hard=1.0), loss(target, hard=1.0, teacher=TEACHER[::-1])
    )


def test_a_student_that_equals_its_teacher_has_nothing_to_learn(targets):
    for target in targets.values():
        codes = CODES if target.task == "classification" else (TEACHER > 0).astype(np.float32)
        found = loss(target, 5.0, hard=0.0, student=TEACHER, codes=codes)
        np.testing.assert_allclose(found, 0, atol=1e-5)


def test_the_square_of_the_temperature_keeps_the_gradient_s_size():
    import tensorflow as tf

    determinism.start(1)

    def size(temperature):
        student = tf.constant(STUDENT)
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = students.soft_classes(TEACHER, student, temperature)
        return float(tf.norm(tape.gradient(value, student)))

    # At high temperatures the gradient tends to a limit, (student - teacher) / classes.
    assert size(200.0) == pytest.approx(size(100.0), rel=0.05)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("hard", [0.0, 0.4, 1.0])
def test_labels_are_distributions_over_two_outcomes(targets, temperature, hard):
    codes = (GENERATOR.random((6, 4)) < 0.5).astype(np.float32)
    right = np.where(codes > 0, expit(STUDENT), expit(-STUDENT))
    taught, learned = expit(TEACHER / temperature), expit(STUDENT / temperature)
    soft = rel_entr(taught, learned) + rel_entr(1 - taught, 1 - learned)
    expected = hard * -np.log(right) + (1 - hard) * temperature**2 * soft

    found = loss(targets["multilabel"], temperature, hard, codes=codes)

    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_quantities_are_matched_by_their_squares(targets):
    codes = GENERATOR.normal(size=(6, 4)).astype(np.float32)
    expected = 0.3 * (codes - STUDENT) ** 2 + 0.7 * (TEACHER - STUDENT) ** 2

    found = loss(targets["regression"], 5.0, 0.3, codes=codes)

    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-5)


def test_labels_count_as_the_student_s_own_settings_have_it(targets):
    plain = loss(targets["classification"], hard=1.0)
    smooth = loss(targets["classification"], hard=1.0, label_smoothing=0.2)
    spread = -log_softmax(STUDENT, axis=1).mean(axis=1)
    np.testing.assert_allclose(smooth, 0.8 * plain + 0.2 * spread, rtol=1e-4)


@pytest.mark.parametrize("hard", [0.3, 1.0])
def test_an_example_without_a_label_is_taught_by_the_teacher_alone(targets, hard):
    target = targets["classification"]
    found = loss(target, hard=hard, codes=CODES[:4])
    whole = loss(target, hard=hard)
    soft = (1 - hard) * loss(target, hard=0.0)
    np.testing.assert_allclose(found[:4], whole[:4], rtol=1e-6)
    np.testing.assert_allclose(found[4:], soft[4:], rtol=1e-6)


def test_a_hint_is_met_by_what_stands_behind_the_logits(targets):
    target = targets["classification"]
    hints, projected = GENERATOR.normal(size=(2, 6, 3)).astype(np.float32)
    both = np.concatenate([STUDENT, projected], axis=1)
    found = loss(target, feature=0.5, student=both, hints=hints)
    drawn = 0.5 * ((projected - hints) ** 2).mean(axis=1)
    np.testing.assert_allclose(found, hinton(4.0, 0.1) + drawn, rtol=1e-4, atol=1e-5)

    columns = replace(CLASSES, hints=3)
    one = students.criterion(target, small.SETTINGS, Weights(4.0, 0.1, 0.5), columns)
    told = students.targets(CODES, columns, TEACHER, hints)
    expected = (STUDENT.argmax(axis=1) == CODES).astype(np.float32)
    np.testing.assert_array_equal(one.correct(told, both), expected)
    # Validation knows neither teacher nor projection.
    plain = one.measure(CODES, STUDENT, None)
    assert one.measure(CODES, both, None) == plain
    assert plain[0] == pytest.approx(hinton(1.0, 1.0).mean(), rel=1e-5)


def test_what_has_no_label_can_be_neither_right_nor_wrong(targets):
    """Their mean over all examples is the share of those with a label that are right."""
    target, columns = targets["classification"], replace(CLASSES, labelled=0.5)
    one = students.criterion(target, small.settings(), Weights(1.0, 0.5, 0.0), columns)
    codes = STUDENT[:3].argmax(axis=1)
    codes[0] = (codes[0] + 1) % 4
    told = students.targets(codes, columns, TEACHER, None)
    assert float(np.mean(one.correct(told, STUDENT))) == pytest.approx(2 / 3)


def drawn(folder, development, weights):
    """The item of a student whose teacher says anything."""
    data = training.encoded(str(development.path))
    shape = (len(data.train), data.target.outputs)
    said = np.random.default_rng(5).normal(0, 2, shape).astype(np.float32)
    outputs = str(folder / "outputs.npy")
    np.save(outputs, said, allow_pickle=False)
    return item_of(development, Lesson(weights, outputs, None, None))


def item_of(development, lesson, spec=small.SPEC):
    return StudentRun(
        str(development.path), None, spec, small.SETTINGS, 1, "student", lesson=lesson
    )


def taught(folder, development, weights, spec=small.SPEC, *, hints=False):
    """The item of a student whose teacher, `seed-9.keras` in the folder, is asked."""
    outputs = str(folder / "outputs.npy")
    hinted = str(folder / "hints.npy") if hints else None
    place, model = str(development.path), str(folder / "seed-9.keras")
    teachers.teach(teachers.Teaching(place, model, outputs, hints=hinted))
    return item_of(development, Lesson(weights, outputs, hinted, None), spec)


def train_teacher(folder, development, spec):
    place = str(development.path)
    return training.train(SeedRun(place, str(folder), spec, small.SETTINGS, 9, "teacher"))


def without_teacher(item, folder=None):
    """The same network with nobody to learn from."""
    plain = {name: held for name, held in vars(item).items() if name != "lesson"}
    return SeedRun(**{**plain, "folder": folder and str(folder)})


def test_with_labels_alone_a_student_is_its_own_control_bit_by_bit(tmp_path):
    development = small.table(tmp_path / "data")
    item = drawn(tmp_path, development, Weights(4.0, 1.0, 0.0))
    for kept in ("student", "control"):
        (tmp_path / kept).mkdir()

    student = students.run(replace(item, folder=str(tmp_path / "student")))
    control = students.run(without_teacher(item, tmp_path / "control"))

    np.testing.assert_array_equal(student.predictions, control.predictions)
    files = [(tmp_path / kept / "seed-1.keras").read_bytes() for kept in ("student", "control")]
    assert files[0] == files[1]
    assert [line.loss for line in student.lines[0]] == [line.loss for line in control.lines[0]]
    # Otherwise the teacher matters.
    mixed = replace(item, lesson=replace(item.lesson, weights=Weights(4.0, 0.5, 0.0)))
    assert (students.run(mixed).predictions != control.predictions).any()


def test_without_labels_shuffled_ones_give_the_same_student(tmp_path):
    development = small.table(tmp_path / "data")
    item = drawn(tmp_path, development, Weights(4.0, 0.0, 0.0))
    shuffled = small.table(tmp_path / "shuffled")
    train = shuffled.train()
    order = np.random.default_rng(1).permutation(len(train))
    other = replace(train, targets=train.targets[order])
    assert (other.targets != train.targets).any()
    shuffled.write(other, shuffled.validation(), shuffled.schema(), "none")

    one = students.learn(item)
    again = students.learn(replace(item, development=str(shuffled.path)))

    np.testing.assert_array_equal(one.predictions, again.predictions)
    half = replace(item, lesson=replace(item.lesson, weights=Weights(4.0, 0.5, 0.0)))
    told = [
        students.learn(replace(half, development=str(one.path))).predictions
        for one in (development, shuffled)
    ]
    assert (told[0] != told[1]).any()


@pytest.mark.parametrize("patience", [None, 1])
def test_a_student_that_is_given_hints_is_saved_without_what_projects_them(tmp_path, patience):
    development = small.table(tmp_path / "data")
    train_teacher(tmp_path, development, small.spec(width=8))
    item = taught(tmp_path, development, Weights(2.0, 0.5, 3.0), hints=True)
    settings = small.settings(epochs=4, patience=patience)
    item = replace(item, folder=str(tmp_path), settings=settings)

    found = students.learn(item)

    plain = training.train(without_teacher(item))
    assert (found.parameters, found.multiply_adds) == (plain.parameters, plain.multiply_adds)
    assert (found.predictions != plain.predictions).any()
    model = archive.load(tmp_path / "seed-1.keras")
    assert [layer.name for layer in model.get_layer("network").layers][-1] == "logits"
    saved = training.predict(model, development.validation())
    np.testing.assert_allclose(saved, found.predictions, rtol=1e-5, atol=1e-6)
    # The same seed, the same student.
    again = students.learn(replace(item, folder=None))
    np.testing.assert_array_equal(found.predictions, again.predictions)
    hints = np.load(item.lesson.hints)
    assert hints.shape == (120, 8)
    np.testing.assert_allclose(hints.mean(axis=0), 0, atol=1e-5)
    assert np.isin(hints.std(axis=0).round(3), [0, 1]).all()


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_networks_of_many_members_teach_and_are_taught(task, tmp_path):
    if task == "classification":
        development = small.table(tmp_path / "data")
    else:
        development = small.several(tmp_path / "data", task)
    many = small.spec(architecture="tabm", members=3, numbers="piecewise")
    run = train_teacher(tmp_path, development, many)

    item = taught(tmp_path, development, Weights(4.0, 0.5, 0.0), many)

    data = training.encoded(str(development.path))
    outputs = np.load(item.lesson.outputs)
    assert outputs.shape == (len(data.train), data.target.outputs)
    told = data.target.decode(outputs)
    whole = training.predict(archive.load(tmp_path / "seed-9.keras"), development.train())
    np.testing.assert_allclose(told, whole, rtol=1e-4, atol=1e-6)
    student = students.learn(item)
    assert student.predictions.shape == run.predictions.shape
    assert np.isfinite(student.predictions).all()
    assert not student.diverged
