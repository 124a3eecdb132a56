"""What a network looks like and how it is trained, as values: typed, frozen, free of Keras.

Every value has one flat name, in the section `recipe` of params.yaml, in what search varies, in
what regularize adds and in a candidate's record.
"""

import difflib
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from pipeline.params import Section


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"must not repeat a value, got {list(values)}")
    return values


Architecture = Literal["plain", "residual", "tabm", "resnet", "separable"]
"""How layers are put together. Tables: plain, residual or tabm; pictures: plain, residual, resnet
or separable."""
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
Text = Literal["pool", "convolution", "transformer"]
"""How the words of a text become one vector: mean and largest of each number; convolutions over
3, 4 and 5 words; or attention between all words."""
Numbers = Literal["plain", "piecewise", "periodic"]
"""How a table's numbers enter: as they are, or as vectors, piecewise linear or periodic."""
Flip = Literal["none", "horizontal", "both"]
Loss = Literal["standard", "focal", "huber"]
"""The standard one is cross-entropy for classes and labels and the squared error for quantities;
focal is for the first two, huber for quantities."""
Optimizer = Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
Schedule = Literal[
    "fixed", "exponential", "staircase", "cosine", "restarts", "piecewise", "one_cycle", "plateau"
]
Clip = Literal["none", "value", "norm", "global_norm"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
"""What layers compute with while a network is trained, by the names of Keras's policies; see
`models.fitting.precision`."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A fraction, 0: none."""
Positive = Annotated[float, Field(gt=0, le=1e6)]
Rate = Annotated[float, Field(gt=0, le=10)]
"""A learning rate."""
Width = Annotated[int, Field(gt=0, le=4096)]
"""Units of a dense layer, or filters of a convolution."""
Depth = Annotated[int, Field(gt=0, le=64)]
"""Blocks before the last layer."""
Embedding = Annotated[int, Field(gt=0, le=1024)]
"""Numbers that stand for a word, or for a number."""
BatchSize = Annotated[int, Field(gt=0, le=65536)]
Epochs = Annotated[int, Field(gt=0, le=10_000)]
Patience = Annotated[int, Field(gt=0, le=1_000)]
Seed = Annotated[int, Field(gt=0, lt=2**31)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100), AfterValidator(_distinct)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The part of flat settings, a record's or a recipe's, that belongs to this class."""
        return cls.model_validate({name: settings[name] for name in cls.model_fields})


class NetworkSpec(_Settings):
    """The shape of a network between encoded values and logits, and what it does to them while it
    is trained."""

    architecture: Architecture
    width: Width
    depth: Depth
    activation: Activation
    dropout: Share
    """Fraction dropped after every block (Srivastava et al., 2014)."""
    l1: Annotated[float, Field(ge=0, le=1)]
    """Weight of the kernels' absolute values in the loss."""
    l2: Annotated[float, Field(ge=0, le=1)]
    """Weight of the squared kernels in the loss."""
    batch_norm: bool
    """Whether blocks are normalised (Ioffe and Szegedy, 2015)."""
    text: Text
    """Read by networks with texts only."""
    embedding: Embedding
    """Numbers that stand for a word; likewise."""
    numbers: Numbers
    """Read by networks of tables only (Gorishniy et al., 2022)."""
    number_size: Embedding
    """Numbers that stand for a number, where `numbers` are vectors."""
    number_bins: Annotated[int, Field(ge=2, le=256)]
    """Bins of piecewise numbers, or frequencies of periodic ones, at the most."""
    frequency: Positive
    """Standard deviation of the first frequencies of periodic numbers."""
    members: Annotated[int, Field(gt=0, le=256)]
    """Networks in one, of tabm (Gorishniy et al., 2024)."""
    flip: Flip
    """Pictures turned over while training, like all of the following inactive at inference."""
    rotation: Annotated[float, Field(ge=0, le=180)]
    """Pictures turned by up to so many degrees, either way."""
    zoom: Share
    """Pictures made larger or smaller by up to this fraction."""
    shift: Share
    """Pictures moved by up to this fraction of their sides."""
    crop: Share
    """Pictures cut to a window that lacks up to this fraction of their sides, and brought back to
    their size."""
    contrast: Share
    """Pictures' contrast changed by up to this fraction."""
    cutout: Share
    """Side of a square that is blanked, as a fraction of the picture's (DeVries and Taylor,
    2017)."""
    randaugment: Share
    """Strength of two changes drawn from many for each picture (Cubuk et al., 2020)."""
    noise: Annotated[float, Field(ge=0, le=10)]
    """Standard deviation of noise added to a table's standardised numbers."""
    feature_swap: Share
    """Fraction of a table's values taken from another row of the batch."""
    word_dropout: Share
    """Fraction of words that are hidden."""


class FitSettings(_Settings):
    """How a network is trained."""

    loss: Loss
    focal_gamma: Annotated[float, Field(ge=0, le=10)]
    """How little well-classified examples count in the focal loss (Lin et al., 2017)."""
    huber_delta: Positive
    """From which error on, in standard deviations of the target, Huber's loss grows linearly."""
    label_smoothing: Share
    """Share of the truth that is spread over all classes (Szegedy et al., 2016)."""
    mixup: Annotated[float, Field(ge=0, le=10)]
    """Alpha of the Beta distribution by which pairs of examples are mixed; 0: none (Zhang et al.,
    2018)."""
    optimizer: Optimizer
    momentum: Share
    """Of momentum and nesterov."""
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    """Of adamw; biases and normalisations are left out (Loshchilov and Hutter, 2019)."""
    learning_rate: Rate
    schedule: Schedule
    """How the learning rate changes while a fit goes on."""
    warmup: Share
    """Share of all steps in which the learning rate rises to its value; not for plateau, and of
    one_cycle the rising part."""
    decay: Annotated[float, Field(gt=0, le=1)]
    """Factor of exponential, staircase, piecewise and plateau."""
    decay_epochs: Epochs
    """Epochs between two factors of exponential and staircase; of restarts the first cycle; of
    plateau its patience. Piecewise lowers the rate at half and at three quarters of all steps."""
    clip: Clip
    """How gradients are bounded: each value, each variable's norm, or the norm of all."""
    clip_at: Positive
    """The bound."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Momentum of the average of weights that is validated and kept; null: none."""
    batch_size: BatchSize
    epochs: Epochs
    """At the most."""
    patience: Patience | None
    """Epochs without a better validation loss until the fit ends and the weights of its best
    epoch are restored; None: all epochs are trained and the last weights kept."""
    precision: Precision
    replicas: Annotated[int, Field(gt=0, le=64)]
    """Parts of every batch, each computed on a GPU of its own where there are as many; see
    `models.fitting.replicas`."""


class Recipe(NetworkSpec, FitSettings, Section):
    """The section `recipe`: how networks are built and trained, unless a stage says otherwise."""

    @property
    def network(self) -> NetworkSpec:
        """What the network looks like."""
        return NetworkSpec.of(self.model_dump())

    @property
    def fit(self) -> FitSettings:
        """How it is trained."""
        return FitSettings.of(self.model_dump())

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The recipe with other values by name."""
        return type(self).model_validate_json(json.dumps(self.model_dump() | dict(changes)))


@cache
def _kind(name: str) -> TypeAdapter[Any]:
    field = Recipe.model_fields[name]
    kind: Any = field.annotation
    return TypeAdapter(
        Annotated[(kind, *field.metadata)] if field.metadata else kind,
        config=ConfigDict(strict=True),
    )


def checked(name: str, value: Any) -> Any:
    """The value of a setting by its name; raises ValueError that says what is wrong with it."""
    if name not in Recipe.model_fields:
        near = difflib.get_close_matches(name, Recipe.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else "those of recipe are known"
        raise ValueError(f"{name[:80]}: there is no such setting; {hint}")
    try:
        return _kind(name).validate_json(json.dumps(value))
    except ValidationError as error:
        told = error.errors()[0]["msg"]
        raise ValueError(
            f"{name}: {json.dumps(value)[:80]} was given; {told[:1].lower()}{told[1:160]}"
        ) from None


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: checked(name, value) for name, value in changes.items()}


Changes = Annotated[dict[str, Any], AfterValidator(_checked)]
"""Values of the recipe that differ, by name."""


class Retraining(Section):
    """What the sections of stages share that train one network for each seed, if switched on."""

    enabled: bool
    """Whether to train at all."""
    seeds: Seeds
    """One fit for each."""
