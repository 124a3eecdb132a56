"""A teacher of the user's own: a Keras model in a file, understood from what it takes and gives.

Nothing in the file is executed: what a file may hold is looked at before Keras reads it, Keras
reads it with `safe_mode`, and it is never written to.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dataset.examples import PICTURE, Development, Examples, Schema
from dataset.target import Target
from models import archive, inspection
from models.distillation import hidden
from models.fitting import criterion
from models.networks import count, encode, member_layers, number_layers, text_layers
from models.training import Encoded
from pipeline.errors import InputError

log = logging.getLogger("fettle")

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Feed = Callable[[Examples], list[Any]]
"""Examples to a model's inputs, in their order."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey (ITU-R BT.601), as pictures are read elsewhere here."""
LEAST = 1e-7
"""Probabilities are at least so large before their logarithm."""
NEAR_ONE = 1e-3
"""Probabilities add up to 1, but for rounding."""
COUNTED = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Embedding,
    member_layers.Heads,
    member_layers.Shared,
    number_layers.EachLinear,
    number_layers.Periodic,
    text_layers.Positions,
)
"""Layers with matrices whose multiply-adds `models.networks.count` knows, or that have none."""


class Given:
    """A teacher that takes raw values and whose outputs were understood."""

    def __init__(
        self, model: keras.Model, feed: Feed, told: Callable[[Array], Floats], source: Development
    ) -> None:
        """`told`: what the model gives to logits or codes."""
        self._whole = model
        # Inputs and outputs as lists, whatever structure the file has.
        self._model = keras.Model(model.inputs, model.outputs)
        self._feed = feed
        self._told = told
        self._source = source

    def outputs(self, more: Examples | None) -> Floats:
        """Logits or codes of the training examples and of some more, `(n, k)`."""
        return self._told(self._given(self._model, more))

    def hidden(self, more: Examples | None) -> Floats | None:
        """The last hidden vector of the same, `(n, d)`, if there is one."""
        vector = _own_hidden(self._whole) if _is_own(self._whole) else hidden.last(self._model)
        if vector is None:
            return None
        return self._given(keras.Model(self._model.inputs, [vector]), more)

    def cost(self) -> tuple[int, int | None]:
        """Parameters, and multiply-adds for one example, None where not all layers are counted."""
        counted = None if uncounted(self._model) else count.multiply_adds(self._model)
        return count.parameters(self._model), counted

    def _given(self, model: keras.Model, more: Examples | None) -> Floats:
        blocks = [*self._source.blocks("train"), *([] if more is None else [more])]
        return np.concatenate([run(model, self._feed, block) for block in blocks])


def _is_own(model: keras.Model) -> bool:
    """Whether it is a model of this project's: see `models.networks.network.assemble`."""
    names = [layer.name for layer in model.layers]
    return "encoder" in names and "network" in names


def _own_hidden(model: keras.Model) -> Any | None:
    """The last hidden vector of its network, from the raw inputs on."""
    encoder, network = model.get_layer("encoder"), model.get_layer("network")
    vector = hidden.last(network)
    if vector is None:
        return None
    inputs = {value.name: value for value in model.inputs}
    return keras.Model(network.input, vector)(encoder(inputs))


def load(path: Path, development: Development, data: Encoded) -> Given:
    """The teacher in a `.keras` file, or in an `.h5` file of Keras's earlier days.

    A model of this project's takes raw values by name and gives predictions. Any other is given
    pictures as they are (0 to 255, where they were files) in its own size and channels, or a
    table's columns by name, or all of them as one matrix where all are numbers. Its outputs are
    probabilities where those of the training examples look like it, else logits; of quantities
    they are quantities. One output for two classes is about the second.

    Raises InputError where the file cannot be read safely, where inputs or outputs do not suit the
    data, where an output is not finite, or where the teacher is no better on validation than who
    says the same of every example.
    """
    _refuse_code(path)
    model = _read(path)
    schema, target = data.schema, data.target
    feed = _feed(path, model, schema)
    plain = keras.Model(model.inputs, model.outputs)
    seen = [run(plain, feed, block) for block in development.blocks("train")]
    given = np.concatenate(seen)
    _refuse_strange(path, given, target)
    kind, told = _understood(given, target)
    validation = [run(plain, feed, block) for block in development.blocks("validation")]
    outputs = told(np.concatenate(validation))
    _refuse_ignorant(path, outputs, data, kind)
    return Given(model, feed, told, development)


