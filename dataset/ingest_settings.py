"""What the raw data are, as values: the section `ingest` of params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from dataset.examples import Kind
from dataset.tables.types import Type
from dataset.target import Task
from pipeline.params import Section


class IngestParams(Section):
    """What the data are and what is to be learned from them."""

    path: str | None
    """Below data/: a table as `dataset.tables.read` reads it, or pictures as
    `dataset.pictures.files` does; null for scikit-learn's digits."""
    kind: Kind
    task: Task
    target: tuple[str, ...] = Field(min_length=1)
    """The column to predict, or several; for pictures what the label is called, or its column."""
    ignore: tuple[str, ...]
    """Columns that are not features."""
    types: dict[str, Type]
    """What columns hold, where `dataset.tables.types` would say something else."""
    missing: tuple[str, ...]
    """Cell texts that mean a missing value."""
    missing_in: dict[str, tuple[str, ...]]
    """More of them, each for one column."""
    weight: str | None
    """The column that says how much a row counts."""
    size: tuple[int, int] | None
    """Height and width of pictures; null: as they are, or at most 64."""
    channels: Literal[1, 3] | None
    """Grey or colour; null: as the pictures are."""
    picture: str | None
    """The column of paths, in a list of pictures; null: the one whose cells look like paths."""
    allow: tuple[str, ...]
    """Names of findings that would stop the run, and are not to."""

    @model_validator(mode="after")
    def _one_meaning_a_column(self) -> Self:
        roles = [*self.target, *self.ignore, *([self.weight] if self.weight is not None else [])]
        for name in roles:
            if roles.count(name) > 1:
                raise ValueError(
                    f"the column {name!r} is named twice; "
                    "each has one place in target, ignore or weight"
                )
            if name in self.types:
                raise ValueError(f"types names {name!r}, which is no feature")
        if self.task == "classification" and len(self.target) > 1:
            raise ValueError("a classification has one target; several are multilabel's")
        return self

    @model_validator(mode="after")
    def _what_the_kind_needs(self) -> Self:
        if self.kind == "table":
            only: tuple[str, ...] = ("size", "channels", "picture")
            if self.path is None:
                raise ValueError("a table needs its path; null is scikit-learn's digits, pictures")
        elif self.path is None:
            only = ("size", "channels", "picture", "ignore", "types", "missing_in", "weight")
            if self.task != "classification":
                raise ValueError("scikit-learn's digits are for classification")
        else:
            only = ("ignore", "types", "weight")
            if len(self.target) > 1:
                raise ValueError("pictures have one target; labels may be listed in it")
        for name in only:
            if getattr(self, name):
                what = self.kind if self.path else "scikit-learn's digits"
                raise ValueError(f"{name} says nothing about {what}; leave it empty or null")
        if self.size and min(self.size) < 1:
            raise ValueError("size is height and width in pixels, 1 or more")
        return self
