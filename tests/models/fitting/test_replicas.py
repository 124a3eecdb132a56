import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.fitting import determinism, fit, replicas
from models.networks import network
from tests.conftest import ROOT
from tests.models import small

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(101, 3)).astype(np.float32)
CODES = (INPUTS[:, 0] > 0).astype(np.int32)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def fitted(spec=None, weights=(None, None), rows=101, **changes):
    determinism.start(1)
    built = network.build((3,), 2, small.spec(width=8, **(spec or {})), seed=1)
    settings = small.settings(learning_rate=0.01, batch_size=20, epochs=3, **changes)
    data = INPUTS[:rows], CODES[:rows]
    result = fit.fit(built, data, data, settings, 1, name="fit", weights=weights)
    return built.get_weights(), result


def apart(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def alone(*told):
    command = [sys.executable, "-B", "-m", "tests.models.fitting.mirrored", *map(str, told)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_parts_on_devices_of_their_own_are_what_a_mirrored_strategy_makes_of_them():
    spread, together = alone(2, 2), alone(2)

    # Sums are taken in another order, so a bit of float32 may differ here and there.
    assert spread["from the strategy"] < 1e-6
    assert 0 < spread["from one part"] < 0.1, "a normalisation sees its own part alone"
    assert spread["devices"] == ["/device:CPU:0", "/device:CPU:1"]
    # Where there is one device, it computes both parts, to the same bytes.
    assert together["devices"] == [None, None]
    assert together["digest"] == spread["digest"]


@pytest.mark.parametrize("count", [2, 3, 20])
def test_without_normalisation_parts_make_no_difference_but_in_rounding(count):
    # Of 101 rows in batches of 20, the last has one: with more parts most are without any.
    one, plain = fitted({"l1": 0.001, "l2": 0.001})
    several, result = fitted({"l1": 0.001, "l2": 0.001}, replicas=count)

    assert apart(one, several) < 1e-5
    for found, was in zip(result.epochs, plain.epochs, strict=True):
        assert found.loss == pytest.approx(was.loss, rel=1e-5)
        assert found.accuracy == was.accuracy


def test_examples_count_as_much_in_parts():
    importance = GENERATOR.uniform(0.1, 3, size=101).astype(np.float32)
    one, _ = fitted(weights=(importance, importance))
    several, _ = fitted(weights=(importance, importance), replicas=4)
    unlike, _ = fitted(replicas=4)

    assert apart(one, several) < 1e-5
    assert apart(several, unlike) > 1e-3


def test_a_part_without_rows_is_no_danger_to_a_normalisation():
    weights, result = fitted({"batch_norm": True}, rows=41, replicas=3)

    assert not result.diverged
    assert all(np.isfinite(one).all() for one in weights)


def test_the_same_parts_give_the_same_bytes():
    changes = {"replicas": 2, "optimizer": "sgd"}
    first, _ = fitted({"dropout": 0.5}, **changes)
    again, _ = fitted({"dropout": 0.5}, **changes)

    assert apart(first, again) == 0


def test_each_part_drops_units_of_its_own():
    state = [tf.constant([7, 3], tf.int64), tf.constant([0.5])]

    numbers, statistics = zip(*(replicas.started(state, place) for place in range(3)), strict=True)

    assert len({tuple(one.numpy().tolist()) for one in numbers}) == 3
    assert numbers[0].numpy().tolist() == [7, 3], "the first is as it would be alone"
    assert {float(one.numpy()[0]) for one in statistics} == {0.5}


def test_what_parts_leave_is_added_up_averaged_or_taken_from_the_first():
    def part(gradient, mean, state):
        return replicas.Found(
            [tf.constant([gradient]), None],
            [tf.constant([mean]), tf.constant([state], tf.int64)],
            tf.constant(gradient),
            tf.constant(1.0),
        )

    found = replicas.joined([part(1.0, 4.0, 5), part(2.0, 8.0, 6)])

    assert found.gradients[0].numpy().tolist() == [3.0]
    assert found.gradients[1] is None
    assert [one.numpy().tolist() for one in found.others] == [[6.0], [5]]
    assert (float(found.loss), float(found.right)) == (3.0, 2.0)


def test_rows_of_an_embedding_are_added_up():
    sparse = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([1, 1]), tf.constant([3, 1]))
    part = replicas.Found([sparse], [], tf.constant(0.0), tf.constant(0.0))

    [gradient] = replicas.joined([part, part]).gradients

    assert gradient.numpy().tolist() == [[0.0], [6.0], [0.0]]


@given(count=st.integers(1, 40), parts=st.integers(1, 12))
def test_every_row_of_a_batch_counts_in_one_part(count, parts):
    batch = [tf.range(count), 10 * tf.range(count)]
    counted = []
    for place in range(parts):
        (rows, others), counts = replicas.part(batch, place, parts)
        assert len(rows) >= 1
        assert others.numpy().tolist() == (10 * rows).numpy().tolist()
        counted += rows.numpy().tolist() if float(counts) else []

    assert counted == list(range(count))
