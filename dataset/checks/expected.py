"""What data must look like, as types: the content of data/schema.yaml, and how data depart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params import Section

SCHEMA = Path("data/schema.yaml")
Bound = Annotated[float, Field(allow_inf_nan=False)]


class Range(Section):
    """Numbers that are expected; null: no bound."""

    min: Bound | None
    max: Bound | None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self


Share = Annotated[float, Field(ge=0, le=1)]
"""Of missing cells, at the most."""


class Numeric(Range):
    """A column of numbers."""

    type: Literal["numeric"]
    missing: Share


class Categorical(Section):
    """A column of categories."""

    type: Literal["categorical"]
    missing: Share
    categories: tuple[str, ...] | None
    """All there are; null: any."""


class Other(Section):
    """A column of texts or times."""

    type: Literal["text", "time"]
    missing: Share


class Aside(Section):
    """A column that is no feature."""

    type: Literal["aside"]
    missing: Share
    unique: bool
    """Whether no value may be met twice."""


Expected = Annotated[Numeric | Categorical | Other | Aside, Field(discriminator="type")]
"""One column."""


class Expectations(Section):
    """The whole file."""

    columns: dict[str, Expected]
    classes: tuple[str, ...]
    """Of a classification; empty: any."""
    targets: dict[str, Range]
    """Of a regression; none: any."""


@dataclass(frozen=True)
class Problem:
    """One way in which data depart, with the first row that does."""

    what: str
    key: str
    """Which value of schema.yaml says otherwise."""
    more: int
    """Further rows of the same kind."""

    def __str__(self) -> str:
        also = f", and {self.more:,} more rows" if self.more else ""
        return f"{self.what} ({SCHEMA.name}: {self.key}){also}"
