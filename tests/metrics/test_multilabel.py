import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from metrics import multilabel
from metrics.weighted import even

FIGURES = {
    "accuracy": multilabel.accuracy,
    "exact_match": multilabel.exact_match,
    "macro_f1": multilabel.macro_f1,
    "recall": multilabel.recall,
    "precision": multilabel.precision,
    "auc": multilabel.auc,
    "log_loss": multilabel.log_loss,
}


def made_up(n, k, seed=0, digits=None):
    """Probabilities that know something of the labels; rounded, there are ties."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, k)) < 0.4).astype(np.float32)
    logits = random.normal(size=(n, k)) + 2 * truth - 1
    probabilities = 1 / (1 + np.exp(-logits))
    if digits is not None:
        probabilities = probabilities.round(digits)
    return probabilities.astype(np.float32), truth


def resampled(n, r=4, seed=1):
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=r)


def important(n, r=4, seed=1):
    return resampled(n, r, seed) * np.random.default_rng(seed).uniform(0.1, 3, n)


def sklearn_figures(probabilities, truth, weights):
    predicted = probabilities > 0.5
    options = {"average": "macro", "sample_weight": weights}
    cells = np.repeat(weights, truth.shape[1])
    return {
        "accuracy": reference.accuracy_score(truth.ravel(), predicted.ravel(), sample_weight=cells),
        "exact_match": reference.accuracy_score(truth, predicted, sample_weight=weights),
        "macro_f1": reference.f1_score(truth, predicted, **options),
        "recall": reference.recall_score(truth, predicted, **options),
        "precision": reference.precision_score(truth, predicted, **options),
        "auc": reference.roc_auc_score(truth, probabilities, **options),
        "log_loss": np.mean(
            [
                reference.log_loss(actual, given.astype(np.float64), sample_weight=weights)
                for actual, given in zip(truth.T, probabilities.T, strict=True)
            ]
        ),
    }


@pytest.mark.parametrize("weigh", [resampled, important])
@pytest.mark.parametrize("k", [2, 4])
def test_agrees_with_scikit_learn_under_weights(k, weigh):
    probabilities, truth = made_up(300, k)
    weights = weigh(300)
    ours = {name: figure(probabilities, truth, weights) for name, figure in FIGURES.items()}
    for row in range(len(weights)):
        for name, expected in sklearn_figures(probabilities, truth, weights[row]).items():
            assert ours[name][row] == pytest.approx(expected, abs=1e-6), name


def test_a_label_that_nobody_has_is_left_out():
    truth = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)
    probabilities = np.array([[0.9, 0.1, 0.2], [0.2, 0.1, 0.2], [0.6, 0.1, 0.1]])
    counted = multilabel.recalls(probabilities, truth, even(3))[0]
    assert counted[[0, 2]].tolist() == [0.5, 0.0]
    assert np.isnan(counted[1])
    assert multilabel.recall(probabilities, truth, even(3)) == pytest.approx([0.25])
    # Never the answer: nothing of the label that somebody has, and unknown of the other.
    precisions = multilabel.precisions(probabilities, truth, even(3))[0]
    assert precisions[[0, 2]].tolist() == [0.5, 0.0]
    assert np.isnan(precisions[1])
    assert multilabel.auc(probabilities, truth, even(3)) == pytest.approx([(0.5 + 0.0) / 2])


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 5), seed=st.integers(0, 1000))
def test_a_weight_is_so_many_copies(n, k, seed):
    probabilities, truth = made_up(n, k, seed, digits=2)
    weights = resampled(n, r=1, seed=seed)
    rows = np.repeat(np.arange(n), weights[0])
    copies = probabilities[rows], truth[rows], even(len(rows))
    for name, figure in FIGURES.items():
        weighted = figure(probabilities, truth, weights)
        assert weighted == pytest.approx(figure(*copies), nan_ok=True), name
