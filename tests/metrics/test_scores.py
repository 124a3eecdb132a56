import numpy as np
import pytest
from sklearn import metrics

from metrics import scores

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 2, (50, 3)).astype(np.float32)
CODES = GENERATOR.integers(3, size=50)


def test_probabilities_add_up_to_one_even_for_large_logits():
    probabilities = scores.softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32))

    np.testing.assert_array_equal(probabilities, [[1, 0], [0.5, 0.5]])


def test_losses_are_scikit_learn_s():
    probabilities = scores.softmax(LOGITS)
    lost = metrics.log_loss(CODES, probabilities)
    assert scores.log_losses(probabilities, CODES).mean() == pytest.approx(lost, rel=1e-5)

    labels = (CODES[:, np.newaxis] == np.arange(3)).astype(np.float32)
    each = scores.sigmoid(LOGITS)
    lost = [metrics.log_loss(labels[:, at], each[:, at].astype(np.float64)) for at in range(3)]
    losses = scores.binary_log_losses(each, labels)
    assert losses.mean(axis=0) == pytest.approx(lost, rel=1e-5)


def test_probabilities_of_single_logits_do_not_overflow():
    values = scores.sigmoid(np.array([-1000.0, 0.0, np.log(3.0), 1000.0], np.float32))

    assert values == pytest.approx([0, 0.5, 0.75, 1])


def test_one_certain_error_does_not_cost_everything():
    [loss] = scores.log_losses(np.array([[1.0, 0.0]], np.float32), np.array([1]))

    assert loss == pytest.approx(-np.log(scores.SMALLEST))
    assert scores.binary_log_losses(np.array([[1.0]]), np.array([[0.0]])) == pytest.approx(loss)
