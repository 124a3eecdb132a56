"""What a network looks like and how it is trained, as values: typed, frozen, free of Keras."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.declaration import Cost
from pipeline.params import Section


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"must not repeat a value, got {list(values)}")
    return values


Width = Annotated[int, Field(gt=0, le=4096)]
"""Units of a dense layer, or filters of a convolution."""
Depth = Annotated[int, Field(gt=0, le=16)]
"""Blocks before the last layer."""
Embedding = Annotated[int, Field(gt=0, le=1024)]
"""Numbers that stand for a word."""
Text = Literal["pool", "convolution", "transformer"]
"""How the words of a text become one vector: mean and largest of each number; convolutions over
3, 4 and 5 words; or attention between all words."""
Rate = Annotated[float, Field(gt=0, le=1)]
"""Adam's learning rate."""
BatchSize = Annotated[int, Field(gt=0, le=65536)]
Epochs = Annotated[int, Field(gt=0, le=10_000)]
Patience = Annotated[int, Field(gt=0, le=1_000)]
Seed = Annotated[int, Field(gt=0, lt=2**31)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100), AfterValidator(_distinct)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The part of a record's flat settings that belongs to this class."""
        return cls.model_validate({name: settings[name] for name in cls.model_fields})


class NetworkSpec(_Settings):
    """The shape of a network between encoded values and logits."""

    width: Width
    depth: Depth
    dropout: float = Field(ge=0, lt=1)
    """Fraction dropped after every block."""
    l2: float = Field(ge=0, le=1)
    """Weight of the squared kernels in the loss."""
    batch_norm: bool
    text: Text
    """Read by networks with texts only."""
    embedding: Embedding
    """Likewise."""

    @classmethod
    def plain(cls, width: int, depth: int, text: Text, embedding: int) -> Self:
        """A network without any regularisation."""
        return cls(
            width=width,
            depth=depth,
            dropout=0.0,
            l2=0.0,
            batch_norm=False,
            text=text,
            embedding=embedding,
        )


class FitSettings(_Settings):
    """How a network is trained; the optimizer is Adam."""

    learning_rate: Rate
    batch_size: BatchSize
    epochs: Epochs
    """At the most."""
    patience: Patience | None
    """Epochs without a better validation loss until the fit ends and the weights of its best
    epoch are restored; None: all epochs are trained and the last weights kept."""


class Retraining(Section):
    """What the sections of stages share that train one network for each seed, if switched on."""

    enabled: bool
    """Whether to train at all."""
    epochs: Epochs
    """At the most."""
    patience: Patience
    """Epochs without a better validation loss until a fit ends with its best weights."""
    seeds: Seeds
    """One fit for each."""

    def cost(self) -> Cost:
        """A fit for each seed."""
        fits = len(self.seeds) * self.enabled
        return Cost(fits=fits, epochs=fits * self.epochs)
