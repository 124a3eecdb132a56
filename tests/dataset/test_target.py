"""What outputs mean: truth, code and prediction are three forms of the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer
from sklearn.utils.class_weight import compute_class_weight

from dataset.target import Target, learn

VALUES = np.random.default_rng(1).lognormal(2, 1, (500, 2)).astype(np.float32)


@pytest.mark.parametrize("transform", ["none", "log", "quantile"])
def test_quantities_come_back_in_their_own_unit(transform):
    target = learn("regression", ["a", "b"], VALUES, transform, balanced=False)
    codes = target.encode(target.truth(VALUES))
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(codes.std(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(target.decode(codes), VALUES, rtol=2e-4)


def test_a_logarithm_takes_values_below_all_that_it_has_seen():
    target = learn("regression", ["a"], VALUES[:, :1], "log", balanced=False)
    lowest = np.float32([[VALUES[:, 0].min() - 100]])
    assert np.isfinite(target.encode(lowest)).all()
    low, high = target.encode(np.float32([[5], [50]]))[:, 0]
    shift = 1 - float(VALUES[:, 0].min())
    spread = np.log(VALUES[:, 0].astype(np.float64) + shift).std()
    assert high - low == pytest.approx(np.log((50 + shift) / (5 + shift)) / spread, rel=1e-5)


def test_quantiles_are_scikit_learn_s():
    column = VALUES[:, :1]
    other = QuantileTransformer(n_quantiles=257, output_distribution="normal").fit(column)
    target = learn("regression", ["a"], column, "quantile", balanced=False)
    inner = np.sort(column, axis=0)[10:-10]
    quantity = target.quantities[0]
    scores = target.encode(inner) * quantity.scale + quantity.mean
    np.testing.assert_allclose(scores, other.transform(inner), atol=0.01)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30), st.data())
def test_whatever_a_network_says_is_a_number(values, data):
    transform = data.draw(st.sampled_from(["none", "log", "quantile"]))
    said = data.draw(st.floats(-1e4, 1e4, width=32))
    column = np.array(values, dtype=np.float32)[:, None]
    target = learn("regression", ["a"], column, transform, balanced=False)
    assert np.isfinite(target.decode(np.float32([[said]]))).all()


def test_equal_quantiles_stand_for_the_middle_of_their_ranks():
    column = np.repeat(np.float32([1, 5]), [300, 100])[:, None]
    target = learn("regression", ["a"], column, "quantile", balanced=False)
    np.testing.assert_allclose(target.decode(target.encode(column)), column, atol=1e-4)


def test_classes_are_sorted_and_their_weights_are_scikit_learn_s():
    labels = np.array(["b"] * 30 + ["a"] * 10 + ["c"] * 5, dtype=object)
    target = learn("classification", ["y"], labels, "none", balanced=True)
    assert target.names == ("a", "b", "c")
    truth = target.truth(labels)
    assert truth.dtype == np.int32
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels)
    np.testing.assert_allclose(target.class_weights, expected)
    weights = target.weights(truth, np.full(45, 2, dtype=np.float32))
    np.testing.assert_allclose(weights, 2 * expected[truth], rtol=1e-6)
    assert (
        learn("classification", ["y"], labels, "none", balanced=False).weights(truth, None) is None
    )


def test_predictions_are_probabilities_of_classes_and_of_labels():
    logits = np.float32([[0, 0], [100, -100]])
    classes = Target(task="classification", names=("a", "b"), quantities=(), class_weights=())
    labels = classes.model_copy(update={"task": "multilabel"})
    np.testing.assert_allclose(classes.decode(logits), [[0.5, 0.5], [1, 0]], atol=1e-7)
    np.testing.assert_allclose(labels.decode(logits), [[0.5, 0.5], [1, 0]], atol=1e-7)
    assert Target.model_validate_json(classes.model_dump_json()) == classes
