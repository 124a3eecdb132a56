"""Part the examples into what models are made and chosen with, and the sealed test set."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models import balance, findings, findings_parts, folding, folds, partition
from models.examples import GIVEN, Development, Examples, Holdout, Schema, Table, Texts
from models.partition import HOLDOUT, LEFT_OUT, PARTS, TRAIN, VALIDATION
from models.target import Transform
from pipeline.artifacts import Bundle, Json
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1)]
"""A fraction of all examples, or a count."""
Columns = Mapping[str, npt.NDArray[Any]]
RISING = 0.95
"""A column of times that does not fall in so many of the rows tells when they were written."""
SEEDS = 200
"""Other seeds tried, where a class is missing from a part, to name one that would do."""


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
    group: str | None
    """Column whose equal values stay in one part, or null. What a time, a column or the data's own
    parts tear apart nevertheless is said among the findings."""
    time: tuple[str, ...]
    """Columns that tell the time, the coarsest first: what `time` sorts by. For the other methods
    it is only said where the test is older than what was trained on."""
    gap: int = Field(ge=0)
    """For `time`: distinct times left out before validation and before the holdout."""
    part: str | None
    """For `column`: the column with train, validation or test. Without rows for validation, they
    are taken from train."""
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
    allow: tuple[str, ...]
    """Names of findings that would stop the run, and are not to."""
    seed: int = Field(ge=0)
    """Of the hash."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.validation, int) != isinstance(self.holdout, int):
            raise ValueError("validation and holdout must both be fractions or both be counts")
        if isinstance(self.validation, float) and self.validation + self.holdout >= 1:
            raise ValueError("validation and holdout together must leave rows to train on (< 1)")
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
    """Two artifacts, so that no stage can read the test set by depending on the rest."""

    development: Development
    holdout: Holdout
    findings: Json
    """[{name, severity, evidence, advice}], see `models.findings_parts`; read by the report
    alone."""
    summary: Json
    """{rows: {part: count}, parts: {part: {label: count}}, notes}, with the parts train,
    validation and holdout. The labels are the classes, or of several labels each with the number
    of examples that have it; for a regression there are none, and quantities: {part: {target:
    {least, mean, most}}} instead. Read by the report alone."""


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
    """Part the examples: train, validation, and the sealed holdout.

    Raises InputError where a column is missing or unreadable, a part is left empty, a class is too
    small, or the parts have something in common that would make the test too good.
    """
    examples, schema = table.read()
    _require_task(schema, params)
    known = know(examples, schema, table.aside(), params)
    codes, notes = assign(known, params)
    _require_targets(known, schema, codes, params)
    places = [np.flatnonzero(codes == part) for part in (TRAIN, VALIDATION, HOLDOUT)]
    told = [known.part(at) for at in places]
    found = findings_parts.look(
        told[0], told[1], told[2], schema, parted_by=params.time if params.method == "time" else ()
    )
    notes += findings.require(found, params.allow, "split", "split.allow", findings_parts.CHECKS)
    train, validation, holdout = (part.examples for part in told)
    parts = {"train": train, "validation": validation, "holdout": holdout}
    summary = _summary(parts, schema)
    inside = np.concatenate(places[:2])
    foldings = _folds(known, schema, inside, params)
    if params.balance != "none":
        train, note = balance.balanced(train, known.keys[places[0]], params.balance, params.seed)
        notes.append(note)
    out.development.write(train, validation, schema, params.transform)
    folding.write(foldings, examples.rows[inside], out.development.path / "folds.parquet")
    out.holdout.write(holdout, schema)
    out.findings.write([asdict(finding) for finding in found])
    out.summary.write(summary | {"notes": notes})


@dataclass(frozen=True)
class Known:
    """The examples, and what is known of them beside the features."""

    examples: Examples
    columns: Columns
    """Features and columns set aside, by name."""
    keys: partition.Keys
    """`(n,)` equal for copies."""
    near: partition.Keys | None
    """`(n,)` equal for near copies, where it is wished that they stay together."""
    groups: partition.Keys | None
    """`(n,)` equal within a group."""
    times: npt.NDArray[np.int64] | None
    """`(n,)` whole numbers in the order of the times."""
    moments: "pd.DataFrame | None"
    """The distinct times in their order, as the columns tell them."""

    @property
    def units(self) -> partition.Keys:
        """`(n,)` equal for what may not be torn apart: groups, else near copies, else copies."""
        if self.groups is not None:
            return self.groups
        return self.keys if self.near is None else self.near

    def part(self, places: npt.NDArray[np.int64]) -> findings_parts.Part:
        """What the findings look at."""
        return findings_parts.Part(
            self.examples.take(places),
            self.keys[places],
            None if self.near is None else self.near[places],
            None if self.groups is None else self.groups[places],
            None if self.times is None else self.times[places],
        )


