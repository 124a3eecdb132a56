"""Many networks in one, against loops over networks."""

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from models.fitting import determinism
from models.networks import member_layers
from models.networks.member_layers import Heads, Shared

GENERATOR = np.random.default_rng(1)
SAME = GENERATOR.normal(size=(6, 4)).astype(np.float32)
OWN = GENERATOR.normal(size=(6, 3, 4)).astype(np.float32)
ANSWERS = (5 * GENERATOR.normal(size=(6, 3, 2))).astype(np.float32)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def shaken(layer, shape):
    """The layer with no weight at its first value."""
    layer.build(shape)
    layer.set_weights([GENERATOR.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


@pytest.mark.parametrize("inputs", [SAME, OWN], ids=["same", "own"])
def test_members_share_a_kernel_and_have_scales_and_a_bias_of_their_own(inputs):
    layer = shaken(Shared(5, 3, 1, None), inputs.shape)

    found = layer(inputs).numpy()

    kernel, scale_in, scale_out, bias = layer.get_weights()
    assert found.shape == (6, 3, 5)
    for row in range(6):
        for member in range(3):
            given = inputs[row] if inputs.ndim == 2 else inputs[row, member]
            expected = ((given * scale_in[member]) @ kernel) * scale_out[member] + bias[member]
            np.testing.assert_allclose(found[row, member], expected, rtol=1e-4, atol=1e-5)


def test_members_differ_at_first_by_signs_alone():
    first, later = Shared(5, 8, 1, 2), Shared(5, 8, 1, None)
    first.build((None, 40))
    later.build((None, 8, 5))

    signs = first.scale_in.numpy()

    assert set(signs.ravel()) == {-1, 1}
    assert len({row.tobytes() for row in signs}) == 8
    assert abs(signs.mean()) < 0.2
    for weight, value in ((later.scale_in, 1), (later.scale_out, 1), (first.bias, 0)):
        assert (weight.numpy() == value).all()


def test_each_member_has_a_head():
    layer = shaken(Heads(2, "regression", 1), OWN.shape)

    found = layer(OWN, training=True).numpy()

    kernel, bias = layer.get_weights()
    for member in range(3):
        expected = OWN[:, member] @ kernel[member] + bias[member]
        np.testing.assert_allclose(found[:, member], expected, rtol=1e-4, atol=1e-5)


def test_heads_are_as_large_at_first_as_dense_layers():
    layer = Heads(10, "classification", 1)
    layer.build((None, 16, 64))

    assert abs(layer.kernel.numpy()).max() == pytest.approx((6 / (64 + 10)) ** 0.5, rel=1e-2)


def test_probabilities_are_the_mean_of_the_members():
    found = softmax(member_layers.merged(ANSWERS, "classification"), axis=1)

    np.testing.assert_allclose(found, softmax(ANSWERS, axis=2).mean(axis=1), rtol=1e-5)


def test_probabilities_of_labels_are_the_mean_of_the_members():
    found = expit(member_layers.merged(ANSWERS, "multilabel"))

    np.testing.assert_allclose(found, expit(ANSWERS).mean(axis=1), rtol=1e-5)


def test_quantities_are_the_mean_of_the_members():
    found = member_layers.merged(ANSWERS, "regression")

    np.testing.assert_allclose(found, ANSWERS.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_members_that_are_quite_sure_give_numbers(task):
    sure = np.float32([[[800, -800], [-800, 800]], [[-800, -800], [-800, -800]]])

    assert np.isfinite(member_layers.merged(sure, task)).all()


def test_heads_answer_as_one_at_inference_and_each_in_training():
    layer = Heads(2, "classification", 1)

    answers = layer(OWN, training=True)

    np.testing.assert_array_equal(layer(OWN), member_layers.merged(answers, "classification"))
    assert answers.shape == (6, 3, 2)
    assert layer(keras.Input((3, 4))).shape == (None, 2)
