"""Steps of optimizers as functions of tensors are those of Keras's optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.fitting import determinism, optimizer
from models.fitting.updates import Rule
from tests.models import small

NAMES = ("kernel", "bias")
RATES = (0.01, 0.02, 0.005)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def gradients():
    """Of three steps, some of them large."""
    generator = np.random.default_rng(3)
    return [
        [(4 * generator.normal(size=shape)).astype(np.float32) for shape in ((3, 2), (2,))]
        for _ in RATES
    ]


def start():
    generator = np.random.default_rng(4)
    return [generator.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,))]


def by_keras(settings, factors):
    variables = [keras.Variable(one, name=name) for one, name in zip(start(), NAMES, strict=True)]
    built = optimizer.build(settings, 1, variables, factors)
    for rate, given in zip(RATES, gradients(), strict=True):
        built.learning_rate = rate
        built.apply([tf.constant(one) for one in given], variables)
    average = built._model_variables_moving_average if settings.ema is not None else []
    return [one.numpy() for one in variables], [one.numpy() for one in average]


def by_rule(settings, factors):
    rule = Rule.of(settings, NAMES, factors)
    weights = [tf.constant(one) for one in start()]
    slots, average = rule.slots(weights), list(weights) if settings.ema is not None else []
    for at, (rate, given) in enumerate(zip(RATES, gradients(), strict=True)):
        place, decay = tf.constant(at, tf.int64), tf.constant(settings.weight_decay)
        slopes = [tf.constant(one) for one in given]
        weights, slots = rule.step(slopes, weights, slots, place, tf.constant(rate), decay)
        average = rule.averaged(average, weights, place)
    return [one.numpy() for one in weights], [one.numpy() for one in average]


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("clip", ["none", "value", "norm", "global_norm"])
def test_three_steps_are_keras_s(name, clip):
    factors = (0.25, 1.0) if clip in ("none", "norm") else ()
    settings = small.settings(
        optimizer=name, clip=clip, clip_at=2.0, weight_decay=0.3, momentum=0.8, ema=0.7
    )

    for mine, theirs in zip(by_rule(settings, factors), by_keras(settings, factors), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


def test_a_weight_without_a_gradient_stays_and_an_embedding_s_rows_are_added_up():
    rule = Rule.of(small.settings(optimizer="sgd", clip="value", clip_at=2.0), ("a", "b"), ())
    rows = tf.IndexedSlices(tf.constant([[1.5], [1.5], [0.5]]), tf.constant([1, 1, 2]), (3, 1))
    weights = [tf.zeros((3, 1)), tf.ones((2,))]

    after, _ = rule.step(
        [rows, None], weights, [], tf.constant(0, tf.int64), tf.constant(1.0), tf.constant(0.0)
    )

    assert after[0].numpy()[:, 0].tolist() == [0, -2, -0.5]
    assert after[1].numpy().tolist() == [1, 1]


def test_what_settings_do_not_use_makes_no_other_rule():
    one = Rule.of(small.settings(optimizer="adam", momentum=0.1, clip_at=3.0), NAMES, (1.0, 1.0))
    other = Rule.of(small.settings(optimizer="adam", momentum=0.9, learning_rate=1.0), NAMES, ())
    assert one == other
    assert one != Rule.of(small.settings(optimizer="adamw"), NAMES, ())
