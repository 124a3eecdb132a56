"""Tables with values swapped between rows, to be put right, and words hidden, to be guessed.

Made of the table's own rows, without their targets.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Development, Examples, Known
from models.fitting.rows import IN_MEMORY_BYTES
from models.networks.layout import PADDING, RESERVED, UNKNOWN, Layout
from models.training import Encoded
from models.transfer.source_task import SourceTask

if TYPE_CHECKING:
    from models.fitting.criterion import Criterion
    from models.fitting.fit import Array

WORDS = 512
"""Of each text column the most frequent words, which are guessed where they were hidden."""


def masked(data: Encoded, development: str, fraction: float, seed: int) -> SourceTask:
    """To put right a fraction of the values, swapped or hidden."""
    dense = data.layout.dense
    return SourceTask(
        _restored(data, development, "train", fraction, seed),
        _restored(data, development, "validation", fraction, seed + 1),
        dense + guessed(data.layout),
        restoration(dense),
        "regression",
    )


def _restored(
    data: Encoded, development: str, part: Known, fraction: float, seed: int
) -> "tuple[Array, Array]":
    """Masked rows of a part and what they were, evenly taken if all would not fit in memory."""
    from models.networks import encode

    encoder, layout = data.encoder(), data.layout
    names = [column.name for column in data.schema.columns if column.type != "text"]
    rows = data.train if part == "train" else data.validation
    step = -(-len(rows) * (data.shape[0] + layout.dense + guessed(layout)) * 4 // IN_MEMORY_BYTES)
    inputs, codes = [], []
    for number, block in enumerate(Development(Path(development)).blocks(part)):
        taken = block.take(np.arange(0, len(block), max(1, step)))
        own = seed + 1000 * number
        values = encode.run(encoder, swapped(taken, names, fraction, own))
        masked, words = hidden(values, layout, fraction, own)
        inputs.append(masked)
        codes.append(np.concatenate([encode.run(encoder, taken)[:, : layout.dense], words], axis=1))
    return np.concatenate(inputs), np.concatenate(codes)


def swapped(train: Examples, names: Sequence[str], fraction: float, seed: int) -> Examples:
    """The examples with a fraction of the values of each named column taken from other rows.

    Every value stays one that its column has, unlike with zeros or noise: "swap noise", as in
    Yoon et al., "VIME", NeurIPS 2020.
    """
    generator = np.random.default_rng(seed)
    features = dict(train.features)
    for name in names:
        values = train.features[name]
        taken = generator.random(len(values)) < fraction
        other = values[generator.integers(len(values), size=len(values))]
        features[name] = np.where(taken, other, values)
    return Examples(features, train.targets, train.rows, train.weights)


def hidden(
    encoded: npt.NDArray[np.float32], layout: Layout, fraction: float, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """An encoded table with a fraction of its texts' words made unknown, and which ones were.

    The latter is `(n, guessed(layout))` float32, 1 where one of a text's most frequent words was
    hidden. As in Devlin et al., "BERT", NAACL 2019, but that the words are guessed all at once.
    """
    generator = np.random.default_rng(seed)
    inputs, told = encoded.copy(), []
    for text, start, count in zip(layout.texts, layout.starts, _frequent(layout), strict=True):
        words = inputs[:, start : start + text.length]
        taken = (generator.random(words.shape) < fraction) & (words != PADDING)
        frequent = taken & (words >= RESERVED) & (words < RESERVED + count)
        texts, positions = np.nonzero(frequent)
        found = np.zeros((len(words), count), dtype=np.float32)
        found[texts, words[texts, positions].astype(np.int64) - RESERVED] = 1
        words[taken] = UNKNOWN
        told.append(found)
    return inputs, np.concatenate(told or [np.zeros((len(encoded), 0), np.float32)], axis=1)


def _frequent(layout: Layout) -> list[int]:
    """How many words of each text are guessed."""
    return [min(WORDS, len(text.vocabulary)) for text in layout.texts]


def guessed(layout: Layout) -> int:
    """How many words are guessed over all texts."""
    return sum(_frequent(layout))


def restoration(dense: int) -> "Criterion":
    """How far what was swapped and hidden is put right.

    Squared error over the first `dense` columns, the encoded values, and binary cross-entropy over
    the others, the words hidden; each a mean over its columns, and their sum.
    """
    import keras

    from metrics import scores
    from models.fitting.criterion import Criterion

    def loss(codes: Any, outputs: Any) -> Any:
        terms = []
        if dense:
            terms.append(keras.losses.mean_squared_error(codes[:, :dense], outputs[:, :dense]))
        if dense < outputs.shape[1]:
            words = (codes[:, dense:], outputs[:, dense:])
            terms.append(keras.losses.binary_crossentropy(*words, from_logits=True))
        return sum(terms)

    def measure(
        codes: "Array", outputs: "Array", weights: "Array | None" = None
    ) -> tuple[float, None]:
        found = 0.0
        if dense:
            found += float(np.mean((codes[:, :dense] - outputs[:, :dense]) ** 2))
        if dense < outputs.shape[1]:
            words = scores.sigmoid(outputs[:, dense:])
            found += float(scores.binary_log_losses(words, codes[:, dense:]).mean())
        return found, None

    return Criterion(loss, None, measure)
