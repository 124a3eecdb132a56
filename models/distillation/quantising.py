"""A network in 8 bits: weights and activations as whole numbers, for small devices.

Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018, https://arxiv.org/abs/1712.05877, after training, by TensorFlow Lite. Ranges
are those of some training examples. Inputs and outputs stay float32, so that the network takes and
gives what it did before.

So does what makes vectors of a table's numbers: all values of one operation share a range, and how
far a number lies beyond a narrow bin, before that is cut off, leaves no steps for what lies within
one. On Adult a student of piecewise numbers fell from 86.2 to 75.6 %, which is the commoner class
alone; with that part in float32 it has 86.3 % in 15 kB, instead of 26 kB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models import training
from models.candidate import Quantised
from models.distillation import lite
from models.fitting import determinism, sample
from models.fitting.rows import Rows, block_rows
from pipeline.artifacts import replacing

if TYPE_CHECKING:
    import keras

REPRESENTATIVE = 500
"""Training examples at the most by which ranges are set, evenly spread."""
VECTORS = [
    "GATHER",
    "STRIDED_SLICE",
    "EXPAND_DIMS",
    "RESHAPE",
    "SUB",
    "MUL",
    "MINIMUM",
    "MAXIMUM",
    "SIN",
    "COS",
    "BATCH_MATMUL",
    "ADD",
]
"""Operations that make vectors of numbers; where there are such, they stay in float32."""
TEXTS = (
    "It reads texts: the places of words in a vocabulary are too large for 8 bits. Only the "
    "students of numbers, categories and pictures are converted."
)


@dataclass(frozen=True)
class Quantising:
    """A saved model whose network is to be converted."""

    development: str
    model: str
    folder: str
    """Of a `Quantised`."""


def switched_off(out: Quantised, reason: str) -> None:
    """Write what there is where nothing is converted: why."""
    nothing = dict.fromkeys(("parameters", "multiply_adds", "bytes", "float_bytes"))
    out.make()
    out.facts.write({"enabled": False, "reason": reason, **nothing})


def quantise(item: Quantising) -> None:
    """Piece: write the network in 8 bits, what it predicts for the validation examples, and facts.

    A network that cannot be converted is no error: the facts then say why. In one thread, whose
    sums have one order; converting twice gives the same bytes.
    """
    data = training.encoded(item.development)
    determinism.start(1)
    from models import archive
    from models.networks import count

    network = archive.load(Path(item.model)).get_layer("network")
    out = Quantised(Path(item.folder))
    if data.layout.texts:
        switched_off(out, TEXTS)
        return
    spread = np.linspace(0, len(data.train) - 1, min(REPRESENTATIVE, len(data.train)))
    shown = sample.taken(data.train, np.unique(spread.round().astype(np.int64)))
    try:
        small, whole = convert(network, shown), convert(network, None)
    except (MemoryError, OSError):
        # The machine's, so no word about the network.
        raise
    except Exception as error:
        # The converter raises whatever its many parts do; its first line says which layer.
        said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        switched_off(out, f"TensorFlow Lite cannot convert it: {said[:200]}.")
        return
    outputs = run(small, data.validation)
    out.make()
    with replacing(out.network) as temporary:
        temporary.write_bytes(small)
    with replacing(out.path / "predictions.npz") as temporary:
        predictions = data.target.decode(outputs)[np.newaxis]
        np.savez_compressed(temporary, predictions=predictions.astype(np.float32))
    out.facts.write(
        {
            "enabled": True,
            "reason": None,
            "parameters": count.parameters(network),
            "multiply_adds": count.multiply_adds(network),
            "bytes": len(small),
            "float_bytes": len(whole),
        }
    )


def convert(network: "keras.Model", shown: npt.NDArray[np.float32] | None) -> bytes:
    """The network as TensorFlow Lite has it, for one example at a time.

    shown: `(n, …)` encoded examples by which ranges are set; None: it stays in float32. Raises
    what the converter does where a layer is not among its 8-bit ones.
    """
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    shape = (1, *network.input_shape[1:])
    called = tf.function(
        lambda inputs: network(inputs, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
        autograph=False,
    )
    with lite.quietly():
        # Converted from the network itself, it would be saved to a folder first.
        whole = called.get_concrete_function()
        frozen = convert_to_constants.convert_variables_to_constants_v2(whole)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        converted: bytes
        if shown is None:
            converted = converter.convert()
            return converted

        def examples() -> Iterator[list[Any]]:
            return ([row[np.newaxis]] for row in shown)

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = examples
        if not _has_vectors(network):
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converted = converter.convert()
            return converted
        # The only one of its ways that leaves something out.
        choosing = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=examples,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=VECTORS),
        )
        converted = choosing.get_nondebug_quantized_model()
    return converted


def _has_vectors(network: "keras.Model") -> bool:
    """Whether it makes vectors of a table's numbers."""
    from models.networks import number_layers

    return any(isinstance(layer, number_layers.EachLinear) for layer in network.layers)


def run(converted: bytes, inputs: Rows) -> npt.NDArray[np.float32]:
    """What a converted network gives for `(n, …)` encoded examples, `(n, k)` float32."""
    import tensorflow as tf

    with lite.quietly():
        interpreter = tf.lite.Interpreter(model_content=converted, num_threads=1)
        interpreter.allocate_tensors()
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()

    def told(example: Any) -> Any:
        interpreter.set_tensor(taken["index"], example[np.newaxis])
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])[0]

    size = block_rows(inputs)
    parts = [
        told(example)
        for start in range(0, len(inputs), size)
        for example in inputs[start : start + size]
    ]
    return np.stack(parts).astype(np.float32)
