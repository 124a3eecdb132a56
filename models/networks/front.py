"""What stands in front of a table's network: numbers as vectors, texts read, side by side."""

from typing import Any

import keras

from models.networks import blocks, number_layers, text_layers, text_network
from models.networks.blocks import Seeds
from models.networks.layout import Layout, NumberLayout
from models.settings import NetworkSpec


def joined(encoded: Any, layout: Layout | None, spec: NetworkSpec, seeds: Seeds) -> Any:
    """`(n, d)` encoded values as the network takes them, `(n, d')`.

    Numbers become vectors, if wished, then come the other dense columns as they are, then a vector
    for each text. Where there is nothing of this kind, and of pictures, the values themselves.
    """
    numbers = layout.embedded if layout and spec.numbers != "plain" else ()
    if layout is None or not (numbers or layout.texts):
        return encoded
    parts = [_vectors(encoded, numbers, spec, seeds)] if numbers else []
    if numbers:
        entered = {number.column for number in numbers}
        rest = [column for column in range(layout.dense) if column not in entered]
        if rest:
            parts.append(number_layers.Select(rest, name="dense")(encoded))
    elif layout.dense:
        parts.append(text_layers.Columns(0, layout.dense, places=False, name="dense")(encoded))
    parts += _texts(encoded, layout, spec, seeds)
    return keras.layers.Concatenate(name="joined")(parts) if len(parts) > 1 else parts[0]


def _vectors(
    encoded: Any, numbers: tuple[NumberLayout, ...], spec: NetworkSpec, seeds: Seeds
) -> Any:
    """`number_size` numbers for each number, `(n, k * number_size)`."""
    chosen = number_layers.Select([number.column for number in numbers], name="numbers")(encoded)
    if spec.numbers == "piecewise":
        edges = [number_layers.edges(number.quantiles, spec.number_bins) for number in numbers]
        spread = number_layers.Piecewise(edges, name="bins")(chosen)
    else:
        waves = number_layers.Periodic(spec.number_bins, spec.frequency, seeds.draw(), name="waves")
        spread = waves(chosen)
    linear = number_layers.EachLinear(
        spec.number_size, seeds.draw(), blocks.penalty(spec), name="vectors"
    )
    vectors = keras.layers.ReLU(name="relu_vectors")(linear(spread))
    return keras.layers.Flatten(name="flat_vectors")(vectors)


def _texts(encoded: Any, layout: Layout, spec: NetworkSpec, seeds: Seeds) -> list[Any]:
    """A vector for each text."""
    vectors = []
    for number, (text, start) in enumerate(zip(layout.texts, layout.starts, strict=True)):
        name = f"text_{number}"
        places = text_layers.Columns(start, start + text.length, places=True, name=f"{name}_words")(
            encoded
        )
        vector = text_network.read(places, text, spec, seeds, name)
        vectors.append(blocks.drop(vector, spec, f"{name}_dropout", seeds))
    return vectors
