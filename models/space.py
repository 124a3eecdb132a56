"""What a search varies: settings by name, each with the values it may take."""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from models.settings import checked
from pipeline.params import Section

# `Dimension` has fields of these names.
Whole: TypeAlias = int
Real: TypeAlias = float


class Dimension(Section):
    """One of `choice`, `int` and `float`; of the last two the lowest and the highest value."""

    choice: tuple[Any, ...] | None = Field(None, min_length=1, max_length=1000)
    int: tuple[Whole, Whole] | None = None
    float: tuple[Real, Real] | None = None
    step: Annotated[Real, Field(gt=0)] | None = None
    """Between two values of int and float; null: 1 of int, none of float."""
    log: bool = False
    """Whether int and float are drawn evenly on a logarithmic scale."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("choice", "int", "float") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"must have one of choice, int and float, got {given or 'none'}")
        limits = self.int or self.float
        if limits and limits[0] >= limits[1]:
            raise ValueError(f"{given[0]} must be a lower and a higher value, got {list(limits)}")
        if limits and self.log and limits[0] <= 0:
            raise ValueError(f"with log, {given[0]} must begin above 0, got {list(limits)}")
        return self

    def ends(self) -> tuple[Any, ...]:
        """Every value of a choice, else the lowest and the highest."""
        return self.choice or self.int or self.float or ()


def _checked(space: dict[str, Dimension]) -> dict[str, Dimension]:
    for name, dimension in space.items():
        for value in dimension.ends():
            checked(name, value)
    return space


Space = Annotated[dict[str, Dimension], Field(min_length=1), AfterValidator(_checked)]
