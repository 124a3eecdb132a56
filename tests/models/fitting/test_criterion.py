"""What fits minimise and are scored by, against scikit-learn and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, softmax
from scipy.special import huber as scipy_huber
from sklearn import metrics

from dataset import target
from models.fitting import criterion, determinism
from tests.models import small

GENERATOR = np.random.default_rng(3)
N, K = 50, 3
OUTPUTS = GENERATOR.normal(0, 2, (N, K)).astype(np.float32)
CLASSES = GENERATOR.integers(0, K, N).astype(np.int32)
LABELS = (GENERATOR.random((N, K)) < 0.4).astype(np.float32)
QUANTITIES = GENERATOR.normal(size=(N, K)).astype(np.float32)
WEIGHTS = GENERATOR.uniform(0.1, 5, N).astype(np.float32)

CODES = {"classification": CLASSES, "multilabel": LABELS, "regression": QUANTITIES}
TARGETS = {
    "classification": np.array(["a", "b", "c"], dtype=object)[CLASSES],
    "multilabel": LABELS,
    "regression": QUANTITIES,
}


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def suited(task):
    return criterion.of(
        target.learn(task, ("one", "two", "three"), TARGETS[task], "none", balanced=False)
    )


def sklearn_loss(task, weights):
    if task == "classification":
        told = softmax(OUTPUTS.astype(float), axis=1)
        return metrics.log_loss(CLASSES, told, sample_weight=weights, labels=range(K))
    if task == "multilabel":
        told = expit(OUTPUTS.astype(float))
        each = [
            metrics.log_loss(LABELS[:, place], told[:, place], sample_weight=weights, labels=[0, 1])
            for place in range(K)
        ]
        return np.mean(each)
    return metrics.mean_squared_error(QUANTITIES, OUTPUTS, sample_weight=weights)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("task", CODES)
def test_validation_loss_is_scikit_learn_s(task, weights):
    loss, _ = suited(task).measure(CODES[task], OUTPUTS, weights)

    assert loss == pytest.approx(sklearn_loss(task, weights), rel=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("task", CODES)
def test_what_is_minimised_is_what_validates(task, weights):
    losses = np.asarray(suited(task).loss(CODES[task], OUTPUTS))

    assert losses.shape == (N,)
    assert np.average(losses, weights=weights) == pytest.approx(
        sklearn_loss(task, weights), rel=1e-5
    )


def test_what_is_right_is_counted_alike_in_training_and_validation():
    shares = {
        "classification": metrics.accuracy_score(CLASSES, OUTPUTS.argmax(axis=1)),
        "multilabel": 1 - metrics.hamming_loss(LABELS, OUTPUTS > 0),
    }
    for task, share in shares.items():
        right = np.asarray(suited(task).correct(CODES[task], OUTPUTS))
        assert right.shape == (N,)
        assert right.mean() == pytest.approx(share)
        assert suited(task).measure(CODES[task], OUTPUTS, None)[1] == pytest.approx(share)


def test_quantities_are_not_right_or_wrong():
    assert suited("regression").correct is None
    assert suited("regression").measure(QUANTITIES, OUTPUTS, None)[1] is None


@pytest.mark.parametrize("task", CODES)
def test_equal_weights_are_no_weights_and_whole_ones_are_repeats(task):
    measure = suited(task).measure
    twice = np.where(np.arange(N) < 20, 2, 1).astype(np.float32)
    repeated = np.repeat(np.arange(N), twice.astype(int))

    even = measure(CODES[task], OUTPUTS, None)[0]
    weighted = measure(CODES[task], OUTPUTS, twice)[0]

    assert measure(CODES[task], OUTPUTS, np.full(N, 7, np.float32))[0] == pytest.approx(even)
    assert weighted == pytest.approx(measure(CODES[task][repeated], OUTPUTS[repeated], None)[0])
    assert weighted != pytest.approx(even, rel=1e-3)


def test_one_certain_error_does_not_cost_everything():
    certain = np.array([[-500.0, 500.0, 0.0]], dtype=np.float32)

    loss, share = suited("classification").measure(np.array([0], np.int32), certain, None)
    labels, _ = suited("multilabel").measure(np.array([[1, 1, 1]], np.float32), certain, None)

    assert (loss, share) == (pytest.approx(-np.log(1e-7)), 0)
    assert labels == pytest.approx((-np.log(1e-7) + 0 + np.log(2)) / 3)


def learned(task):
    return target.learn(task, ("one", "two", "three"), TARGETS[task], "none", balanced=False)


def minimised(task, **changes):
    """The loss of every example under changed settings."""
    loss = criterion.trained_by(learned(task), small.settings(**changes)).loss
    return np.asarray(loss(CODES[task], OUTPUTS))


def test_with_the_standard_settings_nothing_else_is_minimised():
    for task in CODES:
        assert criterion.trained_by(learned(task), small.SETTINGS) is criterion.of(learned(task))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_and_smoothed_losses_of_classes(gamma, smoothing):
    told = softmax(OUTPUTS.astype(float), axis=1)
    truth = np.eye(K)[CLASSES] * (1 - smoothing) + smoothing / K
    expected = -(truth * (1 - told) ** gamma * np.log(told)).sum(axis=1)
    found = minimised("classification", loss="focal", focal_gamma=gamma, label_smoothing=smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_smoothed_losses_are_keras_s_own():
    one_hot = np.eye(K, dtype=np.float32)[CLASSES]
    np.testing.assert_allclose(
        minimised("classification", label_smoothing=0.2),
        keras.losses.categorical_crossentropy(
            one_hot, OUTPUTS, from_logits=True, label_smoothing=0.2
        ),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        minimised("multilabel", label_smoothing=0.2),
        keras.losses.binary_crossentropy(LABELS, OUTPUTS, from_logits=True, label_smoothing=0.2),
        rtol=1e-4,
    )


def test_the_focal_loss_of_labels():
    told = expit(OUTPUTS.astype(float))
    right = np.where(LABELS > 0.5, told, 1 - told)
    expected = -((1 - right) ** 2 * np.log(right)).mean(axis=1)
    found = minimised("multilabel", loss="focal", focal_gamma=2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_hubers_loss_is_a_square_and_then_a_line():
    found = minimised("regression", loss="huber", huber_delta=0.7)
    expected = scipy_huber(0.7, QUANTITIES.astype(float) - OUTPUTS).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gradients_are_finite_where_a_network_is_certain():
    sure = np.float32([[200, 0, 0], [0, 200, 0]])
    logits = keras.Variable(sure)
    for task, codes in (("classification", np.int32([0, 0])), ("multilabel", LABELS[:2])):
        loss = criterion.trained_by(learned(task), small.settings(loss="focal")).loss
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(loss(codes, logits.value))
        assert np.isfinite(tape.gradient(total, logits.value)).all()


@pytest.mark.parametrize("task", CODES)
def test_members_have_each_their_own_loss(task):
    each = GENERATOR.normal(0, 2, (N, 4, K)).astype(np.float32)
    loss = suited(task).loss

    found = criterion.each_member(loss)(CODES[task], each).numpy()

    own = [np.asarray(loss(CODES[task], each[:, member])) for member in range(4)]
    np.testing.assert_allclose(found, np.mean(own, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(
        criterion.each_member(loss)(CODES[task], OUTPUTS), loss(CODES[task], OUTPUTS)
    )


def test_one_quantity_of_many_members_keeps_its_axis():
    codes, each = QUANTITIES[:, :1], GENERATOR.normal(size=(N, 4, 1)).astype(np.float32)

    found = criterion.EachMember(criterion.REGRESS.loss)(codes, each, WEIGHTS)

    expected = (((each - codes[:, None]) ** 2).mean(axis=(1, 2)) * WEIGHTS).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)
