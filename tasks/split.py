"""Part the examples into what models are made and chosen with, and the sealed test set."""

from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models.examples import Development, Examples, Holdout, Table
from pipeline.artifacts import Bundle, Json
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section


class SplitParams(Section):
    """How large the parts are."""

    validation: float = Field(gt=0, lt=1)
    """Fraction of all examples that choices are made on."""
    holdout: float = Field(gt=0, lt=1)
    """Fraction of all examples that is sealed until the choice is made."""
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.validation + self.holdout >= 1:
            raise ValueError("validation and holdout together must leave rows to train on (< 1)")
        return self


@dataclass(frozen=True)
class Parts(Bundle):
    """Two artifacts, so that no stage can read the test set by depending on the rest."""

    development: Development
    holdout: Holdout
    summary: Json
    """{parts: {train, validation, holdout: {label: count}}, notes}; read by the report alone."""


@stage()
def split(out: Parts, table: Table, params: SplitParams) -> None:
    """Part the examples, stratified by class: train, validation, and the sealed holdout.

    Raises InputError where a class is too small to be in every part.
    """
    examples, schema = table.read()
    train, validation, holdout = stratified(examples, params)
    out.development.write(train, validation, schema)
    out.holdout.write(holdout, schema)
    parts = {"train": train, "validation": validation, "holdout": holdout}
    out.summary.write(
        {
            "parts": {
                name: dict(sorted(Counter(part.labels.tolist()).items()))
                for name, part in parts.items()
            },
            "notes": [],
        }
    )


def stratified(examples: Examples, params: SplitParams) -> tuple[Examples, Examples, Examples]:
    """Train, validation and holdout, each in the order of the raw data.

    Every class is in every part, with its share rounded to whole examples and at least one.
    """
    random = np.random.default_rng(params.seed)
    parts: tuple[list[npt.NDArray[np.int64]], ...] = ([], [], [])
    for label in sorted(set(examples.labels.tolist())):
        members = random.permutation(np.flatnonzero(examples.labels == label))
        sizes = _sizes(label, len(members), params)
        bounds = np.cumsum(sizes)
        for part, indices in zip(parts, np.split(members, bounds[:-1]), strict=True):
            part.append(indices)
    train, validation, holdout = (examples.take(np.sort(np.concatenate(part))) for part in parts)
    return train, validation, holdout


def _sizes(label: str, members: int, params: SplitParams) -> tuple[int, int, int]:
    validation = max(1, round(members * params.validation))
    holdout = max(1, round(members * params.holdout))
    train = members - validation - holdout
    if train < 1:
        raise InputError(
            f"class {label!r} has {members} example{'s' if members > 1 else ''}; train, validation "
            "and holdout each need at least one.\n"
            "Merge it with another class, or remove its rows."
        )
    return train, validation, holdout
