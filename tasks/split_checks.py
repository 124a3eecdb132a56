"""What `split` refuses: parts on which nothing can be learned, or nothing be said."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset import partition
from dataset.examples import Schema
from dataset.partition import HOLDOUT, LEFT_OUT, PARTS, PROMOTION, TRAIN, VALIDATION
from pipeline.errors import InputError
from tasks.split_known import Known

if TYPE_CHECKING:
    from tasks.split import SplitParams

SEEDS = 200
"""Other seeds tried, where a class is missing from a part, to name one that would do."""


def require_task(schema: Schema, params: "SplitParams") -> None:
    """Raise InputError where params name what is for another task."""
    if params.balance != "none" and schema.task != "classification":
        raise InputError(
            f"params.yaml: split.balance: {params.balance} is for a classification, and this is a "
            f"{schema.task}; set it to none."
        )
    if params.transform != "none" and schema.task != "regression":
        raise InputError(
            f"params.yaml: split.transform: {params.transform} is for a regression's targets, and "
            f"this is a {schema.task}; set it to none."
        )


def require_targets(
    known: Known, schema: Schema, codes: partition.Codes, params: "SplitParams"
) -> None:
    """Every part has rows, and what is met in any of them was trained on."""
    parts = (TRAIN, VALIDATION, HOLDOUT, *((PROMOTION,) if params.promotion else ()))
    for part in parts:
        if not (codes == part).any():
            raise InputError(_empty(part, known, params))
    targets = known.examples.targets
    if schema.task == "regression":
        _require_varying(targets[codes == TRAIN], schema)
        return
    for told, members in _members(targets, schema):
        met = (codes != LEFT_OUT) & members
        for part in parts:
            wanted = part == TRAIN or params.method == "stratified"
            if wanted and met.any() and not (met & (codes == part)).any():
                raise InputError(_missing(told, members, part, known, params))
    if schema.task == "multilabel":
        _require_both(targets[codes == TRAIN], schema)


def _members(
    targets: npt.NDArray[Any], schema: Schema
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Every class or label in words, and which examples `(n,)` have it."""
    import pandas as pd

    if schema.task == "multilabel":
        for name, values in zip(schema.targets, targets.T, strict=True):
            yield f"label {name!r}", values > 0
        return
    places, names = pd.factorize(targets, sort=True)
    for place, name in enumerate(names.tolist()):
        yield f"class {name!r}", places == place


def _empty(part: int, known: Known, params: "SplitParams") -> str:
    units = len(np.unique(known.units))
    needed = 4 if params.promotion else 3
    if units < needed and params.method in ("stratified", "random"):
        rows = f"{len(known.units):,} rows"
        told = (
            f"split: of {rows} {units} differ in their features; copies stay in one part"
            if params.group is None
            else f"split.group: {rows} have {units} distinct in {params.group!r}, each in one part"
        )
        return f"{told}.\nNone is left for {PARTS[part]}; {needed} are needed at the least."
    return f"split: no rows are left for {PARTS[part]}. Change its share."


def _missing(
    told: str, members: npt.NDArray[np.bool_], part: int, known: Known, params: "SplitParams"
) -> str:
    advice = "Merge it with another or remove its rows"
    if params.method in ("stratified", "random"):
        advice = f"{advice}, or {_other_seed(members, known, params)}"
        advice += ", or method random" if part != TRAIN else ""
    return (
        f"split: {told} has {members.sum()} of {len(members):,} examples, and none in "
        f"{PARTS[part]}.\n{advice}."
    )


def _other_seed(members: npt.NDArray[np.bool_], known: Known, params: "SplitParams") -> str:
    """The next seed by which every part has one of `members`."""
    every = {TRAIN, VALIDATION, HOLDOUT} | ({PROMOTION} if params.promotion else set())
    for seed in range(params.seed + 1, params.seed + SEEDS):
        other = params.model_copy(update={"seed": seed})
        codes = drawn(known.units, other)
        if every <= set(codes[members].tolist()):
            return f"set split.seed to {seed}"
    return "try another split.seed"


def _require_both(targets: npt.NDArray[Any], schema: Schema) -> None:
    for name, values in zip(schema.targets, targets.T, strict=True):
        for every, told in (((values > 0).all(), "every"), ((values <= 0).all(), "no")):
            if not every:
                continue
            raise InputError(
                f"split: {told} example in train has label {name!r}; there is nothing to learn.\n"
                "Take it out of ingest.target, or choose another split."
            )


def _require_varying(targets: npt.NDArray[Any], schema: Schema) -> None:
    for name, values in zip(schema.targets, targets.T, strict=True):
        if values.min() == values.max():
            raise InputError(
                f"split: the target {name!r} is {values[0]:g} in every row of train; there is "
                "nothing to learn.\nTake it out of ingest.target, or choose another split."
            )


def drawn(
    keys: partition.Keys,
    params: "SplitParams",
    parts: Collection[str] = ("validation", "holdout", "promotion"),
) -> partition.Codes:
    """`(n,)` codes of parts by the hash of `keys`, as fractions or counts; only those `parts` are
    taken from the training rows."""
    validation, holdout, promotion = (
        getattr(params, name) if name in parts else 0
        for name in ("validation", "holdout", "promotion")
    )
    how = partition.by_counts if isinstance(params.validation, int) else partition.by_fractions
    return how(keys, validation, holdout, params.seed, promotion)