def _refuse_code(path: Path) -> None:
    """Raise InputError where the file names anything that is not Keras's own or this project's."""
    if not path.is_file():
        raise InputError(f"distill.teacher: {path}: there is no such file.")
    suffix = path.suffix.lower()
    if suffix not in (".keras", *inspection.LEGACY):
        raise InputError(
            f"distill.teacher: {path}: a Keras model is read from a .keras or an .h5 file.\n"
            "Save it so: model.save('teacher.keras')"
        )
    try:
        described = inspection.described(path)
    except InputError as error:
        raise InputError(f"distill.teacher: {error}") from None
    except Exception as error:
        # Damaged bytes raise errors of any class in zipfile, zlib, HDF5 and json.
        raise _unreadable(path, error) from None
    if told := inspection.code(described) or inspection.foreign(described):
        raise InputError(
            f"distill.teacher: {path}: {told}.\n"
            "Build the model of Keras's own layers and save it again."
        )


def _read(path: Path) -> keras.Model:
    try:
        model = archive.load(path)
    except InputError as error:
        raise InputError(f"distill.teacher: {error}") from None
    except Exception as error:
        raise _unreadable(path, error) from None
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise InputError(
            f"distill.teacher: {path}: what it takes and gives is not known.\n"
            "Build the model with keras.Sequential or from keras.Input, and save it again."
        )
    return model


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"distill.teacher: {inspection.unreadable(path, error)}")


def _feed(path: Path, model: keras.Model, schema: Schema) -> Feed:
    """How the model is given examples; raises InputError where it cannot be."""
    if schema.kind == "pictures":
        return _picture_feed(path, model, schema)
    columns = {encode.input_name(name): name for name in schema.names()}
    names = [value.name for value in model.inputs]
    narrow = all(len(value.shape) == 1 or value.shape[1:] == (1,) for value in model.inputs)
    kinds = {column.name: column.type for column in schema.columns}
    if set(names) <= set(columns) and narrow:
        for value in model.inputs:
            if not _suits(kinds[columns[value.name]], value):
                raise InputError(
                    f"distill.teacher: {path}: its input {value.name} takes {value.dtype}, and the "
                    f"column {columns[value.name]} is {kinds[columns[value.name]]}.\n"
                    "Say what it holds in ingest.types, or let the teacher take that."
                )
        return lambda examples: [
            _column(examples.features[columns[value.name]], value) for value in model.inputs
        ]
    numbers = all(kinds[name] == "numeric" for name in schema.names())
    if numbers and len(names) == 1 and model.inputs[0].shape[1:] == (len(columns),):
        return lambda examples: [
            tf.cast(
                np.stack([examples.features[name] for name in schema.names()], axis=1),
                model.inputs[0].dtype,
            )
        ]
    takes = ", ".join(f"{value.name} {_shape(value)}" for value in model.inputs)
    matrix = f", or one matrix {(None, len(columns))} of them in this order" if numbers else ""
    raise InputError(
        f"distill.teacher: {path}: its inputs are {takes}, and the data have the columns "
        f"{', '.join(schema.names())}.\n"
        f"A teacher takes columns by their names, one number or text each{matrix}."
    )


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value.shape)


def _suits(kind: str, taker: Any) -> bool:
    """Whether an input takes what a column of that type holds: texts, or numbers."""
    return (kind in ("categorical", "text")) == (str(taker.dtype) == "string")


def _column(values: Array, taker: Any) -> Any:
    told = tf.constant(values, tf.string) if values.dtype == object else tf.constant(values)
    cast = told if told.dtype == taker.dtype else tf.cast(told, taker.dtype)
    return cast if len(taker.shape) == 1 else cast[:, tf.newaxis]


def _picture_feed(path: Path, model: keras.Model, schema: Schema) -> Feed:
    shape = model.inputs[0].shape[1:]
    channels = shape[-1] if len(shape) == 3 else None
    if len(model.inputs) != 1 or len(shape) != 3 or channels not in (1, 3, None):
        takes = ", ".join(f"{value.name} {_shape(value)}" for value in model.inputs)
        raise InputError(
            f"distill.teacher: {path}: its inputs are {takes}.\n"
            "A teacher of pictures takes one input (height, width, channels), with 1 or 3 "
            "channels, last."
        )
    height, width, own = schema.shape
    size = (shape[0] or height, shape[1] or width)

    def feed(examples: Examples) -> list[Any]:
        pictures = tf.cast(examples.features[PICTURE], tf.float32)
        if channels == 3 and own == 1:
            pictures = tf.repeat(pictures, 3, axis=-1)
        elif channels == 1 and own == 3:
            grey = tf.reduce_sum(pictures * tf.constant(LUMINANCE), axis=-1, keepdims=True)
            pictures = grey
        if size != (height, width):
            pictures = tf.image.resize(pictures, size, antialias=True)
        return [tf.cast(pictures, model.inputs[0].dtype)]

    return feed


