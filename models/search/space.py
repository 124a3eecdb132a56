"""What a search varies: settings by name, each with the values it may take."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from models.networks.suited import CHANGES, require
from models.settings import Recipe, checked
from pipeline.errors import InputError
from pipeline.params import Section

if TYPE_CHECKING:
    from dataset.examples import Schema

# `Dimension` has fields of these names.
Whole: TypeAlias = int
Real: TypeAlias = float

STEPS = 10_000
"""Values between the ends of int or float, at the most."""
STEP_DIGITS = 10
"""Significant digits of what is reached by steps: beyond them is what adding floats leaves."""


class Dimension(Section):
    """One of `choice`, `int` and `float`; of the last two the lowest and the highest value."""

    choice: tuple[Any, ...] | None = Field(None, min_length=1, max_length=1000)
    int: tuple[Whole, Whole] | None = None
    float: tuple[Real, Real] | None = None
    step: Annotated[Real, Field(gt=0)] | None = None
    """From one value of int or float to the next: added, or with log multiplied by; null: 1 of
    int, none of float and with log."""
    log: bool = False
    """Whether int and float are drawn evenly on a logarithmic scale."""
    when: dict[str, tuple[Any, ...]] | None = Field(None, min_length=1)
    """Other settings, each with the values at which this one is varied; else it has the recipe's
    value. Null: it is varied always."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("choice", "int", "float") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"must have one of choice, int and float, got {given or 'none'}")
        limits = self.int or self.float
        if limits is None:
            self._check_choice()
            return self
        if limits[0] >= limits[1]:
            raise ValueError(f"{given[0]} must be a lower and a higher value, got {list(limits)}")
        if self.log and limits[0] <= 0:
            raise ValueError(f"with log, {given[0]} must begin above 0, got {list(limits)}")
        self._check_step()
        return self

    def _check_choice(self) -> None:
        if self.log or self.step is not None:
            raise ValueError("log and step are for int and float, not for choice")
        if len({repr(value) for value in self.ends()}) < len(self.ends()):
            raise ValueError(f"choice must not repeat a value, got {list(self.ends())}")

    def _check_step(self) -> None:
        if self.step is None:
            return
        if self.int and self.step != int(self.step):
            raise ValueError(f"the step of int must be whole, got {self.step:g}")
        if self.log and self.step <= 1:
            raise ValueError(f"with log, step multiplies and must be above 1, got {self.step:g}")
        if self._steps(self.step) > STEPS:
            raise ValueError(f"step must leave at most {STEPS} values, got {self.step:g}")

    def ends(self) -> tuple[Any, ...]:
        """Every value of a choice, else the lowest and the highest."""
        return self.choice or self.int or self.float or ()

    def values(self) -> tuple[Any, ...] | None:
        """Every value there is, in order; None where they are not counted by steps."""
        if self.choice is not None:
            return self.choice
        step = 1 if self.int and self.step is None and not self.log else self.step
        if step is None:
            return None
        low = self.ends()[0]
        places = range(self._steps(step) + 1)
        reached = [low * step**place if self.log else low + place * step for place in places]
        if self.int:
            return tuple(round(value) for value in reached)
        return tuple(float(f"{value:.{STEP_DIGITS}g}") for value in reached)

    def _steps(self, step: Real) -> Whole:
        """How many fit between the ends; an end that is missed by rounding counts."""
        low, high = self.ends()
        ratio = math.log(high / low) / math.log(step) if self.log else (high - low) / step
        return math.floor(ratio + 1e-9)


def _checked(space: dict[str, Dimension]) -> dict[str, Dimension]:
    for name, dimension in space.items():
        for value in dimension.ends():
            checked(name, value)
        for other, wanted in (dimension.when or {}).items():
            _check_condition(name, other, wanted, space.get(other))
    ordered(space)
    return space


def _check_condition(
    name: str, other: str, wanted: tuple[Any, ...], parent: Dimension | None
) -> None:
    for value in wanted:
        checked(other, value)
    if not wanted:
        raise ValueError(f"{name}: when: {other} must have values, got none")
    if parent is None:
        return
    known = parent.values()
    if known is None:
        raise ValueError(f"{name}: when: {other} has no values to be named: give it a step")
    unknown = [value for value in wanted if value not in known]
    if unknown:
        raise ValueError(f"{name}: when: {other} is never {unknown[0]!r} in this space")


Space = Annotated[dict[str, Dimension], Field(min_length=1), AfterValidator(_checked)]


def ordered(space: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """The space with every setting behind those that it depends on, else in the order given.

    Raises ValueError where settings depend on each other in a circle.
    """
    placed: dict[str, Dimension] = {}
    while len(placed) < len(space):
        free = [
            name
            for name, dimension in space.items()
            if name not in placed
            and all(other in placed or other not in space for other in dimension.when or {})
        ]
        if not free:
            rest = ", ".join(name for name in space if name not in placed)
            raise ValueError(f"each of these depends on another by when: {rest}")
        placed[free[0]] = space[free[0]]
    return placed


def combinations(space: Mapping[str, Dimension]) -> int:
    """How many there are at the most, conditions apart.

    Raises ValueError where a setting has values without number.
    """
    count = 1
    for name, dimension in space.items():
        values = dimension.values()
        if values is None:
            raise ValueError(
                f"a grid tries every value, and {name} has no end of them: give it a step, or a "
                "choice"
            )
        count *= len(values)
    return count


_TEXTS = ("text", "embedding", "word_dropout")
_TABLES = ("numbers", "number_size", "number_bins", "frequency", "members", *CHANGES["table"])
_PICTURES = CHANGES["pictures"]


def fitting(
    space: Mapping[str, Dimension], schema: "Schema", recipe: Recipe
) -> dict[str, Dimension]:
    """What of the space can be varied on such data, parents first.

    `recipe`: the values of all that is not varied. Left out is what means nothing there, and what
    depends on a setting that has another value; conditions that are left are on settings that are
    varied. Raises InputError where nothing is left, or a value does not suit the data.
    """
    settings = recipe.model_dump()
    without = set() if any(column.type == "text" for column in schema.columns) else set(_TEXTS)
    without |= set(_PICTURES if schema.kind == "table" else _TABLES)
    varied: dict[str, Dimension] = {}
    for name, dimension in ordered(space).items():
        conditions = dimension.when or {}
        fixed = {other: wanted for other, wanted in conditions.items() if other not in varied}
        if name in without or any(settings[other] not in fixed[other] for other in fixed):
            continue
        left = {other: wanted for other, wanted in conditions.items() if other in varied}
        varied[name] = dimension.model_copy(update={"when": left or None})
    if not varied:
        raise InputError(
            "params.yaml: search.space: none of its settings means anything for these data: "
            f"{', '.join(space)}.\nVary others, learning_rate for instance."
        )
    _require_suited(varied, schema, recipe)
    return varied


def _require_suited(varied: Mapping[str, Dimension], schema: "Schema", recipe: Recipe) -> None:
    require(recipe, schema)
    for name, dimension in varied.items():
        for value in dimension.ends():
            try:
                require(recipe.changed({name: value}), schema)
            except InputError as error:
                raise InputError(
                    f"params.yaml: search.space.{name}: {error}\nLeave {value!r} out of the space."
                ) from None
