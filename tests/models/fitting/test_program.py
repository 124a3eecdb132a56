"""Graphs are used again, and nobody can tell by the bytes; each trains as Keras would."""

import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.fitting import criterion, determinism, fit, make, optimizer, program
from models.networks import network
from tests.conftest import ROOT
from tests.models import small

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(70, 3)).astype(np.float32)
PICTURES = GENERATOR.normal(size=(70, 4, 4, 1)).astype(np.float32)
CODES = (INPUTS[:, 0] > 0).astype(np.int32)


@pytest.fixture(autouse=True)
def _none_kept():
    program._kept.clear()


def built(inputs=INPUTS, seed=1, **changes):
    determinism.start(seed)
    task = "classification"
    return network.build(inputs.shape[1:], 2, small.spec(**changes), seed, task=task)


def trained(inputs=INPUTS, seed=1, settings=small.SETTINGS, weights=None, **changes):
    """Weights and figures of a fit."""
    made = built(inputs, seed, **changes)
    part = (inputs, CODES)
    result = fit.fit(made, part, part, settings, seed, name="", weights=(weights, weights))
    return made.get_weights(), result


def same(one, other):
    assert one[1].epochs == other[1].epochs
    assert all(map(np.array_equal, one[0], other[0]))
    np.testing.assert_array_equal(one[1].outputs, other[1].outputs)


DENSE = {"dropout": 0.3, "l2": 0.01}


def test_what_ran_before_does_not_show():
    first = trained(**DENSE)
    program._kept.clear()
    others = small.settings(learning_rate=0.3, batch_size=16, epochs=1, schedule="cosine")

    trained(width=9, dropout=0.6, l2=0.2, settings=others, seed=5)
    again = trained(**DENSE)

    # All by one graph.
    assert len(program._kept) == 1
    same(first, again)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_norm": True, "dropout": 0.2, "l1": 0.01},
        {"architecture": "tabm", "members": 3, "dropout": 0.2},
        {"inputs": PICTURES, "rotation": 20.0, "batch_norm": True},
    ],
    ids=["normalised", "members", "pictures"],
)
def test_seeds_of_one_recipe_share_a_graph(changes):
    second = trained(seed=2, **changes)
    program._kept.clear()

    first = trained(seed=1, **changes)
    again = trained(seed=2, **changes)

    assert len(program._kept) == 1
    same(second, again)
    assert first[1].epochs != again[1].epochs


def test_what_is_another_network_has_another_graph():
    trained()
    trained(depth=2)
    trained(activation="tanh")
    trained(dropout=0.1)
    trained(settings=small.settings(optimizer="sgd"))
    trained(weights=np.ones(len(CODES), np.float32))
    assert len(program._kept) == 6


def test_of_many_graphs_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(program, "MOST", 2)
    for depth in (1, 2, 1, 3):
        trained(depth=depth)
    assert [len(one._made.penalised) for one in program._kept.values()] == [0, 0]
    depths = [len(one._twin.trainable_variables) for one in program._kept.values()]
    assert depths == [4, 8]


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"dropout": 0.3, "l2": 0.05, "l1": 0.02, "depth": 2}, {}),
        ({"batch_norm": True, "dropout": 0.3}, {"optimizer": "adamw", "schedule": "cosine"}),
        ({"inputs": PICTURES, "l2": 0.01}, {"optimizer": "nesterov", "clip": "global_norm"}),
    ],
    ids=["dense", "normalised", "pictures"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_is_what_keras_makes_of_the_same_batches(changes, settings, weighted):
    inputs = changes.pop("inputs", INPUTS) if "inputs" in changes else INPUTS
    used = small.settings(epochs=3, learning_rate=0.02, **settings)
    weights = np.linspace(0.2, 2, len(CODES)).astype(np.float32) if weighted else None
    mine, result = trained(inputs, settings=used, weights=weights, **changes)

    plain = built(inputs, **changes)
    examples = [CODES] if weights is None else [CODES, weights / weights.mean()]
    dataset, steps = fit.batches(inputs, examples, used.batch_size, 1)
    plain.compile(
        optimizer.build(used, steps, plain.trainable_variables),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = plain.fit(dataset, epochs=3, steps_per_epoch=steps, shuffle=False, verbose=0).history

    for one, other in zip(mine, plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert [one.loss for one in result.epochs] == pytest.approx(history["loss"], rel=1e-3)
    assert [one.accuracy for one in result.epochs] == pytest.approx(history["accuracy"], abs=0.02)


def test_batches_of_an_iterator_train_as_those_gathered_in_the_graph():
    made = built(**DENSE)
    used = program.of(made, criterion.CLASSIFY, small.SETTINGS, None, (), (INPUTS, CODES))
    values, rates = used.values(made, small.SETTINGS, 1), np.full(3, 0.01, np.float32)
    dataset, steps = fit.batches(INPUTS, [CODES], 32, 1)
    assert steps == 3

    arrays = tf.constant(INPUTS), tf.constant(CODES)
    one = used.epoch(arrays, 32, (1, 0), rates, used.begin(made), values)
    other = used.epoch_from(iter(dataset), rates, used.begin(made), values)

    assert one[1:] == other[1:]
    assert all(map(np.array_equal, one[0].weights, other[0].weights))


def test_the_network_that_was_given_is_no_twin():
    made = built(**DENSE)
    before = made.get_weights()
    used = program.of(made, criterion.CLASSIFY, small.SETTINGS, None, (), (INPUTS, CODES))
    state = used.begin(made)
    values = used.values(made, small.SETTINGS, 1)
    arrays = tf.constant(INPUTS), tf.constant(CODES)

    state, _, _ = used.epoch(arrays, 32, (1, 0), np.full(3, 0.01, np.float32), state, values)
    assert all(map(np.array_equal, before, made.get_weights()))
    used.finish(made, state)
    assert not np.array_equal(before[0], made.get_weights()[0])


def test_a_penalty_of_another_kind_is_refused():
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(2, kernel_regularizer=keras.regularizers.OrthogonalRegularizer())
    with pytest.raises(TypeError, match="OrthogonalRegularizer"):
        make.Make.of(keras.Model(inputs, layer(inputs)))


class Around(keras.layers.Layer):
    """A layer that holds a model and has no description."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def call(self, inputs):
        return self.held(inputs)


def test_a_network_that_cannot_be_described_is_trained_by_itself():
    def around(seed):
        determinism.start(seed)
        inputs = keras.Input((3,))
        made = network.build((3,), 2, small.spec(l2=0.05), seed)
        return keras.Model(inputs, Around(made)(inputs)), made

    part = (INPUTS, CODES)
    whole, made = around(1)
    found = fit.fit(whole, part, part, small.SETTINGS, 1, name="")
    weights, plain = trained(l2=0.05)

    assert len(program._kept) == 1
    for one, other in zip(made.get_weights(), weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.outputs, plain.outputs, rtol=1e-3, atol=1e-5)


SCRIPT = """
from tests.models.fitting import test_program
print(test_program.digest())
"""


def digest():
    """Of the weights that a fit leaves."""
    weights, _ = trained(**DENSE)
    return hashlib.sha256(b"".join(one.tobytes() for one in weights)).hexdigest()


@pytest.mark.doors
def test_a_new_process_gives_the_bytes_of_an_old_one():
    trained(width=9, dropout=0.6, seed=5)

    ended = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ended.stdout.split() == [digest()]
