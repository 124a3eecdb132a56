"""Which columns of an encoded table mean what; free of Keras, so that anything may ask."""

from dataclasses import dataclass

PADDING = 0
"""The place behind a text's last word."""
UNKNOWN = 1
"""The place of every word that the vocabulary lacks."""
RESERVED = 2
"""The vocabulary's first word has this place."""


@dataclass(frozen=True)
class TextLayout:
    """A text column: its words as places in the vocabulary, float32, `length` columns."""

    name: str
    length: int
    """Words that are looked at; shorter texts are padded."""
    vocabulary: tuple[str, ...]
    """The most frequent first; word i has place `RESERVED + i`."""

    @property
    def places(self) -> int:
        """How many different places there are, those of padding and unknown words included."""
        return RESERVED + len(self.vocabulary)


@dataclass(frozen=True)
class NumberLayout:
    """A number that may enter a network as a vector: a quantity, or the trend of a time."""

    column: int
    """Of the encoded table."""
    quantiles: tuple[float, ...]
    """Of the encoded training values, from the least to the largest, evenly spaced in rank."""


@dataclass(frozen=True)
class Layout:
    """The columns of an encoded table `(n, dense + the texts' lengths)`.

    First `dense` columns of quantities and marks, then the words of each text. Of pictures there
    is nothing to be told apart: no dense columns and no texts.
    """

    dense: int
    texts: tuple[TextLayout, ...]
    numbers: int = 0
    """How many of the first columns are standardised numbers."""
    groups: tuple[int, ...] = ()
    """For each dense column the number of the feature that it tells of, from 0 on: a category's
    columns and a number's mark belong together. Empty: every column is a feature."""
    embedded: tuple[NumberLayout, ...] = ()
    """Those of the dense columns that are numbers, in their order."""

    @property
    def starts(self) -> tuple[int, ...]:
        """The first column of each text."""
        starts, start = [], self.dense
        for text in self.texts:
            starts.append(start)
            start += text.length
        return tuple(starts)
