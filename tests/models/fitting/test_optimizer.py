import keras
import numpy as np
import pytest
import tensorflow as tf

from models.fitting import determinism, optimizer
from models.networks import network
from tests.models import small

START = np.array([[3.0, -4.0]], dtype=np.float32)
GRADIENT = np.array([[6.0, -8.0]], dtype=np.float32)
"""Of the squared distance to the origin; its norm is 10."""


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def stepped(steps=1, **changes):
    """A kernel and a bias after steps with the gradients of their squares."""
    kernel = keras.Variable(START, name="kernel")
    bias = keras.Variable(START[0], name="bias")
    settings = small.settings(**changes)
    built = optimizer.build(settings, 1, [kernel, bias])
    for _ in range(steps):
        gradients = [2 * keras.ops.convert_to_tensor(one) for one in (kernel, bias)]
        built.apply_gradients(list(zip(gradients, [kernel, bias], strict=True)))
    return np.asarray(kernel), np.asarray(bias), built


@pytest.mark.parametrize(
    ("clip", "at", "expected"),
    [
        ("none", 1.0, GRADIENT),
        ("value", 7.0, np.array([[6.0, -7.0]])),
        ("norm", 5.0, GRADIENT / 2),
        # Over both variables: the norm of all is 10 times the root of 2.
        ("global_norm", 5.0, GRADIENT * 5 / (10 * np.sqrt(2))),
        ("norm", 50.0, GRADIENT),
    ],
)
def test_gradients_are_bounded(clip, at, expected):
    kernel, _, _ = stepped(optimizer="sgd", learning_rate=0.1, clip=clip, clip_at=at)
    np.testing.assert_allclose(START - kernel, 0.1 * expected, rtol=1e-5)


def test_each_optimizer_steps_as_its_formula_says():
    rate, momentum = 0.1, 0.8
    plain, _, _ = stepped(optimizer="sgd", learning_rate=rate)
    np.testing.assert_allclose(plain, START * (1 - 2 * rate), rtol=1e-6)
    for nesterov in (False, True):
        value, velocity = START.astype(float), 0.0
        for _ in range(3):
            slope = 2 * value
            velocity = momentum * velocity - rate * slope
            value = value + (momentum * velocity - rate * slope if nesterov else velocity)
        name = "nesterov" if nesterov else "momentum"
        kernel, _, _ = stepped(3, optimizer=name, learning_rate=rate, momentum=momentum)
        np.testing.assert_allclose(kernel, value, rtol=1e-5)
    # Their first step has the size of the rate, whatever the gradient's.
    adam, _, _ = stepped(optimizer="adam", learning_rate=rate)
    np.testing.assert_allclose(START - adam, rate * np.sign(START), rtol=1e-4)
    mean = np.sqrt(0.1)
    rmsprop, _, _ = stepped(optimizer="rmsprop", learning_rate=rate)
    np.testing.assert_allclose(START - rmsprop, rate * np.sign(START) / mean, rtol=1e-4)


def test_kernels_decay_and_biases_do_not():
    given = {"optimizer": "adamw", "learning_rate": 0.1}
    kernel, bias, _ = stepped(**given, weight_decay=0.5)
    plain, plain_bias, _ = stepped(**given, weight_decay=0.0)
    np.testing.assert_allclose(plain - kernel, 0.1 * 0.5 * START, rtol=1e-4)
    np.testing.assert_array_equal(bias, plain_bias)


def test_of_every_network_only_kernels_and_embeddings_decay():
    for architecture in ("plain", "residual", "tabm"):
        determinism.start(1)
        spec = small.spec(architecture=architecture, batch_norm=True, depth=2)
        built = network.build((5,), 2, spec, 1, task="classification")
        made = optimizer.build(small.settings(optimizer="adamw"), 1, built.trainable_variables)
        decayed = {v.name for v in built.trainable_variables if made._use_weight_decay(v)}
        kept = {v.name for v in built.trainable_variables if not made._use_weight_decay(v)}
        assert decayed == {"kernel"}
        assert {"bias", "gamma", "beta"} <= kept


@pytest.mark.parametrize("clip", ["value", "norm", "global_norm"])
def test_a_word_that_occurs_twice_is_bounded_once(clip):
    embedding = keras.layers.Embedding(3, 1, embeddings_initializer="zeros")
    embedding.build()
    [weights] = embedding.trainable_variables
    settings = small.settings(optimizer="sgd", learning_rate=1.0, clip=clip, clip_at=2.0)
    used = optimizer.build(settings, 1, [weights])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(1.5 * embedding(np.array([[1, 1, 1, 1]])))
    # Row by row each gradient is 1.5; what would move the word is 6.
    used.apply(tape.gradient(loss, [weights]), [weights])

    np.testing.assert_allclose(-weights.numpy()[:, 0], [0, 2, 0], rtol=1e-6)


def paced(factors, steps=1, **changes):
    """As `stepped`, each variable with a factor of the learning rate."""
    kernel = keras.Variable(START, name="kernel")
    bias = keras.Variable(START[0], name="bias")
    built = optimizer.build(small.settings(**changes), 1, [kernel, bias], factors)
    for _ in range(steps):
        gradients = [2 * keras.ops.convert_to_tensor(one) for one in (kernel, bias)]
        built.apply_gradients(list(zip(gradients, [kernel, bias], strict=True)))
    return np.asarray(kernel), np.asarray(bias)


@pytest.mark.parametrize("schedule", ["fixed", "exponential"])
def test_each_variable_steps_at_its_own_rate(schedule):
    kernel, bias = paced((0.25, 1.0), optimizer="sgd", learning_rate=0.1, schedule=schedule)

    np.testing.assert_allclose(kernel, START * (1 - 2 * 0.1 * 0.25), rtol=1e-6)
    np.testing.assert_allclose(bias, START[0] * (1 - 2 * 0.1), rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "momentum", "nesterov"])
def test_the_factor_is_of_the_step_and_not_of_the_gradient(name):
    given = {"optimizer": name, "learning_rate": 0.01, "momentum": 0.8}
    whole, _, _ = stepped(**given)

    # With a clip, whose optimizer is one more subclass.
    kernel, bias = paced((0.25, 1.0), clip="global_norm", clip_at=1e3, **given)

    np.testing.assert_allclose(START - kernel, (START - whole) / 4, rtol=1e-3)
    np.testing.assert_allclose(START[0] - bias, (START - whole)[0], rtol=1e-3)


def test_a_weight_decays_at_its_own_rate_too():
    given = {"optimizer": "adamw", "learning_rate": 0.1}
    kernel, _ = paced((0.25, 1.0), **given, weight_decay=0.5)
    plain, _ = paced((0.25, 1.0), **given, weight_decay=0.0)

    np.testing.assert_allclose(plain - kernel, 0.25 * 0.1 * 0.5 * START, rtol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_factors_of_one_change_not_a_bit(name):
    given = {"optimizer": name, "learning_rate": 0.1, "ema": 0.9}
    kernel, bias, _ = stepped(3, **given)

    for factors in ((), (1.0, 1.0)):
        same = paced(factors, 3, **given)
        np.testing.assert_array_equal(same[0], kernel)
        np.testing.assert_array_equal(same[1], bias)
