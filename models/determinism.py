"""Same inputs, same bytes: what every process does before it builds or runs a network.

Measured on two cores: one, two and four intra-op threads give different weights for the same
network, because sums are split differently. So the number of threads is a constant here, whatever
the machine has; on one visible core the same two threads take turns.
"""

import os
import sys

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


def pin() -> None:
    """Fix the threads of TensorFlow, and those of BLAS and OpenMP in libraries loaded so far.

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
    tf.config.experimental.enable_op_determinism()
    # The linear algebra of NumPy and scikit-learn also sums in another order with more threads.
    threadpool_limits(1)


def start(seed: int) -> None:
    """Pin the threads, forget the names Keras counts up, and seed Python, NumPy and TensorFlow.

    Called at the start of every piece of work, so that a piece gives the same bytes as the first
    in its process and as the tenth.
    """
    pin()
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