def know(examples: Examples, schema: Schema, aside: Texts, params: SplitParams) -> Known:
    """Read the columns that params name; raises InputError."""
    columns = examples.features | aside
    keys = partition.content_keys(examples)
    pictures = next(iter(examples.features.values())).ndim > 1
    near = partition.near_keys(examples) if pictures and params.near_copies else None
    groups, times, moments = None, None, None
    if params.group is not None:
        groups = partition.text_keys(_column(columns, params.group, "group"))
    if params.time:
        times, moments = _ranks(columns, params)
    else:
        times = _in_order(examples, schema)
    return Known(examples, columns, keys, near, groups, times, moments)


def assign(known: Known, params: SplitParams) -> tuple[partition.Codes, list[str]]:
    """`(n,)` codes of parts (see `models.partition`), and what people should know of them."""
    if params.method == "time":
        return _by_time(known, params)
    if params.method == "column":
        assert params.part is not None
        return _by_names(known, _column(known.columns, params.part, "part"), params)
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
    return _drawn(known.units, params, params.holdout), notes


def _drawn(keys: partition.Keys, params: SplitParams, holdout: float) -> partition.Codes:
    if isinstance(params.validation, int):
        return partition.by_counts(keys, params.validation, int(holdout), params.seed)
    return partition.by_fractions(keys, params.validation, holdout, params.seed)


def _by_time(known: Known, params: SplitParams) -> tuple[partition.Codes, list[str]]:
    assert known.times is not None
    assert known.moments is not None
    if len(known.moments) < 3:
        raise InputError(
            f"split.time {list(params.time)} has {len(known.moments)} distinct "
            f"time{'s' if len(known.moments) > 1 else ''}; train, validation and holdout need one "
            "each."
        )
    codes, begins = partition.by_time(known.times, params.validation, params.holdout, params.gap)
    notes = [
        f"{part} begins at {_told(known.moments.iloc[begin])}"
        for part, begin in zip(("validation", "holdout"), begins, strict=True)
    ]
    if left := int((codes == LEFT_OUT).sum()):
        notes.append(f"{left:,} rows in the gaps of {params.gap} distinct times were left out")
    return codes, notes


def _ranks(columns: Columns, params: SplitParams) -> "tuple[npt.NDArray[np.int64], pd.DataFrame]":
    """The rows' times as whole numbers in their order, and the distinct times."""
    import pandas as pd

    names = list(params.time)
    frame = pd.DataFrame({name: _moments(_column(columns, name, "time"), name) for name in names})
    # Several columns sort as a tuple would.
    ranks = frame.groupby(names, sort=True).ngroup().to_numpy().astype(np.int64)
    return ranks, frame.drop_duplicates().sort_values(names).reset_index(drop=True)


def _in_order(examples: Examples, schema: Schema) -> npt.NDArray[np.int64] | None:
    """The times by which the data were written down, if a column of times rises with the rows."""
    for column in schema.columns:
        values = examples.features[column.name]
        if column.type != "time" or np.isnan(values.astype(np.float64)).any():
            continue
        steps = np.diff(values.astype(np.float64))
        if (steps > 0).any() and (steps >= 0).mean() >= RISING:
            return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)
    return None


def _moments(values: npt.NDArray[Any], name: str) -> "pd.Series[Any]":
    """Numbers as they are, texts as dates; raises InputError for a cell that is neither."""
    import pandas as pd

    cells = pd.Series(values)
    if values.dtype.kind != "f":
        numbers = pd.to_numeric(cells, errors="coerce")
        dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
        cells = dates if numbers.isna().any() else numbers
    elif values.dtype == np.float64:
        cells = pd.to_datetime(cells, unit="D", utc=True).dt.round("ms")
    wrong = np.flatnonzero(cells.isna())
    if wrong.size:
        raise InputError(
            f"split.time: column {name!r}, row {wrong[0] + 1}: {str(values[wrong[0]])!r} is "
            "neither a number nor a date like 2026-01-31 or 2026-01-31T12:00."
        )
    return cells


