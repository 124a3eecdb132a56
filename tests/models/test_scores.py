import numpy as np
import pytest
from sklearn import metrics

from models import scores

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 2, (50, 3)).astype(np.float32)
CODES = GENERATOR.integers(3, size=50)


def test_probabilities_add_up_to_one_even_for_large_logits():
    probabilities = scores.softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32))

    np.testing.assert_array_equal(probabilities, [[1, 0], [0.5, 0.5]])


def test_scores_are_scikit_learn_s():
    probabilities = scores.softmax(LOGITS)

    right = metrics.accuracy_score(CODES, probabilities.argmax(axis=1))
    assert scores.accuracy(probabilities, CODES) == pytest.approx(right)
    lost = metrics.log_loss(CODES, probabilities)
    assert scores.log_loss(probabilities, CODES) == pytest.approx(lost, rel=1e-5)


def test_one_certain_error_does_not_cost_everything():
    loss = scores.log_loss(np.array([[1.0, 0.0]], np.float32), np.array([1]))

    assert loss == pytest.approx(-np.log(scores.SMALLEST))