def run(model: keras.Model, feed: Feed, examples: Examples) -> Floats:
    """What the model gives for the examples, `(n, k)`, a batch at a time."""
    size = encode.rows(model)
    parts = []
    for start in range(0, len(examples), size):
        places = np.arange(start, min(start + size, len(examples)))
        [given] = keras.tree.flatten(model(feed(examples.take(places)), training=False))
        parts.append(np.asarray(given, dtype=np.float32).reshape(len(places), -1))
    return np.concatenate(parts)


def _refuse_strange(path: Path, given: Floats, target: Target) -> None:
    """Raise InputError where outputs are of another number or not finite."""
    asked = target.outputs
    single = target.task == "classification" and asked == 2 and given.shape[1] == 1
    if given.shape[1] != asked and not single:
        raise InputError(
            f"distill.teacher: {path}: it gives {given.shape[1]} numbers for an example, where "
            f"{asked} are needed: {_names(target)}."
        )
    strange = int((~np.isfinite(given).all(axis=1)).sum())
    if strange:
        raise InputError(
            f"distill.teacher: {path}: what it gives for {strange:,} of {len(given):,} training "
            "examples is no finite number.\n"
            "It may know nothing of missing values: give it layers that do, or fill them in "
            "before the run."
        )


def _understood(given: Floats, target: Target) -> tuple[str, Callable[[Array], Floats]]:
    """What the outputs are, and the way from them to logits or codes."""
    if target.task == "regression":
        return "quantities", lambda told: target.encode(told).astype(np.float32)
    bounded = bool((given >= 0).all() and (given <= 1 + NEAR_ONE).all())
    if target.task == "multilabel":
        return ("probabilities", _odds) if bounded else ("logits", _plain)
    if given.shape[1] == 1:
        # Beside it the logit of the first class is 0.
        odds = _odds if bounded else _plain
        kind = "the probability" if bounded else "the logit"
        return f"{kind} of {target.names[1]!r}", lambda told: np.pad(odds(told), ((0, 0), (1, 0)))
    adding_up = bool((np.abs(given.sum(axis=1) - 1) < NEAR_ONE).all())
    return ("probabilities", _logarithms) if bounded and adding_up else ("logits", _plain)


def _plain(given: Array) -> Floats:
    return given.astype(np.float32)


def _logarithms(given: Array) -> Floats:
    logarithms: Floats = np.log(np.maximum(given, LEAST)).astype(np.float32)
    return logarithms


def _odds(given: Array) -> Floats:
    exact = np.clip(given.astype(np.float64), LEAST, 1 - LEAST)
    odds: Floats = np.log(exact / (1 - exact)).astype(np.float32)
    return odds


def _refuse_ignorant(path: Path, outputs: Floats, data: Encoded, kind: str) -> None:
    """Raise InputError where the teacher is no better than a constant, by what fits are stopped by
    and, of classes and labels, by how many are right."""
    measure = criterion.of(data.target).measure
    codes, weights = data.validation_codes, data.validation_weights
    loss, right = measure(codes, outputs, weights)
    fixed, often = measure(codes, _constant(data), weights)
    if not np.isfinite(outputs).all():
        loss = float("inf")
    better = loss < fixed or (right is not None and often is not None and right > often)
    found = f"loss {loss:.4f}" + ("" if right is None else f", accuracy {right:.4f}")
    said = f"loss {fixed:.4f}" + ("" if often is None else f", accuracy {often:.4f}")
    if not better:
        raise InputError(
            f"distill.teacher: {path}: on the validation examples it is no better than who says "
            f"the same of every one ({found}; {said}).\n"
            f"Its outputs were taken for {kind}; their order must be that of {_names(data.target)}."
        )
    log.info("teacher %s: gives %s; on validation %s", path, kind, found)


def _constant(data: Encoded) -> Floats:
    """Logits or codes of who says the same of every validation example."""
    truth, target = data.train_truth, data.target
    if target.task == "classification":
        shares = np.bincount(truth, data.train_weights, minlength=target.outputs)
        row = _logarithms(shares / shares.sum())
    else:
        means = np.average(data.train_codes, axis=0, weights=data.train_weights)
        row = _odds(means) if target.task == "multilabel" else _plain(means)
    return np.tile(row, (len(data.validation_codes), 1))


def _names(target: Target) -> str:
    names = list(target.names)
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    what = {"classification": "the classes", "multilabel": "the labels"}
    return f"{what.get(target.task, 'the targets')} {shown}"


def uncounted(model: keras.Model) -> list[str]:
    """Names of layers that multiply and that `models.networks.count` does not count."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += uncounted(layer)
        elif not isinstance(layer, COUNTED) and any(len(one.shape) > 1 for one in layer.weights):
            found.append(layer.name)
    return found
