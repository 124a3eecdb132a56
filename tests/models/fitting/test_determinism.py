import logging
import random
import subprocess
import sys

import numpy as np
import pytest

from models.fitting import determinism
from tests.models import small


def test_start_gives_the_same_names_and_numbers_every_time():
    import keras

    def built():
        determinism.start(3)
        layer = keras.layers.Dense(4)
        layer.build((None, 2))
        return layer.name, keras.ops.convert_to_numpy(layer.kernel)

    first, second = built(), built()

    assert first[0] == second[0] == "dense"
    np.testing.assert_array_equal(first[1], second[1])


def test_threads_are_the_constant_whatever_the_machine_has():
    import tensorflow as tf

    determinism.pin()
    determinism.pin()

    assert tf.config.threading.get_intra_op_parallelism_threads() == determinism.THREADS
    assert tf.config.threading.get_inter_op_parallelism_threads() == determinism.THREADS


def test_linear_algebra_has_one_thread():
    from threadpoolctl import threadpool_info

    determinism.pin()

    assert {library["num_threads"] for library in threadpool_info()} == {1}


@pytest.mark.doors
def test_a_process_that_ran_with_other_threads_is_refused():
    script = (
        "from models.fitting import determinism\n"
        "import tensorflow as tf\n"
        "tf.constant(1.0) + 1.0\n"
        "determinism.start(1)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert "call determinism.start before anything else uses TensorFlow" in ended.stderr


@pytest.mark.doors
def test_tensorflow_is_imported_without_a_word():
    script = "from models.fitting import determinism; determinism.pin(); import keras"

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_draws_by_other_threads_do_not_show_in_a_network():
    from models.networks import network

    spec = small.spec(
        width=4, depth=2, dropout=0.5, l2=0.0, batch_norm=True, text="pool", embedding=4
    )

    def outputs(draws):
        determinism.start(3)
        for _ in range(draws):
            random.random()
            np.random.random()
        built = network.build((5,), 2, spec, seed=3)
        values = np.ones((4, 5), np.float32)
        return [np.asarray(built(values, training=training)) for training in (False, True)]

    for quiet, disturbed in zip(outputs(0), outputs(1), strict=True):
        np.testing.assert_array_equal(quiet, disturbed)


def test_that_graphs_are_traced_again_is_nobody_s_business():
    """Each serves networks of one make, and a search has many makes."""
    determinism.pin()
    determinism.pin()
    logger = logging.getLogger("tensorflow")
    [passes] = [one for one in logger.filters if one is determinism._is_for_people]
    for message, shown in (
        ("5 out of the last 15 calls to %s triggered tf.function retracing.", False),
        ("%s is something else", True),
    ):
        record = logging.LogRecord("tensorflow", 30, "", 1, message, ("it",), None)
        assert passes(record) == shown
