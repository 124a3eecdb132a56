import subprocess
import sys

import numpy as np
import pytest

from models import determinism


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
        "from models import determinism\n"
        "import tensorflow as tf\n"
        "tf.constant(1.0) + 1.0\n"
        "determinism.start(1)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert "call determinism.start before anything else uses TensorFlow" in ended.stderr