def _told(moment: "pd.Series[Any]") -> str:
    return ", ".join(f"{name} {value}" for name, value in moment.items())


def _by_names(
    known: Known, names: npt.NDArray[Any], params: SplitParams
) -> tuple[partition.Codes, list[str]]:
    try:
        codes = partition.by_names(names)
    except KeyError as error:
        raise InputError(
            f"split.part: column {params.part or GIVEN!r} holds {error.args[0]!r}, which names no "
            f"part; known are {', '.join(partition.NAMES)}."
        ) from None
    if (codes == VALIDATION).any():
        return codes, []
    inside = np.flatnonzero(codes == TRAIN)
    # None of these are to be held out: it has been said which are.
    codes[inside] = _drawn(known.units[inside], params, 0)
    what = f"{params.part!r} names" if params.part else "the data came with"
    return codes, [f"{what} no validation rows: taken from the training rows"]


def _column(columns: Columns, name: str, key: str) -> npt.NDArray[Any]:
    if name not in columns:
        near = difflib.get_close_matches(name, list(columns), n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise InputError(f"params.yaml: split.{key}: there is no column {name!r}{hint}")
    return columns[name]


def _require_task(schema: Schema, params: SplitParams) -> None:
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


def _require_targets(
    known: Known, schema: Schema, codes: partition.Codes, params: SplitParams
) -> None:
    """Every part has rows, and what is met in any of them was trained on."""
    for part in (TRAIN, VALIDATION, HOLDOUT):
        if not (codes == part).any():
            raise InputError(f"split: no rows are left for {PARTS[part]}. Change its share.")
    targets = known.examples.targets
    if schema.task == "regression":
        _require_varying(targets[codes == TRAIN], schema)
        return
    for told, members in _members(targets, schema):
        met = (codes != LEFT_OUT) & members
        for part in (TRAIN, VALIDATION, HOLDOUT):
            wanted = part == TRAIN or params.method == "stratified"
            if wanted and met.any() and not (met & (codes == part)).any():
                raise InputError(_missing(told, members, part, known, params))
    if schema.task == "multilabel":
        _require_both(targets[codes == TRAIN], schema)


def _members(targets: npt.NDArray[Any], schema: Schema) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Every class or label in words, and which examples `(n,)` have it."""
    if schema.task == "multilabel":
        pairs = zip(schema.targets, targets.T, strict=True)
        return [(f"label {name!r}", values > 0) for name, values in pairs]
    names, places = np.unique(targets.astype(str), return_inverse=True)
    return [(f"class {name!r}", places == place) for place, name in enumerate(names.tolist())]


def _missing(
    told: str, members: npt.NDArray[np.bool_], part: int, known: Known, params: SplitParams
) -> str:
    advice = "Merge it with another or remove its rows"
    if params.method in ("stratified", "random"):
        advice = f"{advice}, or {_other_seed(members, known, params)}"
        advice += ", or method random" if part != TRAIN else ""
    return (
        f"split: {told} has {members.sum()} of {len(members):,} examples, and none in "
        f"{PARTS[part]}.\n{advice}."
    )


def _other_seed(members: npt.NDArray[np.bool_], known: Known, params: SplitParams) -> str:
    """The next seed by which every part has one of `members`."""
    every = {TRAIN, VALIDATION, HOLDOUT}
    for seed in range(params.seed + 1, params.seed + SEEDS):
        other = params.model_copy(update={"seed": seed})
        codes = _drawn(known.units, other, params.holdout)
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


def _summary(parts: Mapping[str, Examples], schema: Schema) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "rows": {name: len(part) for name, part in parts.items()},
        "parts": {name: {} for name in parts},
    }
    if schema.task == "regression":
        summary["quantities"] = {
            name: dict(zip(schema.targets, map(_range, part.targets.T), strict=True))
            for name, part in parts.items()
        }
        return summary
    for name, part in parts.items():
        if schema.task == "classification":
            labels, counts = np.unique(part.targets.astype(str), return_counts=True)
            summary["parts"][name] = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        else:
            counted = (part.targets > 0).sum(axis=0).tolist()
            summary["parts"][name] = dict(zip(schema.targets, counted, strict=True))
    return summary


def _range(values: npt.NDArray[Any]) -> dict[str, float]:
    return {
        "least": float(values.min()),
        "mean": float(values.astype(np.float64).mean()),
        "most": float(values.max()),
    }
