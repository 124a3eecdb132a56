import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from models.fitting import criterion, determinism, fit, mixing
from models.networks import network
from tests.models import small

INPUTS = np.arange(24, dtype=np.float32).reshape(8, 3)
CODES = np.int32([0, 1, 2, 0, 1, 2, 0, 1])
WEIGHTS = np.float32([1, 2, 3, 4, 5, 6, 7, 8])


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def mixed(task, codes, *more, alpha=0.4, seed=1):
    batches = tf.data.Dataset.from_tensors((INPUTS, codes, *more)).repeat()
    return mixing.Mixing(alpha, task, seed).dataset(batches)


def shares(inputs):
    """What was taken of each example, told from the inputs."""
    partner = INPUTS[::-1]
    return ((inputs - partner) / (INPUTS - partner))[:, 0]


def test_inputs_weights_and_quantities_are_mixed_by_one_share():
    quantities = INPUTS[:, :2] ** 2
    inputs, told, weights = (
        part.numpy() for part in next(iter(mixed("regression", quantities, WEIGHTS)))
    )
    share = shares(inputs)
    assert ((share >= 0) & (share <= 1)).all()
    assert len(np.unique(share.round(4))) > 4
    spread = share[:, None]
    np.testing.assert_allclose(
        told, spread * quantities + (1 - spread) * quantities[::-1], rtol=1e-4
    )
    np.testing.assert_allclose(weights, share * WEIGHTS + (1 - share) * WEIGHTS[::-1], rtol=1e-4)


def test_of_classes_both_losses_are_mixed_and_the_larger_part_is_to_be_told():
    inputs, told = (part.numpy() for part in next(iter(mixed("classification", CODES))))
    share = shares(inputs)
    outputs = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    plain = criterion.CLASSIFY
    both = mixing.Mixing(0.4, "classification", 1).criterion(plain)
    one, other = (np.asarray(plain.loss(codes, outputs)) for codes in (CODES, CODES[::-1]))
    np.testing.assert_allclose(
        both.loss(told, outputs), share * one + (1 - share) * other, rtol=1e-3
    )
    larger = np.where(share >= 0.5, CODES, CODES[::-1])
    np.testing.assert_array_equal(both.correct(told, outputs), outputs.argmax(axis=1) == larger)


def test_each_of_both_classes_counts_by_its_own_weight():
    """Otherwise mixtures would take from the rare class what its weight gives it."""
    light = WEIGHTS * (np.arange(8) > 0)
    outputs = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    plain = criterion.CLASSIFY
    both = mixing.Mixing(0.4, "classification", 1).criterion(plain)
    one, other = (np.asarray(plain.loss(codes, outputs)) for codes in (CODES, CODES[::-1]))
    for weights in (WEIGHTS, light, np.zeros(8, np.float32)):
        inputs, told, mixed_ = (
            part.numpy() for part in next(iter(mixed("classification", CODES, weights)))
        )
        share = shares(inputs)
        np.testing.assert_allclose(
            both.loss(told, outputs) * mixed_,
            share * weights * one + (1 - share) * weights[::-1] * other,
            rtol=1e-3,
            atol=1e-6,
        )
        larger = np.where(share >= 0.5, CODES, CODES[::-1])
        right = both.correct(told, outputs)
        np.testing.assert_array_equal(right, outputs.argmax(axis=1) == larger)


def test_every_batch_is_mixed_otherwise_and_the_same_with_the_same_seed():
    first, second = (part[0].numpy() for part in mixed("regression", INPUTS).take(2))
    again = next(iter(mixed("regression", INPUTS)))[0].numpy()
    other = next(iter(mixed("regression", INPUTS, seed=2)))[0].numpy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("alpha", [0.2, 0.4, 2.0])
def test_shares_follow_the_beta_distribution(alpha):
    drawn = mixing.beta(tf.constant([4000]), alpha, tf.constant([1, 2], tf.int64)).numpy()
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).statistic < 0.03


@pytest.mark.parametrize("architecture", ["plain", "tabm"])
def test_a_network_is_trained_on_mixtures(architecture):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(200, 3)).astype(np.float32)
    codes = (inputs[:, 0] > 0).astype(np.int32)
    built = network.build(
        (3,), 2, small.spec(architecture=architecture, members=4), 1, task="classification"
    )
    settings = small.settings(epochs=25, learning_rate=0.02, mixup=0.3)
    fitted = fit.fit(
        built,
        (inputs, codes),
        (inputs, codes),
        settings,
        1,
        name="mixed",
        mixing=mixing.Mixing(settings.mixup, "classification", 1),
    )
    assert fitted.epochs[-1].val_accuracy > 0.9
    # Mixtures of both classes cannot be told for certain.
    assert fitted.epochs[-1].loss > 0.15
