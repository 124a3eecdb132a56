"""Numbers as vectors, against loops that do the same."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fitting import determinism
from models.networks import number_layers

NUMBERS = np.random.default_rng(1).normal(0, 2, (20, 3)).astype(np.float32)
EDGES = [[-1.0, 0.0, 0.25, 2.0], [0.5, 1.5], [-3.0, 3.0, 3.5]]


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def by_hand(value, edges):
    """Equation 1 of the paper, word for word."""
    told = []
    for place, (start, end) in enumerate(pairwise(edges), 1):
        if value < start and place > 1:
            told.append(0.0)
        elif value >= end and place < len(edges) - 1:
            told.append(1.0)
        else:
            told.append((value - start) / (end - start))
    return told


def test_bins_are_those_of_the_paper():
    found = number_layers.Piecewise(EDGES)(NUMBERS).numpy()

    assert found.shape == (20, 3, 3)
    for row, numbers in zip(found, NUMBERS, strict=True):
        for told, value, edges in zip(row, numbers, EDGES, strict=True):
            expected = by_hand(float(value), edges)
            np.testing.assert_allclose(told[: len(expected)], expected, rtol=1e-5, atol=1e-6)
            assert not told[len(expected) :].any()


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=9, unique=True),
    st.floats(-200, 200, width=32),
)
@settings(max_examples=50, deadline=None)
def test_bins_lose_nothing(values, number):
    edges = number_layers.edges(sorted(values), 8)

    told = number_layers.Piecewise([edges])(np.float32([[number]])).numpy()[0, 0]

    # The widths of the bins, as far as they are passed, add up to the way from the first edge.
    np.testing.assert_allclose(told @ np.diff(edges), number - edges[0], rtol=1e-4, atol=1e-3)


@given(
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=300),
    st.integers(2, 256),
)
@settings(max_examples=50, deadline=None)
def test_edges_rise_and_are_no_more_than_wished(values, bins):
    quantiles = np.quantile(np.array(values, dtype=np.float64), np.linspace(0, 1, 257))

    edges = number_layers.edges(quantiles.tolist(), bins)

    assert 2 <= len(edges) <= bins + 1
    assert (np.diff(edges) >= number_layers.APART * 0.999).all()
    assert edges[0] == pytest.approx(min(values))


def test_bins_hold_equally_many_values():
    values = np.random.default_rng(2).lognormal(size=10_000)
    quantiles = np.quantile(values, np.linspace(0, 1, 257)).tolist()

    counts, _ = np.histogram(values, number_layers.edges(quantiles, 8))

    np.testing.assert_allclose(counts, 1250, atol=2)


def test_a_value_that_is_frequent_leaves_fewer_bins_and_one_that_never_varies_one():
    assert number_layers.edges([0, 0, 0, 0, 1], 4) == [0, 1]
    assert number_layers.edges([7.0] * 257, 16) == [7, 8]


def test_waves_are_sines_and_cosines_at_each_number_s_frequencies():
    layer = number_layers.Periodic(4, 0.5, 3)

    found = layer(NUMBERS).numpy()

    frequencies = layer.get_weights()[0].astype(float)
    assert frequencies.shape == (3, 4)
    for row, numbers in zip(found, NUMBERS.astype(float), strict=True):
        for told, value, own in zip(row, numbers, frequencies, strict=True):
            expected = [*np.sin(2 * np.pi * own * value), *np.cos(2 * np.pi * own * value)]
            np.testing.assert_allclose(told, expected, atol=1e-5)


def test_first_frequencies_are_normal_and_are_trained():
    layer = number_layers.Periodic(256, 0.3, 3)
    layer.build((None, 200))

    frequencies = layer.get_weights()[0]

    assert frequencies.mean() == pytest.approx(0, abs=0.01)
    assert frequencies.std() == pytest.approx(0.3, rel=0.02)
    assert len(layer.trainable_weights) == 1


def test_each_number_has_a_linear_layer_of_its_own():
    vectors = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32)
    layer = number_layers.EachLinear(2, 7)
    layer.build(vectors.shape)
    layer.bias.assign(np.arange(6.0).reshape(3, 2))

    found = layer(vectors).numpy()

    kernel, bias = layer.get_weights()
    for place in range(3):
        expected = vectors[:, place] @ kernel[place] + bias[place]
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-5, atol=1e-6)


def test_kernels_of_numbers_are_as_large_at_first_as_those_of_dense_layers():
    layer = number_layers.EachLinear(8, 7)
    layer.build((None, 300, 16))

    kernel = layer.get_weights()[0]

    assert abs(kernel).max() == pytest.approx((6 / (16 + 8)) ** 0.5, rel=1e-3)
    assert not np.array_equal(kernel[0], kernel[1])


def test_columns_are_selected_in_the_order_given():
    np.testing.assert_array_equal(number_layers.Select([2, 0])(NUMBERS), NUMBERS[:, [2, 0]])


@pytest.mark.parametrize(
    "layer",
    [
        number_layers.Select([2, 0]),
        number_layers.Piecewise(EDGES),
        number_layers.Periodic(4, 0.5, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_numbers_say_their_shape_and_are_made_again(layer):
    again = keras.layers.deserialize(keras.layers.serialize(layer))

    assert layer(NUMBERS).shape == (20, *layer(keras.Input((3,))).shape[1:])
    np.testing.assert_array_equal(again(NUMBERS), layer(NUMBERS))
