"""Part the examples into what models are made and chosen with, the sealed test set, and what a
champion and its challengers are compared on."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from dataset import balance, folding, folds, partition
from dataset.checks import findings
from dataset.checks import parts as findings_parts
from dataset.examples import (
    GIVEN,
    Development,
    Holdout,
    Promotion,
    Scaling,
    Schema,
    Table,
    as_texts,
)
from dataset.partition import HOLDOUT, LEFT_OUT, PROMOTION, TRAIN, VALIDATION
from dataset.target import Transform
from pipeline.artifacts import Bundle, Json
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section
from tasks.split_checks import drawn, require_targets, require_task
from tasks.split_known import Known, column_of, read

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1)]
"""A fraction of all examples, or a count."""
NoneOr = Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=0)]
"""The same, or 0: none."""


class SplitParams(Section):
    """How the examples are parted, and how large the parts are."""

    method: Literal["stratified", "random", "time", "column", "given"]
    """`stratified`: by content's hash, every class in every part (for a regression: as random).
    `random`: the same, but a class may be missing from validation or holdout. `time`: the past
    trains, the future tests. `column`: a column says it. `given`: the parts the data came in."""
    validation: Share
    """Share of the examples that choices are made on."""
    holdout: Share
    """Share of the examples that is sealed until the choice is made."""
    promotion: NoneOr
    """Share of the examples that no stage but this one sees: a champion and its challengers are
    compared on them. 0: none. Taken from the training rows; of times the newest."""
    group: str | None
    """Column whose equal values stay in one part, or null. What a time, a column or the data's own
    parts tear apart nevertheless is said among the findings."""
    time: tuple[str, ...]
    """Columns that tell the time, the coarsest first: what `time` sorts by. For the other methods
    it is only said where the test is older than what was trained on."""
    gap: int = Field(ge=0)
    """For `time`: distinct times left out before validation and before the holdout."""
    part: str | None
    """For `column`: the column with train, validation or test, and maybe promotion. Without rows
    for validation, they are taken from train; without any for test, those for validation are."""
    near_copies: bool
    """Whether pictures that are nearly the same stay in one part, as copies do."""
    folds: int = Field(ge=0)
    """Folds for cross-validation on the development part; 0: none."""
    repeats: int = Field(ge=1)
    """How often it is partitioned into folds."""
    balance: Literal["none", "weights", "resample"]
    """For a classification, how training treats rare classes: they count more, or come more often,
    so that every class has the same sum."""
    transform: Transform
    """Of a regression's targets: what the networks are trained on."""
    scaling: Scaling
    """How networks see a table's numbers, learned on training rows: `standard`, mean 0 and standard
    deviation 1; `quantile`, the normal scores of their ranks, which long tails ask for."""
    allow: tuple[str, ...]
    """Names of findings that would stop the run, and are not to."""
    seed: int = Field(ge=0)
    """Of the hash."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.validation, int) != isinstance(self.holdout, int):
            raise ValueError("validation and holdout must both be fractions or both be counts")
        if self.promotion and isinstance(self.promotion, int) != isinstance(self.holdout, int):
            raise ValueError(
                "promotion must be a fraction or a count as validation and holdout are"
            )
        taken = self.validation + self.holdout + self.promotion
        if isinstance(self.validation, float) and taken >= 1:
            raise ValueError(
                "validation and holdout (and promotion) together must leave rows to train on (< 1)"
            )
        if self.method == "time" and not self.time:
            raise ValueError("method time needs columns in time, the coarsest first")
        if (self.part is not None) != (self.method == "column"):
            raise ValueError("part names a column for method column, and is null for the others")
        if self.gap and self.method != "time":
            raise ValueError("gap is for method time, and 0 for the others")
        if self.folds == 1:
            raise ValueError("folds are 0 (none) or at least 2")
        if self.repeats > 1 and (not self.folds or self.method == "time"):
            raise ValueError("repeats are for folds of any method but time, and 1 otherwise")
        return self


@dataclass(frozen=True)
class Parts(Bundle):
    """Three artifacts, so that no stage can read the test set by depending on the rest, and none
    at all what champion and challenger are compared on."""

    development: Development
    holdout: Holdout
    promotion: Promotion
    findings: Json
    """[{name, severity, evidence, advice}], see `dataset.checks.parts`; read by the report
    alone."""
    summary: Json
    """{rows: {part: count}, parts: {part: {label: count}}, balance, notes}, with the parts train,
    validation and holdout, and promotion where there is one. The labels are the classes, or of
    several labels each with the number of examples that have it; for a regression there are none,
    and quantities: {part: {target: {least, mean, most}}} instead. Read by the report alone."""


def caution(params: SplitParams) -> str | None:
    """What to know before the split runs on other rows than before."""
    reasons = {
        "counts": isinstance(params.validation, int),
        "time": params.method == "time",
        "folds": params.folds > 0,
    }
    named = [reason for reason, holds in reasons.items() if holds]
    if not named:
        return None
    return f"with {' and '.join(named)}, added rows may move old ones to another part or fold"


@stage(caution=caution)
def split(out: Parts, table: Table, params: SplitParams) -> None:
    """Part the examples: train, validation, the sealed holdout, and if wished promotion.

    Raises InputError where a column is missing or unreadable, a part is left empty, a class is too
    small, or the parts have something in common that would make the test too good.
    """
    schema = table.schema()
    require_task(schema, params)
    known, large = read(table, params)
    codes, notes = assign(known, params)
    if large and schema.kind == "pictures" and params.near_copies:
        notes.append("too many pictures to look for near copies: only copies are in one part")
    require_targets(known, schema, codes, params)
    places = [np.flatnonzero(codes == part) for part in (TRAIN, VALIDATION, HOLDOUT)]
    told = [known.part(at, table if large else None) for at in places]
    found = findings_parts.look(
        told[0], told[1], told[2], schema, parted_by=params.time if params.method == "time" else ()
    )
    notes += findings.require(found, params.allow, "split", "split.allow", findings_parts.CHECKS)
    targets = [known.examples.targets[at] for at in places]
    told_parts = dict(zip(("train", "validation", "holdout"), targets, strict=True))
    apart = np.flatnonzero(codes == PROMOTION)
    if len(apart):
        told_parts["promotion"] = known.examples.targets[apart]
        notes.append(f"{len(apart):,} rows are kept for the comparison of champion and challenger")
    if known.groups is not None:
        validation, holdout = (len(np.unique(known.groups[at])) for at in places[1:])
        notes.append(
            f"intervals are over groups, not rows: {validation:,} in validation, {holdout:,} in "
            "the holdout"
        )
    summary = _summary(told_parts, schema)
    inside = np.concatenate(places[:2])
    foldings = _folds(known, schema, inside, params)
    times = np.ones(len(codes), dtype=np.int64)
    if params.balance == "weights":
        notes.append(balance.told(targets[0]))
    elif params.balance == "resample":
        times[places[0]] = balance.repeats(targets[0], known.keys[places[0]], params.seed)
        notes.append(balance.told_of_repeats(times[places[0]]))
    # By hash a group, copies and near copies are in one part; else only a row is itself.
    units = known.units if params.method in ("stratified", "random") else known.keys
    _write(out, table, codes, times, units, known.groups, params)
    folding.write(foldings, known.examples.rows[inside], out.development.path / "folds.parquet")
    out.findings.write([asdict(finding) for finding in found])
    out.summary.write(summary | {"balance": params.balance, "notes": notes})


def assign(known: Known, params: SplitParams) -> tuple[partition.Codes, list[str]]:
    """`(n,)` codes of parts (see `dataset.partition`), and what people should know of them."""
    if params.method == "time":
        return _by_time(known, params)
    if params.method == "column":
        assert params.part is not None
        return _by_names(known, column_of(known.columns, params.part, "part"), params)
    if params.method == "given":
        if GIVEN not in known.columns:
            raise InputError(
                "params.yaml: split.method: given, but the data came in one part.\n"
                "Give files or folders named train and test, or another method: stratified."
            )
        return _by_names(known, known.columns[GIVEN], params)
    return _by_hash(known, params)


def _by_hash(known: Known, params: SplitParams) -> tuple[partition.Codes, list[str]]:
    if params.group is not None:
        count = len(np.unique(known.units))
        notes = [f"{count:,} groups by {params.group!r}, each in one part"]
    elif copies := len(known.units) - len(np.unique(known.units)):
        kind = "copies" if known.near is None else "copies or near copies"
        notes = [f"{copies:,} rows are {kind} of another; all of a kind are in one part"]
    else:
        notes = []
    return drawn(known.units, params), notes


def _by_time(known: Known, params: SplitParams) -> tuple[partition.Codes, list[str]]:
    assert known.times is not None
    assert known.moments is not None
    parts = ("validation", "holdout", *(("promotion",) if params.promotion else ()))
    if len(known.moments) <= len(parts):
        raise InputError(
            f"split.time {list(params.time)} has {len(known.moments)} distinct "
            f"time{'s' if len(known.moments) > 1 else ''}; train, "
            f"{', '.join(parts[:-1])} and {parts[-1]} need one each."
        )
    codes, begins = partition.by_time(
        known.times, params.validation, params.holdout, params.gap, params.promotion
    )
    notes = [
        f"{part} begins at {_told(known.moments.iloc[begin])}"
        for part, begin in zip(parts, begins, strict=True)
    ]
    if left := int((codes == LEFT_OUT).sum()):
        notes.append(f"{left:,} rows in the gaps of {params.gap} distinct times were left out")
    return codes, notes


def _told(moment: "pd.Series[Any]") -> str:
    return ", ".join(f"{name} {value}" for name, value in moment.items())


def _by_names(
    known: Known, names: npt.NDArray[Any], params: SplitParams
) -> tuple[partition.Codes, list[str]]:
    try:
        codes = partition.by_names(names)
    except KeyError:
        texts = [str(name) for name in names.tolist()]
        wrong = next(
            place for place, text in enumerate(texts) if text.strip().lower() not in partition.NAMES
        )
        raise InputError(
            f"split.part: column {params.part or GIVEN!r}, row {known.examples.rows[wrong] + 1}: "
            f"{texts[wrong]!r}, which names no part; known are {', '.join(partition.NAMES)}."
        ) from None
    what = f"{params.part!r} names" if params.part else "the data came with"
    notes = []
    if not (codes == HOLDOUT).any() and (codes == VALIDATION).any():
        # What no model has seen is worth most as a test.
        codes[codes == VALIDATION] = HOLDOUT
        notes.append(f"{what} no test rows: the validation rows are the holdout")
    # None of the training rows are to be held out: it has been said which are.
    wished = {"validation": VALIDATION} | ({"promotion": PROMOTION} if params.promotion else {})
    lacking = [name for name, part in wished.items() if not (codes == part).any()]
    if lacking:
        inside = np.flatnonzero(codes == TRAIN)
        codes[inside] = drawn(known.units[inside], params, lacking)
        notes += [f"{what} no {name} rows: taken from the training rows" for name in lacking]
    return codes, notes


def _folds(
    known: Known, schema: Schema, places: npt.NDArray[np.int64], params: SplitParams
) -> list[folding.Folding]:
    """The folds of the development part, none or one a repeat; `places` are its rows."""
    if not params.folds:
        return []
    strata = np.zeros(len(places), dtype=np.int64)
    if params.method != "random" and schema.task != "regression":
        targets = known.examples.targets[places]
        targets = targets.astype(str) if schema.task == "classification" else targets
        strata = np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)
    try:
        if params.method == "time":
            assert known.times is not None
            return [folds.forward(known.times[places], params.folds, params.gap)]
        return folds.repeated(
            known.units[places], strata, params.folds, params.repeats, params.seed
        )
    except ValueError as error:
        raise InputError(
            f"params.yaml: split.folds: {params.folds}: {error} in the development part are too "
            "many. Set fewer."
        ) from None


def _write(
    out: Parts,
    table: Table,
    codes: partition.Codes,
    times: npt.NDArray[np.int64],
    units: partition.Keys,
    groups: partition.Keys | None,
    params: SplitParams,
) -> None:
    """Write the parts, a block at a time; `times`: `(n,)` how often a training row is repeated;
    `units`: `(n,)` equal for rows that are known as soon as one of them is; `groups`: `(n,)` equal
    for rows that tell little more than one of them does."""
    schema, begin = table.schema(), 0
    out.promotion.write_schema(schema)
    with ExitStack() as files:
        train, validation = files.enter_context(out.development.writing(schema))
        holdout = files.enter_context(out.holdout.writing(schema))
        promotion = (
            files.enter_context(out.promotion.writing(schema))
            if (codes == PROMOTION).any()
            else None
        )
        for examples, _ in table.blocks():
            own = slice(begin, begin + len(examples))
            for part, writer in ((TRAIN, train), (VALIDATION, validation), (HOLDOUT, holdout)):
                places = np.flatnonzero(codes[own] == part)
                if part == TRAIN:
                    places = np.repeat(places, times[own][places])
                if len(places):
                    aside = None if groups is None else as_texts(groups[own][places])
                    writer.append(examples.take(places), aside)
            places = np.flatnonzero(codes[own] == PROMOTION)
            if promotion is not None and len(places):
                promotion.append(examples.take(places), units[own][places])
            begin = own.stop
    out.development.learn(params.transform, params.scaling, balanced=params.balance == "weights")


def _summary(parts: Mapping[str, npt.NDArray[Any]], schema: Schema) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "rows": {name: len(part) for name, part in parts.items()},
        "parts": {name: {} for name in parts},
    }
    if schema.task == "regression":
        summary["quantities"] = {
            name: dict(zip(schema.targets, map(_range, part.T), strict=True))
            for name, part in parts.items()
        }
        return summary
    for name, part in parts.items():
        if schema.task == "classification":
            summary["parts"][name] = dict(sorted(Counter(part.tolist()).items()))
        else:
            counted = (part > 0).sum(axis=0).tolist()
            summary["parts"][name] = dict(zip(schema.targets, counted, strict=True))
    return summary


def _range(values: npt.NDArray[Any]) -> dict[str, float]:
    return {
        "least": float(values.min()),
        "mean": float(values.astype(np.float64).mean()),
        "most": float(values.max()),
    }
