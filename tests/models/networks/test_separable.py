import numpy as np
import pytest

from models.fitting import determinism
from models.networks import count, network
from tests.models import small

PICTURES = np.random.default_rng(1).normal(size=(2, 6, 5, 1)).astype(np.float32)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def built(shape, **changes):
    settings = {"architecture": "separable", "width": 4, "depth": 3, **changes}
    return network.build(shape, 3, small.spec(**settings), seed=1)


def test_filters_look_at_one_channel_each_and_then_at_one_point():
    import keras

    model = built((6, 5, 1), depth=2)
    parts = [model.get_layer(name).output for name in ("pool_0", "relu_1_depthwise", "relu_1")]
    given, found, mixed = (part.numpy() for part in keras.Model(model.input, parts)(PICTURES))

    kernel, bias = model.get_layer("depthwise_1").get_weights()
    padded = np.pad(given, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros_like(given)
    for down in range(3):
        for across in range(3):
            window = padded[:, down : down + given.shape[1], across : across + given.shape[2]]
            expected += window * kernel[down, across, :, 0]
    np.testing.assert_allclose(found, np.maximum(expected + bias, 0), rtol=1e-4, atol=1e-5)
    kernel, bias = model.get_layer("pointwise_1").get_weights()
    np.testing.assert_allclose(
        mixed, np.maximum(found @ kernel[0, 0] + bias, 0), rtol=1e-4, atol=1e-5
    )


def test_separable_networks_are_counted_by_hand():
    model = built((8, 8, 1))

    second, third = 16 * (9 * 4 + 4 * 4), 4 * (9 * 4 + 4 * 4)
    assert count.multiply_adds(model) == 64 * 9 * 4 + second + third + 2 * 2 * 4 * 3
    one = (9 * 4 + 4) + (4 * 4 + 4)
    assert count.parameters(model) == (9 * 4 + 4) + 2 * one + (16 * 3 + 3)


def test_normalised_networks_have_no_other_biases():
    model = built((8, 8, 1), batch_norm=True)

    one = (9 * 4 + 16) + (4 * 4 + 16)
    assert count.parameters(model) == (9 * 4 + 16) + 2 * one + (16 * 3 + 3)


def test_the_filters_of_a_channel_begin_as_large_as_others():
    model = built((8, 8, 1), width=64)

    kernel = model.get_layer("depthwise_1").get_weights()[0]

    assert abs(kernel).max() == pytest.approx((1 / 3) ** 0.5, rel=0.02)
