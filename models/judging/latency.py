"""What a saved model takes to answer, by the clock: for people alone.

The figures differ from run to run, so they go where every other word of the clock goes, among the
process's spans (`pipeline.clock`), and enter no result. A `.keras` model is measured as it would
serve: encoder and network together as one traced function, raw values in, with the threads that
every process of the project is pinned to. A `.tflite` network is measured by its interpreter,
encoded values in.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Examples
from models.distillation import lite
from models.fitting import determinism
from pipeline import clock

if TYPE_CHECKING:
    import keras

Run = Callable[[], Any]

BATCHES = (1, 256)
"""Examples that are asked at once."""
WARM, FEWEST, MOST = 2, 3, 60
"""Runs before any is counted; runs that are counted, at the least and at the most."""
SECONDS = 0.1
"""After which no further run begins, once there are the fewest."""


def span(name: str, batch: int) -> str:
    """What the seconds an example are called among the spans, for a model and a size of batch; the
    page of timings knows them by that (`pipeline.timing`)."""
    return f"latency {name} {batch}"


def measure(models: Mapping[str, Path], examples: Examples) -> None:
    """Add to the process's spans what every model takes for one example, in seconds.

    models: by name `.keras` files, and `.tflite` networks whose inputs the encoder of the first
    `.keras` model makes: learned from the same training examples, it is the same in all of them.
    examples: raw ones, at least one; asked are 256, the same ones again where there are fewer.
    Raises ValueError where there are none, or a `.tflite` network comes without any `.keras` model.
    """
    if not len(examples):
        raise ValueError("examples: got none; at least one is needed to measure with")
    asked = examples.take(np.arange(max(BATCHES)) % len(examples))
    encoder = next((path for path in models.values() if path.suffix == ".keras"), None)
    for name, path in models.items():
        if path.suffix != ".tflite":
            answer = _traced(path)
        elif encoder is None:
            raise ValueError(f"{name}: a .tflite network needs a .keras model to encode for it")
        else:
            answer = _interpreted(path, encoder)
        for batch in BATCHES:
            run = answer(asked.take(np.arange(batch)))
            clock.add({span(name, batch): typical(run) / batch})


def typical(run: Run) -> float:
    """The median of the seconds that a call takes, once it is warm."""
    for _ in range(WARM):
        run()
    took: list[float] = []
    begun = time.perf_counter()
    while len(took) < FEWEST or (len(took) < MOST and time.perf_counter() - begun < SECONDS):
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return median(took)


def _traced(path: Path) -> Callable[[Examples], Run]:
    determinism.start(1)
    import tensorflow as tf

    from models import archive

    model = archive.load(path)
    # Traced once for batches of every size, as a server has it.
    signature = {value.name: tf.TensorSpec(value.shape, value.dtype) for value in model.inputs}
    called = tf.function(
        lambda values: model(values, training=False), input_signature=[signature], autograph=False
    )

    def prepared(examples: Examples) -> Run:
        inputs = _inputs(model, examples)
        return lambda: called(inputs).numpy()

    return prepared


def _inputs(model: "keras.Model", examples: Examples) -> dict[str, Any]:
    """Raw values by the names of the model's inputs."""
    import tensorflow as tf

    from models.networks import encode

    types = {value.name: value.dtype for value in model.inputs}
    named = {encode.input_name(name): values for name, values in examples.features.items()}
    return {name: tf.constant(named[name], dtype=kind) for name, kind in types.items()}


def _interpreted(path: Path, encoder: Path) -> Callable[[Examples], Run]:
    """The network takes one example at a time, and is asked as often as there are examples."""
    determinism.start(1)
    import tensorflow as tf

    from models import archive
    from models.networks import encode

    reads = archive.load(encoder).get_layer("encoder")
    with lite.quietly():
        interpreter = tf.lite.Interpreter(str(path), num_threads=determinism.THREADS)
        interpreter.allocate_tensors()
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()

    def prepared(examples: Examples) -> Run:
        rows = [_quantised(row[np.newaxis], taken) for row in encode.run(reads, examples)]

        def run() -> None:
            for row in rows:
                interpreter.set_tensor(taken["index"], row)
                interpreter.invoke()
                interpreter.get_tensor(given["index"])

        return run

    return prepared


def _quantised(values: npt.NDArray[np.float32], taken: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The values as the network's input has them, which may be whole numbers itself."""
    kind = np.dtype(taken["dtype"])
    if kind == np.float32:
        return values
    scale, zero = taken["quantization"]
    ends = np.iinfo(kind)
    whole: npt.NDArray[Any] = np.clip(np.round(values / scale + zero), ends.min, ends.max)
    return whole.astype(kind)
