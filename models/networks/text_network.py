"""How the words of a text become one vector."""

from typing import Any

import keras

from models.networks import activations, blocks, text_layers
from models.networks.blocks import Seeds
from models.networks.layout import TextLayout
from models.settings import NetworkSpec

WINDOWS = (3, 4, 5)
"""Words that a convolution over a text sees at once; one convolution each."""
HEADS = 2
"""Of attention, where the vectors' size is even."""


def read(places: Any, text: TextLayout, spec: NetworkSpec, seeds: Seeds, name: str) -> Any:
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


def _convolved(vectors: Any, places: Any, spec: NetworkSpec, seeds: Seeds, name: str) -> Any:
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
            activation=activations.named(spec.activation),
            kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
            kernel_regularizer=blocks.penalty(spec),
            name=f"{name}_conv_{window}",
        )
        largest = keras.layers.GlobalMaxPooling1D(name=f"{name}_largest_{window}")
        strongest.append(largest(filters(shown)))
    return keras.layers.Concatenate(name=f"{name}_pooled")(strongest)


def _attended(vectors: Any, places: Any, spec: NetworkSpec, seeds: Seeds, name: str) -> Any:
    """One block of a transformer, normalised in front of each half, with learned positions.

    Xiong et al., "On layer normalization in the transformer architecture", ICML 2020.
    """
    width = spec.embedding

    def linear(units: int, part: str, activation: Any = None) -> Any:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
            kernel_regularizer=blocks.penalty(spec),
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
    wide = linear(2 * width, "wide", activations.named(spec.activation))(norm("wide")(attended))
    return norm("last")(add("wide", attended, linear(width, "narrow")(wide)))
