"""Same inputs, same bytes: what every process does before it builds or runs a network.

Measured on two cores: one, two and four intra-op threads give different weights for the same
network, because sums are split differently. So the number of threads is a constant here, whatever
the machine has; on one visible core the same two threads take turns.
"""

import gc
import logging
import os
import random
import sys
from functools import cache

import numpy as np

THREADS = 2
"""TensorFlow's threads within and between operations, on every machine."""


def _import_tensorflow() -> None:
    """Import TensorFlow without what its C++ side says about drivers it does not need.

    It speaks to the process's stderr before any of its own settings can be heard, once on import
    and once when it lists devices. An import that fails still raises.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _is_for_people(record: logging.LogRecord) -> bool:
    """All but that graphs are traced again: each serves networks of one make, and there are many
    makes."""
    return "tf.function retracing" not in record.getMessage()


def pin() -> None:
    """Fix the threads of TensorFlow, and those of BLAS and OpenMP in libraries loaded so far; let
    memory of GPUs be taken as it is needed.

    Raises RuntimeError where TensorFlow has run something with other settings already: its
    threads cannot be changed then, and results would depend on who came first.
    """
    _import_tensorflow()
    import tensorflow as tf
    from threadpoolctl import threadpool_limits

    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(THREADS)
        threading.set_inter_op_parallelism_threads(THREADS)
        # Else the first process on a GPU takes all of its memory, whatever its network needs.
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        # Also raised for the values it already has, when the process has run something.
        found = (
            threading.get_intra_op_parallelism_threads(),
            threading.get_inter_op_parallelism_threads(),
        )
        if found != (THREADS, THREADS):
            raise RuntimeError(
                f"TensorFlow already runs with {found} threads (0: as many as cores); "
                f"call determinism.start before anything else uses TensorFlow"
            ) from None
    # Added once, however often this is called.
    tf.get_logger().addFilter(_is_for_people)
    tf.config.experimental.enable_op_determinism()
    # The linear algebra of NumPy and scikit-learn also sums in another order with more threads.
    threadpool_limits(1)


@cache
def _set_aside() -> None:
    """Keep what the libraries made when they were imported out of every later collection: half a
    million objects that never go, and 0.3 s every time."""
    gc.collect()
    gc.freeze()


def start(seed: int) -> None:
    """Pin the threads, forget the names Keras counts up, and seed Python, NumPy and Keras.

    Called at the start of every piece of work, so that a piece gives the same bytes as the first
    in its process and as the tenth. TensorFlow's own generator stays without a seed: what draws
    from it, where operations are deterministic, is an error.
    """
    pin()
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.naming import reset_uids

    # Not `clear_session` and `set_random_seed`: with both TensorFlow forgets what it made of the
    # graphs that are used again (`models.fitting.program`), and makes it anew at their next call.
    reset_uids()
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    random.seed(seed)
    np.random.seed(seed)
    _set_aside()
    gc.collect()
