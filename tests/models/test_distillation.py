import numpy as np
import pytest
from scipy.special import expit, log_softmax, rel_entr, softmax

from models import archive, determinism, distillation, training
from tests.models import small

GENERATOR = np.random.default_rng(0)
TEACHER = GENERATOR.normal(0, 3, (6, 4)).astype(np.float32)
STUDENT = GENERATOR.normal(0, 3, (6, 4)).astype(np.float32)
CODES = np.array([0, 1, 2, 3, 0, 1], dtype=np.int32)


def loss(temperature, hard_weight, teacher=TEACHER, student=STUDENT, codes=CODES):
    determinism.start(1)
    targets = distillation.targets(codes, teacher)
    values = distillation.classes_loss(
        targets, student, temperature=temperature, hard_weight=hard_weight
    )
    return values.numpy()


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("hard_weight", [0.0, 0.3, 1.0])
def test_it_is_hintons_loss(temperature, hard_weight):
    hard = -log_softmax(STUDENT, axis=1)[np.arange(6), CODES]
    soft = rel_entr(
        softmax(TEACHER / temperature, axis=1), softmax(STUDENT / temperature, axis=1)
    ).sum(axis=1)

    expected = hard_weight * hard + (1 - hard_weight) * temperature**2 * soft

    np.testing.assert_allclose(loss(temperature, hard_weight), expected, rtol=1e-4, atol=1e-5)


def test_without_hard_weight_labels_do_not_matter():
    np.testing.assert_array_equal(loss(2.0, 0.0), loss(2.0, 0.0, codes=CODES[::-1]))


def test_with_hard_weight_alone_the_teacher_does_not_matter():
    np.testing.assert_array_equal(loss(2.0, 1.0), loss(2.0, 1.0, teacher=TEACHER[::-1]))


def test_a_student_that_equals_its_teacher_has_nothing_to_learn():
    np.testing.assert_allclose(loss(5.0, 0.0, student=TEACHER), 0, atol=1e-5)


def test_the_square_of_the_temperature_keeps_the_gradient_s_size():
    import tensorflow as tf

    determinism.start(1)
    targets = distillation.targets(CODES, TEACHER)

    def size(temperature):
        student = tf.constant(STUDENT)
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = distillation.classes_loss(
                targets, student, temperature=temperature, hard_weight=0.0
            )
        return float(tf.norm(tape.gradient(value, student)))

    # At high temperatures the gradient tends to a limit, (student - teacher) / classes.
    assert size(200.0) == pytest.approx(size(100.0), rel=0.05)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("hard_weight", [0.0, 0.4, 1.0])
def test_labels_are_distributions_over_two_outcomes(temperature, hard_weight):
    determinism.start(1)
    codes = (GENERATOR.random((6, 4)) < 0.5).astype(np.float32)
    right = np.where(codes > 0, expit(STUDENT), expit(-STUDENT))
    taught, learned = expit(TEACHER / temperature), expit(STUDENT / temperature)
    soft = rel_entr(taught, learned) + rel_entr(1 - taught, 1 - learned)
    expected = hard_weight * -np.log(right) + (1 - hard_weight) * temperature**2 * soft

    found = distillation.labels_loss(
        distillation.targets(codes, TEACHER),
        STUDENT,
        temperature=temperature,
        hard_weight=hard_weight,
    )

    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_quantities_are_matched_by_their_squares():
    determinism.start(1)
    codes = GENERATOR.normal(size=(6, 4)).astype(np.float32)
    expected = 0.3 * (codes - STUDENT) ** 2 + 0.7 * (TEACHER - STUDENT) ** 2

    found = distillation.quantities_loss(
        distillation.targets(codes, TEACHER), STUDENT, temperature=5.0, hard_weight=0.3
    )

    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_networks_of_many_members_teach_and_are_taught(task, tmp_path):
    if task == "classification":
        development = small.table(tmp_path / "data")
    else:
        development = small.several(tmp_path / "data", task)
    many = small.spec(architecture="tabm", members=3, numbers="piecewise")
    item = training.SeedRun(
        str(development.path), str(tmp_path), many, small.SETTINGS, 1, "teacher"
    )
    taught = training.train(item)
    model, logits = tmp_path / "seed-1.keras", tmp_path / "logits.npy"

    distillation.teach(distillation.Teaching(str(development.path), str(model), str(logits)))

    data = training.encoded(str(development.path))
    outputs = np.load(logits)
    assert outputs.shape == (len(data.train), data.target.outputs)
    told = data.target.decode(outputs)
    whole = training.predict(archive.load(model), development.train())
    np.testing.assert_allclose(told, whole, rtol=1e-4, atol=1e-6)
    student = distillation.learn(
        distillation.StudentRun(
            **{**vars(item), "folder": None}, logits=str(logits), temperature=4.0, hard_weight=0.5
        )
    )
    assert student.predictions.shape == taught.predictions.shape
    assert np.isfinite(student.predictions).all()
    assert not student.diverged
