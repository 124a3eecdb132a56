from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from metrics import classification
from metrics.weighted import even

FIGURES = {
    "accuracy": classification.accuracy,
    "log_loss": classification.log_loss,
    "balanced_accuracy": classification.balanced_accuracy,
    "macro_f1": classification.macro_f1,
    "auc": classification.auc,
    "ece": classification.calibration_error(10),
    "recall": classification.recall_of(1),
    "precision": classification.precision_of_class(1),
    "recall_at_precision": classification.recall_at_precision(1, 0.8),
}


def made_up(n, classes, seed=0, digits=None):
    """Probabilities that know something of the labels; rounded, there are ties."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    labels[:classes] = np.arange(classes)
    logits = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if digits is not None:
        probabilities = probabilities.round(digits)
    return probabilities.astype(np.float32), labels


def resampled(n, r=5, seed=1):
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=r)


def sklearn_figures(probabilities, labels, weights):
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(probabilities.shape[1])
    # scikit-learn warns unless rows add up to 1 in float64.
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    area = (
        reference.roc_auc_score(labels, exact[:, 1], sample_weight=weights)
        if len(classes) == 2
        else reference.roc_auc_score(labels, exact, multi_class="ovr", sample_weight=weights)
    )
    return {
        "accuracy": reference.accuracy_score(labels, predicted, sample_weight=weights),
        "log_loss": reference.log_loss(labels, exact, sample_weight=weights, labels=classes),
        "balanced_accuracy": reference.balanced_accuracy_score(
            labels, predicted, sample_weight=weights
        ),
        "macro_f1": reference.f1_score(labels, predicted, average="macro", sample_weight=weights),
        "auc": area,
        "recall": reference.recall_score(
            labels == 1, predicted == 1, sample_weight=weights, zero_division=0
        ),
        "precision": reference.precision_score(
            labels == 1, predicted == 1, sample_weight=weights, zero_division=0
        ),
        "recall_at_precision": recall_by_curve(exact[:, 1], labels == 1, weights, 0.8),
    }


def recall_by_curve(scores, positive, weights, least):
    precision, recall, _ = reference.precision_recall_curve(positive, scores, sample_weight=weights)
    # The curve's last point is no threshold.
    return max(recall[:-1][precision[:-1] >= least], default=0.0)


def important(n, r=5, seed=1):
    """Weights of resamplings of examples that differ in importance."""
    return resampled(n, r, seed) * np.random.default_rng(seed).uniform(0.1, 3, n)


@pytest.mark.parametrize("weigh", [resampled, important])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_agrees_with_scikit_learn_under_weights(classes, weigh):
    probabilities, labels = made_up(400, classes)
    weights = weigh(400)
    ours = {
        name: figure(probabilities, labels, weights)
        for name, figure in FIGURES.items()
        if name != "ece"
    }
    for row in range(len(weights)):
        for name, expected in sklearn_figures(probabilities, labels, weights[row]).items():
            assert ours[name][row] == pytest.approx(expected, abs=1e-6), name


def test_recall_and_confusion_agree_with_scikit_learn():
    probabilities, labels = made_up(300, 4)
    weights = resampled(300)
    predicted = probabilities.argmax(axis=1)
    counts = classification.confusion(probabilities, labels, weights)
    recalls = classification.recall(probabilities, labels, weights)
    for row, weight in enumerate(weights):
        expected = reference.confusion_matrix(labels, predicted, sample_weight=weight)
        assert (counts[row] == expected).all()
        expected = reference.recall_score(labels, predicted, average=None, sample_weight=weight)
        assert recalls[row] == pytest.approx(expected)
        expected = reference.precision_score(labels, predicted, average=None, sample_weight=weight)
        precisions = classification.precision(probabilities, labels, weights)
        assert precisions[row] == pytest.approx(expected)


def test_auc_counts_ties_half():
    probabilities, labels = made_up(200, 2, digits=1)
    weights = resampled(200)
    expected = [
        reference.roc_auc_score(labels, probabilities[:, 1], sample_weight=weight)
        for weight in weights
    ]
    assert classification.auc(probabilities, labels, weights) == pytest.approx(expected)
    flat = np.full((10, 2), 0.5)
    assert classification.auc(flat, np.arange(10) % 2, even(10)) == [0.5]


def test_calibration_error_in_closed_form():
    # Confidences 0.75 and 0.95, three examples each, two and three of them right.
    probabilities = np.array([[0.75, 0.25]] * 3 + [[0.95, 0.05]] * 3)
    labels = np.array([0, 0, 1, 0, 0, 0])
    figure = classification.calibration_error(10)
    expected = 0.5 * (0.75 - 2 / 3) + 0.5 * (1 - 0.95)
    assert figure(probabilities, labels, even(6)) == pytest.approx([expected])
    bins = classification.calibration_bins(probabilities, labels, 10)
    assert [one["examples"] for one in bins] == [3, 3]
    assert [one["confidence"] for one in bins] == pytest.approx([0.75, 0.95])
    assert [one["accuracy"] for one in bins] == pytest.approx([2 / 3, 1.0])


def test_calibration_gaps_cancel_within_a_bin_and_not_between():
    probabilities = np.array([[0.6, 0.4], [0.8, 0.2]])
    labels = np.array([0, 1])
    one = classification.calibration_error(1)(probabilities, labels, even(2))
    ten = classification.calibration_error(10)(probabilities, labels, even(2))
    assert one == pytest.approx([abs(0.7 - 0.5)])
    assert ten == pytest.approx([(0.4 + 0.8) / 2])


def test_what_a_resampling_does_not_hold_is_not_known():
    probabilities, labels = np.eye(3)[[0, 1, 2]], np.array([0, 1, 2])
    weights = np.array([[2, 1, 0], [3, 0, 0]])
    recalls = classification.recall(probabilities, labels, weights)
    assert np.isnan(recalls).tolist() == [[False, False, True], [False, True, True]]
    assert classification.balanced_accuracy(probabilities, labels, weights).tolist() == [1.0, 1.0]
    assert classification.macro_f1(probabilities, labels, weights).tolist() == [1.0, 1.0]
    areas = classification.auc(probabilities, labels, weights)
    assert areas[0] == 1.0
    assert np.isnan(areas[1])


def test_a_class_that_is_never_the_answer_has_no_precision_but_costs():
    probabilities, labels = np.eye(3)[[0, 0, 0]], np.array([0, 0, 1])
    found = classification.precision(probabilities, labels, even(3))[0]
    assert found[:2] == pytest.approx([2 / 3, 0.0])
    assert np.isnan(found[2])


def test_recall_at_precision_in_closed_form():
    # From above: right, right, wrong, right; five are to be found.
    given = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.1])
    probabilities, labels = np.stack([1 - given, given], axis=1), np.array([1, 1, 0, 1, 1, 1])
    for least, expected in ((1.0, 2 / 5), (0.75, 1.0), (5 / 6, 1.0), (0.84, 2 / 5)):
        figure = classification.recall_at_precision(1, least)
        assert figure(probabilities, labels, even(6)) == pytest.approx([expected]), least
    wrong_first = classification.recall_at_precision(0, 0.9)(probabilities, labels, even(6))
    assert wrong_first.tolist() == [0.0]
    # Equal probabilities are on one side of any threshold.
    flat = classification.recall_at_precision(1, 0.9)(np.full((6, 2), 0.5), labels, even(6))
    assert flat.tolist() == [0.0]


def test_a_certain_error_costs_much_but_not_everything():
    loss = classification.log_loss(np.array([[1.0, 0.0]]), np.array([1]), even(1))
    assert loss == pytest.approx([-np.log(1e-7)])


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 40), classes=st.integers(2, 5), seed=st.integers(0, 1000))
def test_a_weight_is_so_many_copies(n, classes, seed):
    n = max(n, classes)
    probabilities, labels = made_up(n, classes, seed, digits=2)
    weights = resampled(n, r=1, seed=seed)
    rows = np.repeat(np.arange(n), weights[0])
    copies = probabilities[rows], labels[rows], even(len(rows))
    for name, figure in FIGURES.items():
        weighted = figure(probabilities, labels, weights)
        assert weighted == pytest.approx(figure(*copies), nan_ok=True), name


@settings(max_examples=30, deadline=None)
@given(n=st.integers(5, 40), classes=st.integers(2, 5), seed=st.integers(0, 1000))
def test_figures_keep_their_bounds_and_ignore_the_order_of_examples(n, classes, seed):
    probabilities, labels = made_up(n, classes, seed, digits=2)
    shuffled = np.random.default_rng(seed).permutation(n)
    assert any(labels == 1)
    for name, figure in FIGURES.items():
        value = figure(probabilities, labels, even(n))[0]
        assert value >= 0, name
        assert value <= 1 or name == "log_loss", name
        again = figure(probabilities[shuffled], labels[shuffled], even(n))[0]
        assert again == pytest.approx(value), name


def test_rows_of_weights_are_measured_apart():
    probabilities, labels = made_up(100, 3)
    weights = resampled(100, r=8)
    for name, figure in FIGURES.items():
        measure = partial(figure, probabilities, labels)
        apart = np.concatenate([measure(weights[row : row + 1]) for row in range(8)])
        assert (measure(weights) == apart).all(), name
