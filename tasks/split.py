"""Part the examples into what models are made and chosen with, and the sealed test set."""

import difflib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models import partition
from models.examples import Development, Examples, Holdout, Table, Texts
from models.partition import HOLDOUT, LEFT_OUT, PARTS, TRAIN, VALIDATION
from pipeline.artifacts import Bundle, Json
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1)]
"""A fraction of all examples, or a count."""


class SplitParams(Section):
    """How the examples are parted, and how large the parts are."""

    method: Literal["stratified", "random", "time", "column"]
    """`stratified`: by content's hash, every class in every part. `random`: the same, but a class
    may be missing from validation or holdout. `time`: the past trains, the future tests. `column`:
    a column says it."""
    validation: Share
    """Share of the examples that choices are made on."""
    holdout: Share
    """Share of the examples that is sealed until the choice is made."""
    group: str | None
    """Column whose equal values stay in one part, or null."""
    time: tuple[str, ...]
    """For `time`: columns to sort by, the coarsest first."""
    gap: int = Field(ge=0)
    """For `time`: distinct times left out before validation and before the holdout."""
    part: str | None
    """For `column`: the column with train, validation or test. Without rows for validation, they
    are taken from train."""
    seed: int = Field(ge=0)
    """Of the hash."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.validation, int) != isinstance(self.holdout, int):
            raise ValueError("validation and holdout must both be fractions or both be counts")
        if isinstance(self.validation, float) and self.validation + self.holdout >= 1:
            raise ValueError("validation and holdout together must leave rows to train on (< 1)")
        if bool(self.time) != (self.method == "time"):
            raise ValueError("time names columns for method time, and is [] for the others")
        if (self.part is not None) != (self.method == "column"):
            raise ValueError("part names a column for method column, and is null for the others")
        if self.gap and self.method != "time":
            raise ValueError("gap is for method time, and 0 for the others")
        if self.group is not None and self.method in ("time", "column"):
            raise ValueError("group is for methods stratified and random, null for the others")
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
    """Part the examples: train, validation, and the sealed holdout.

    Raises InputError where a column is missing or unreadable, a part is left empty, or a class is
    too small.
    """
    examples, schema = table.read()
    codes, notes = assign(examples, table.aside(), params)
    _require_classes(examples.labels, codes, params)
    train, validation, holdout = (
        examples.take(np.flatnonzero(codes == part)) for part in (TRAIN, VALIDATION, HOLDOUT)
    )
    out.development.write(train, validation, schema)
    out.holdout.write(holdout, schema)
    parts = {"train": train, "validation": validation, "holdout": holdout}
    out.summary.write(
        {
            "parts": {
                name: dict(sorted(Counter(part.labels.tolist()).items()))
                for name, part in parts.items()
            },
            "notes": notes,
        }
    )


def assign(
    examples: Examples, aside: Texts, params: SplitParams
) -> tuple[partition.Codes, list[str]]:
    """`(n,)` codes of parts (see `models.partition`), and what people should know of them."""
    columns = examples.features | aside
    if params.method == "time":
        return _by_time(columns, params)
    if params.method == "column":
        return _by_column(examples, columns, params)
    if params.group is not None:
        groups = _column(columns, params.group, "group")
        keys = partition.text_keys(groups)
        notes = [f"{len(set(groups.tolist())):,} groups by {params.group!r}, each in one part"]
    else:
        keys = partition.content_keys(examples)
        copies = len(keys) - len(np.unique(keys))
        notes = [f"{copies:,} rows are copies of another; all of a kind are in one part"]
        notes = notes if copies else []
    return _by_hash(keys, params), notes


def _by_hash(keys: partition.Keys, params: SplitParams) -> partition.Codes:
    if isinstance(params.validation, int) and isinstance(params.holdout, int):
        return partition.by_counts(keys, params.validation, params.holdout, params.seed)
    return partition.by_fractions(keys, params.validation, params.holdout, params.seed)


def _by_time(
    columns: dict[str, npt.NDArray[Any]], params: SplitParams
) -> tuple[partition.Codes, list[str]]:
    import pandas as pd

    frame = pd.DataFrame(
        {name: _moments(_column(columns, name, "time"), name) for name in params.time}
    )
    # Their order as one number: several columns sort as a tuple would.
    ranks = frame.groupby(list(params.time), sort=True).ngroup().to_numpy()
    distinct = frame.drop_duplicates().sort_values(list(params.time)).reset_index(drop=True)
    if len(distinct) < 3:
        raise InputError(
            f"split.time {list(params.time)} has {len(distinct)} distinct "
            f"time{'s' if len(distinct) > 1 else ''}; train, validation and holdout need one each."
        )
    codes, begins = partition.by_time(ranks, params.validation, params.holdout, params.gap)
    notes = [
        f"{part} begins at {_told(distinct.iloc[begin])}"
        for part, begin in zip(("validation", "holdout"), begins, strict=True)
    ]
    if left := int((codes == LEFT_OUT).sum()):
        notes.append(f"{left:,} rows in the gaps of {params.gap} distinct times were left out")
    return codes, notes


def _moments(values: npt.NDArray[Any], name: str) -> "pd.Series[Any]":
    """Numbers as they are, texts as dates; raises InputError for a cell that is neither."""
    import pandas as pd

    cells = pd.Series(values)
    if values.dtype.kind != "f":
        numbers = pd.to_numeric(cells, errors="coerce")
        dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
        cells = dates if numbers.isna().any() else numbers
    wrong = np.flatnonzero(cells.isna())
    if wrong.size:
        raise InputError(
            f"split.time: column {name!r}, row {wrong[0] + 1}: {str(values[wrong[0]])!r} is "
            "neither a number nor a date like 2026-01-31 or 2026-01-31T12:00."
        )
    return cells


def _told(moment: "pd.Series[Any]") -> str:
    return ", ".join(f"{name} {value}" for name, value in moment.items())


def _by_column(
    examples: Examples, columns: dict[str, npt.NDArray[Any]], params: SplitParams
) -> tuple[partition.Codes, list[str]]:
    assert params.part is not None
    names = _column(columns, params.part, "part")
    try:
        codes = partition.by_names(names)
    except KeyError as error:
        known = ", ".join(partition.NAMES)
        raise InputError(
            f"split.part: column {params.part!r} holds {error.args[0]!r}, which names no part; "
            f"known are {known}."
        ) from None
    if (codes == VALIDATION).any():
        return codes, []
    inside = np.flatnonzero(codes == TRAIN)
    # None of these are to be held out: the column has said which are.
    drawn = partition.uniform(partition.content_keys(examples)[inside], params.seed)
    share = params.validation if params.validation < 1 else params.validation / max(len(inside), 1)
    codes[inside[drawn < share]] = VALIDATION
    return codes, [f"{params.part!r} names no validation rows: taken from the training rows"]


def _column(columns: dict[str, npt.NDArray[Any]], name: str, key: str) -> npt.NDArray[Any]:
    if name not in columns:
        near = difflib.get_close_matches(name, list(columns), n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise InputError(f"params.yaml: split.{key}: there is no column {name!r}{hint}")
    return columns[name]


def _require_classes(
    labels: npt.NDArray[np.object_], codes: partition.Codes, params: SplitParams
) -> None:
    """Every part has rows, and no class is met that was not trained on."""
    seen = {part: set(labels[codes == part].tolist()) for part in (TRAIN, VALIDATION, HOLDOUT)}
    for part, classes in seen.items():
        if not classes:
            raise InputError(f"split: no rows are left for {PARTS[part]}. Change its share.")
    everything = set().union(*seen.values())
    for part, classes in seen.items():
        missing = sorted(everything - classes)
        if missing and (part == TRAIN or params.method == "stratified"):
            raise InputError(
                f"split: class {missing[0]!r} has {(labels == missing[0]).sum()} of "
                f"{len(labels):,} examples, and none in {PARTS[part]}.\n"
                "Merge it with another class, remove its rows, or try another split.seed"
                f"{', or method random' if part != TRAIN else ''}."
            )
