import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from metrics import regression
from metrics.weighted import even

FIGURES = {
    "rmse": regression.rmse,
    "mae": regression.mae,
    "r2": regression.r2,
    "low": regression.pinball(0.1),
    "high": regression.pinball(0.75),
}
SKLEARN = {
    "rmse": reference.root_mean_squared_error,
    "mae": reference.mean_absolute_error,
    "r2": reference.r2_score,
    "low": lambda *both, **options: reference.mean_pinball_loss(*both, alpha=0.1, **options),
    "high": lambda *both, **options: reference.mean_pinball_loss(*both, alpha=0.75, **options),
}


def made_up(n, k, seed=0, offset=0.0):
    random = np.random.default_rng(seed)
    truth = random.normal(size=(n, k)) * 10.0 ** np.arange(k) + offset
    predictions = truth + random.normal(size=(n, k)) * 0.3 * 10.0 ** np.arange(k)
    return predictions.astype(np.float32), truth.astype(np.float32)


def resampled(n, r=4, seed=1):
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=r)


def important(n, r=4, seed=1):
    return resampled(n, r, seed) * np.random.default_rng(seed).uniform(0.1, 3, n)


@pytest.mark.parametrize("weigh", [resampled, important])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_agrees_with_scikit_learn_under_weights(k, weigh, offset):
    predictions, truth = made_up(300, k, offset=offset)
    weights = weigh(300)
    exact = truth.astype(np.float64), predictions.astype(np.float64)
    for name, figure in FIGURES.items():
        ours = figure(predictions, truth, weights)
        expected = [SKLEARN[name](*exact, sample_weight=row) for row in weights]
        assert ours == pytest.approx(expected, rel=1e-9), name


def test_r2_is_not_known_where_the_truth_does_not_vary():
    truth = np.array([[0.1], [0.1], [0.1], [7.3]], dtype=np.float32)
    predictions = np.zeros((4, 1), dtype=np.float32)
    weights = np.array([[1, 2, 1, 0], [1, 1, 1, 1]])
    values = regression.r2(predictions, truth, weights)
    assert np.isnan(values).tolist() == [True, False]
    assert np.isnan(regression.r2(predictions[:3], truth[:3], even(3))).all()
    # With importance, the mean of equal values is not quite their value.
    uneven = np.random.default_rng(0).uniform(0.1, 3, (50, 4)) * np.array([1, 1, 1, 0])
    assert np.isnan(regression.r2(predictions, truth, uneven)).all()


def test_the_pinball_loss_is_least_at_its_quantile():
    truth = np.random.default_rng(0).exponential(size=(2001, 1))
    guesses = np.linspace(0, 3, 301)
    losses = [regression.pinball(0.8)(np.full_like(truth, at), truth, even(2001)) for at in guesses]
    assert guesses[np.argmin(losses)] == pytest.approx(np.quantile(truth, 0.8), abs=0.01)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 3), seed=st.integers(0, 1000))
def test_a_weight_is_so_many_copies(n, k, seed):
    predictions, truth = made_up(n, k, seed)
    weights = resampled(n, r=1, seed=seed)
    rows = np.repeat(np.arange(n), weights[0])
    copies = predictions[rows], truth[rows], even(len(rows))
    for name, figure in FIGURES.items():
        weighted = figure(predictions, truth, weights)
        assert weighted == pytest.approx(figure(*copies), nan_ok=True), name
