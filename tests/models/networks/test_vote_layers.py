"""The vote of networks, against the mean of what each of them predicts."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from dataset import target as targets
from dataset.target import Target
from models.fitting import determinism
from models.networks import layers
from models.networks.vote_layers import Vote

GENERATOR = np.random.default_rng(1)
OUTPUTS = (5 * GENERATOR.normal(size=(3, 6, 2))).astype(np.float32)
"""Of three networks."""


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def learned(task, transform="none") -> Target:
    """Classes, labels, or two quantities with a long tail, one of which begins below zero."""
    if task == "classification":
        return targets.learn(task, ["label"], np.array(["a", "b"]), transform, balanced=False)
    values = np.exp(np.random.default_rng(2).normal(size=(200, 2))) * [1, 1000] - [0, 300]
    shown = (values > 1) if task == "multilabel" else values
    return targets.learn(task, ["one", "two"], shown, transform, balanced=False)


def vote(target) -> Vote:
    return Vote(target.task, [one.model_dump(mode="json") for one in target.quantities])


def predicted(target, outputs):
    """By the layers that follow in a saved model."""
    told = vote(target)(list(outputs))
    if target.task == "classification":
        return keras.layers.Softmax()(told).numpy()
    if target.task == "multilabel":
        return keras.layers.Activation("sigmoid")(told).numpy()
    return layers.Quantities([one.model_dump(mode="json") for one in target.quantities])(
        told
    ).numpy()


def test_probabilities_are_the_mean_of_the_networks():
    found = predicted(learned("classification"), OUTPUTS)

    np.testing.assert_allclose(found, softmax(OUTPUTS, axis=2).mean(axis=0), rtol=1e-5)


def test_probabilities_of_labels_are_the_mean_of_the_networks():
    found = predicted(learned("multilabel"), OUTPUTS)

    np.testing.assert_allclose(found, expit(OUTPUTS).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("transform", ["none", "log", "quantile"])
def test_quantities_are_the_mean_of_the_networks_in_their_own_units(transform):
    target = learned("regression", transform)

    found = predicted(target, OUTPUTS / 5)

    expected = np.mean([target.decode(one) for one in OUTPUTS / 5], axis=0, dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    if transform != "none":
        straight = target.decode(OUTPUTS.mean(axis=0) / 5)
        assert abs(straight / expected - 1).max() > 0.1


def test_quantities_far_beyond_what_training_saw_are_bounded_one_by_one():
    """As each network's own are: beyond the last quantile nothing grows any more."""
    target = learned("regression", "quantile")
    far = np.stack([np.full((1, 2), 40), np.full((1, 2), -1)]).astype(np.float32)

    found = predicted(target, far)

    expected = np.mean([target.decode(one) for one in far], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_networks_that_are_quite_sure_give_numbers(task):
    sure = np.float32([[[800, -800], [-800, -800]], [[-800, 800], [-800, -800]]])
    target = learned(task)

    told = vote(target)(list(sure)).numpy()

    assert np.isfinite(told).all()
    np.testing.assert_allclose(predicted(target, sure)[0], [0.5, 0.5], rtol=1e-5)


def test_huge_logarithms_give_numbers():
    target = learned("regression", "log")
    huge = np.full((2, 1, 2), 1e4, np.float32)

    assert np.isfinite(predicted(target, huge)).all()


@settings(max_examples=30, deadline=None)
@given(
    case=st.sampled_from(
        [("classification", "none"), ("multilabel", "none")]
        + [("regression", transform) for transform in ("none", "log", "quantile")]
    ),
    seed=st.integers(0, 2**31),
    networks=st.integers(1, 5),
)
def test_networks_that_agree_are_believed_and_others_met_between(case, seed, networks):
    target = learned(*case)
    outputs = np.random.default_rng(seed).normal(size=(networks, 4, 2)).astype(np.float32)

    agreed = predicted(target, np.repeat(outputs[:1], networks, axis=0))
    found = predicted(target, outputs)

    np.testing.assert_allclose(agreed, target.decode(outputs[0]), rtol=1e-3, atol=1e-4)
    each = np.stack([target.decode(one) for one in outputs])
    slack = 1e-3 * (1 + abs(each).max())
    assert (found >= each.min(axis=0) - slack).all()
    assert (found <= each.max(axis=0) + slack).all()


def test_it_is_saved_with_what_it_was_made_with():
    layer = vote(learned("regression", "log"))

    again = Vote.from_config(layer.get_config())

    np.testing.assert_array_equal(again(list(OUTPUTS)), layer(list(OUTPUTS)))
    assert layer([keras.Input((2,)), keras.Input((2,))]).shape == (None, 2)
