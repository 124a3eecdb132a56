"""The networks that are trained: encoded values in, logits out."""

from collections.abc import Sequence
from math import prod
from typing import Any

import keras
import numpy as np

from dataset.target import Target
from models import augmentation, layers, text_layers
from models.layout import Layout, TextLayout
from models.settings import NetworkSpec

LOGITS = "logits"
"""Name of the last layer; all layers before it are the trunk."""
SMALLEST = 4
"""Pictures are halved while both sides have at least this many points."""
POSITIONS = 64
"""Of more positions that are left of a picture, only the means go on: every position would have
weights of its own."""
WINDOWS = (3, 4, 5)
"""Words that a convolution over a text sees at once; one convolution each."""
HEADS = 2
"""Of attention, where the vectors' size is even."""


def build(
    shape: Sequence[int], outputs: int, spec: NetworkSpec, seed: int, layout: Layout | None = None
) -> keras.Model:
    """The model "network": `shape` `(d,)` or `(h, w, c)` float32 to `outputs` numbers.

    Tables get `depth` dense blocks of `width` units; pictures `depth` 3x3 convolutions with
    `width` filters, each followed by max pooling as long as there is something to halve. A block
    is linear, normalised if wished, rectified, pooled, dropped out. What is left of a picture
    goes on as it is or, where that is much, as a mean for each filter.

    Of a table with texts, `layout` tells the columns apart. Each text becomes one vector, in the
    way `spec.text` names, beside the other columns and in front of the dense blocks.

    Weights and dropout follow from `seed` alone. Keras would draw a seed for each of them from
    Python's global generator, which other threads of a process also draw from: the web socket of
    a Prefect worker does for its pings, and now and then came between.
    """
    seeds = _Seeds(seed)
    encoded = keras.Input(tuple(shape), name="input")
    hidden = augmentation.augment(encoded, layout, spec, seed)
    hidden = _read(hidden, layout, spec, seeds) if layout and layout.texts else hidden
    for place in range(spec.depth):
        hidden = _block(hidden, spec, place, seeds)
    if len(shape) > 1:
        large = prod(hidden.shape[1:3]) > POSITIONS
        pooling = keras.layers.GlobalAveragePooling2D(name="average")
        hidden = (pooling if large else keras.layers.Flatten(name="flatten"))(hidden)
    logits = keras.layers.Dense(
        outputs,
        kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
        kernel_regularizer=_penalty(spec),
        name=LOGITS,
    )(hidden)
    return keras.Model(encoded, logits, name="network")


class _Seeds:
    """Independent seeds for the parts of one network."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def draw(self) -> int:
        """The next one."""
        return int(self._generator.integers(2**31))


def _block(hidden: Any, spec: NetworkSpec, place: int, seeds: _Seeds) -> Any:
    pictures = len(hidden.shape) > 2
    # The normalisation that follows would take a bias away again.
    options = {
        "use_bias": not spec.batch_norm,
        "kernel_initializer": keras.initializers.GlorotUniform(seeds.draw()),
        "kernel_regularizer": _penalty(spec),
    }
    if pictures:
        linear = keras.layers.Conv2D(spec.width, 3, padding="same", name=f"conv_{place}", **options)
    else:
        linear = keras.layers.Dense(spec.width, name=f"dense_{place}", **options)
    hidden = linear(hidden)
    if spec.batch_norm:
        hidden = keras.layers.BatchNormalization(name=f"norm_{place}")(hidden)
    hidden = keras.layers.ReLU(name=f"relu_{place}")(hidden)
    if pictures and min(hidden.shape[1:3]) >= SMALLEST:
        hidden = keras.layers.MaxPooling2D(name=f"pool_{place}")(hidden)
    if spec.dropout:
        hidden = keras.layers.Dropout(spec.dropout, seed=seeds.draw(), name=f"dropout_{place}")(
            hidden
        )
    return hidden


def _read(encoded: Any, layout: Layout, spec: NetworkSpec, seeds: _Seeds) -> Any:
    """The dense columns and a vector for each text, side by side."""
    parts = []
    if layout.dense:
        parts.append(text_layers.Columns(0, layout.dense, places=False, name="dense")(encoded))
    for number, (text, start) in enumerate(zip(layout.texts, layout.starts, strict=True)):
        name = f"text_{number}"
        places = text_layers.Columns(start, start + text.length, places=True, name=f"{name}_words")(
            encoded
        )
        vector = _text(places, text, spec, seeds, name)
        if spec.dropout:
            dropout = keras.layers.Dropout(spec.dropout, seed=seeds.draw(), name=f"{name}_dropout")
            vector = dropout(vector)
        parts.append(vector)
    return keras.layers.Concatenate(name="joined")(parts) if len(parts) > 1 else parts[0]


def _text(places: Any, text: TextLayout, spec: NetworkSpec, seeds: _Seeds, name: str) -> Any:
    """`(n, length)` int32 places of words to one vector a text, `(n, d)`."""
    vectors = keras.layers.Embedding(
        text.places,
        spec.embedding,
        embeddings_initializer=keras.initializers.RandomUniform(seed=seeds.draw()),
        name=f"{name}_embedding",
    )(places)
    if spec.text == "convolution":
        return _convolved(vectors, places, spec, seeds, name)
    if spec.text == "transformer":
        vectors = _attended(vectors, places, spec, seeds, name)
        return text_layers.Mean(name=f"{name}_mean")(vectors, places)
    mean = text_layers.Mean(name=f"{name}_mean")(vectors, places)
    largest = text_layers.Largest(name=f"{name}_largest")(vectors, places)
    return keras.layers.Concatenate(name=f"{name}_pooled")([mean, largest])


def _convolved(vectors: Any, places: Any, spec: NetworkSpec, seeds: _Seeds, name: str) -> Any:
    """The strongest answer of each filter anywhere in the text.

    Kim, "Convolutional neural networks for sentence classification", EMNLP 2014.
    """
    shown = text_layers.Hide(name=f"{name}_shown")(vectors, places)
    strongest = []
    for window in WINDOWS:
        filters = keras.layers.Conv1D(
            spec.width,
            window,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
            kernel_regularizer=_penalty(spec),
            name=f"{name}_conv_{window}",
        )
        largest = keras.layers.GlobalMaxPooling1D(name=f"{name}_largest_{window}")
        strongest.append(largest(filters(shown)))
    return keras.layers.Concatenate(name=f"{name}_pooled")(strongest)


def _attended(vectors: Any, places: Any, spec: NetworkSpec, seeds: _Seeds, name: str) -> Any:
    """One block of a transformer, normalised in front of each half, with learned positions.

    Xiong et al., "On layer normalization in the transformer architecture", ICML 2020.
    """
    width = spec.embedding

    def linear(units: int, part: str, activation: str | None = None) -> Any:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
            kernel_regularizer=_penalty(spec),
            name=f"{name}_{part}",
        )

    def norm(part: str) -> Any:
        return keras.layers.LayerNormalization(name=f"{name}_{part}_norm")

    def add(part: str, *terms: Any) -> Any:
        return keras.layers.Add(name=f"{name}_{part}_sum")(list(terms))

    placed = text_layers.Positions(seeds.draw(), name=f"{name}_positions")(vectors)
    seen = norm("attention")(placed)
    three = [linear(width, part)(seen) for part in ("queries", "keys", "values")]
    attend = text_layers.Attend(1 if width % HEADS else HEADS, name=f"{name}_attention")
    mixed = linear(width, "mixed")(attend(*three, places))
    attended = add("attention", placed, mixed)
    wide = linear(2 * width, "wide", "relu")(norm("wide")(attended))
    return norm("last")(add("wide", attended, linear(width, "narrow")(wide)))


def _penalty(spec: NetworkSpec) -> Any:
    return keras.regularizers.L2(spec.l2) if spec.l2 else None


def trunk(network: keras.Model) -> list[Any]:
    """The layers before the last, which transfer carries over."""
    return [layer for layer in network.layers if layer.name != LOGITS]


def assemble(encoder: keras.Model, network: keras.Model, target: Target) -> keras.Model:
    """The whole model: raw features by name to predictions, as `Target.decode` gives them.

    Its parts are found again as `get_layer("encoder")` and `get_layer("network")`.
    """
    inputs = {
        value.name: keras.Input(value.shape[1:], dtype=value.dtype, name=value.name)
        for value in encoder.inputs
    }
    outputs = clean(network)(encoder(inputs))
    return keras.Model(inputs, _last(target)(outputs), name="fettle")


def _last(target: Target) -> Any:
    if target.task == "classification":
        return keras.layers.Softmax(name="probabilities")
    if target.task == "multilabel":
        return keras.layers.Activation("sigmoid", name="probabilities")
    quantities = [quantity.model_dump(mode="json") for quantity in target.quantities]
    return layers.Quantities(quantities, name="quantities")


def clean(network: keras.Model) -> keras.Model:
    """A copy that was never trained, with equal weights.

    For saving: the optimizer and the loss of a trained network would go into the file with it.
    """
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    return copy
