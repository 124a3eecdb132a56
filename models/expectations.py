"""What later data must look like: data/schema.yaml, learned once by init, edited by people.

It guards against data that changed unnoticed: another unit, a new code for "not known", a column
that has become text. Learned from all rows, since no model sees any of it; with margins, since new
rows of the same kind must pass:

- *type*, names of the columns, categories and classes: exactly as they were;
- *min*, *max*: half the width of what was seen beyond either end, but never below 0 where nothing
  was;
- *missing*: the largest share of missing cells: none where none was, else twice what was seen and
  5 % at least;
- *unique*: for columns that are no features, such as ids, where no value was met twice.
"""

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from models.examples import GIVEN, Column, Examples, Schema, Texts
from pipeline.artifacts import replacing
from pipeline.errors import InputError
from pipeline.params import Section

SCHEMA = Path("data/schema.yaml")
MARGIN = 0.5
"""How far numbers may lie beyond those seen, in widths of their range."""
SHARE = 0.05
"""Share of missing cells that a column with some may always have."""
FEW = 20
"""Categories are held fast where there are at most so many, and as many rows of each on average."""
SHOWN = 10
"""Problems told at the most."""
_DIGITS = 4

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


def learn(examples: Examples, schema: Schema, aside: Texts) -> Expectations:
    """What these examples lead one to expect of later ones."""
    columns: dict[str, Any] = {
        column.name: _expected(column, examples.features[column.name]) for column in schema.columns
    }
    for name, values in aside.items():
        if name != GIVEN:
            columns[name] = _expected_aside(values)
    classes: tuple[str, ...] = ()
    targets = {}
    if schema.task == "classification":
        classes = tuple(sorted(set(examples.targets.tolist())))
    if schema.task == "regression":
        targets = {
            name: Range(**_range(examples.targets[:, place]))
            for place, name in enumerate(schema.targets)
        }
    return Expectations(columns=columns, classes=classes, targets=targets)


def write(expectations: Expectations, path: Path) -> None:
    """Write the file, with a line for each column so that it can be read and edited."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    def in_line(value: Any) -> Any:
        if isinstance(value, dict):
            inner = CommentedMap({key: in_line(item) for key, item in value.items()})
            inner.fa.set_flow_style()
            return inner
        if isinstance(value, list):
            sequence = CommentedSeq(value)
            sequence.fa.set_flow_style()
            return sequence
        return value

    dumped = expectations.model_dump(mode="json")
    content = {
        # Known by what they are first.
        "columns": {name: in_line(_type_first(row)) for name, row in dumped["columns"].items()},
        "classes": in_line(dumped["classes"]),
        "targets": {name: in_line(row) for name, row in dumped["targets"].items()},
    }
    yaml = YAML()
    # A column is one line, however long.
    yaml.width = 1_000_000
    text = StringIO()
    yaml.dump(content, text)
    with replacing(path) as temporary:
        temporary.write_text(_HEAD + text.getvalue(), encoding="utf-8")


_HEAD = """\
# What the data must look like; ingest stops where they depart from it. Written by ./fettle init;
# edit it as you know the data. Ranges are those seen and half their width beyond; a column's
# `missing` is the largest share of missing cells. null: anything goes.
"""


def _type_first(row: dict[str, Any]) -> dict[str, Any]:
    return {"type": row["type"], "missing": row["missing"]} | row


def read(path: Path) -> Expectations | None:
    """What the file says, None where there is none; raises InputError for a wrong key or value."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        return None
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except (YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: this is not valid YAML: {said}.") from None
    try:
        # Through JSON, as params.yaml: strict JSON takes a list for a tuple.
        return Expectations.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        told = [_told(problem, path) for problem in error.errors()]
        raise InputError("\n".join(_at_most(told))) from None


def check(
    examples: Examples, schema: Schema, aside: Texts, expectations: Expectations
) -> list[Problem]:
    """How the examples depart from what was expected, in the order of the columns."""
    found = [*_names(schema, aside, expectations)]
    types = {column.name: column for column in schema.columns}
    for name, expected in expectations.columns.items():
        key = f"columns.{name}"
        if name in types:
            values = examples.features[name]
            found += _column(types[name], values, examples.rows, expected, key)
        elif name in aside:
            found += _missing(aside[name] == "", name, expected, key)
            if isinstance(expected, Aside) and expected.unique:
                found += _unique(aside[name], examples.rows, name, key)
    found += _targets(examples, schema, expectations)
    return found


def require(problems: Sequence[Problem], source: str) -> None:
    """Raise InputError where there are problems; `source` is for people."""
    if problems:
        told = "\n".join(f"  {line}" for line in _at_most([str(problem) for problem in problems]))
        raise InputError(
            f"{source}: these data are not what they were when init learned them.\n{told}\n"
            f"Mend the data; or, where they are right, edit {SCHEMA}."
        )


def _at_most(lines: list[str]) -> list[str]:
    rest = len(lines) - SHOWN
    return lines if rest <= 0 else [*lines[:SHOWN], f"and {rest} more"]


def _told(problem: Any, path: Path) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key}: there is no such key here."
    if problem["type"] == "missing":
        return f"{path}: {key}: is missing, and has no default."
    message = problem["msg"].removeprefix("Value error, ")
    given = json.dumps(problem["input"], ensure_ascii=False, default=str)
    return f"{path}: {key}: {given[:200]} was given; {message[:1].lower()}{message[1:]}."


def _expected(column: Column, values: npt.NDArray[Any]) -> Numeric | Categorical | Other:
    missing = _share(_absent(values))
    if column.type == "numeric":
        return Numeric(type="numeric", missing=missing, **_range(values))
    if column.type != "categorical":
        return Other(type=column.type, missing=missing)
    present = [text for text in values.tolist() if text != ""]
    distinct = sorted(set(present))
    few = len(distinct) <= FEW and len(present) >= FEW * len(distinct)
    categories = tuple(distinct) if few else None
    return Categorical(type="categorical", missing=missing, categories=categories)


def _expected_aside(values: npt.NDArray[Any]) -> Aside:
    present = [text for text in values.tolist() if text != ""]
    unique = len(set(present)) == len(present) > 1
    return Aside(type="aside", missing=_share(values == ""), unique=unique)


def _absent(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    absent: npt.NDArray[np.bool_] = np.isnan(values) if values.dtype.kind == "f" else values == ""
    return absent


def _share(absent: npt.NDArray[np.bool_]) -> float:
    seen = float(absent.mean())
    return min(1.0, max(SHARE, _outwards(2 * seen, up=True))) if seen else 0.0


def _range(values: npt.NDArray[Any]) -> dict[str, float | None]:
    present = values[np.isfinite(values)].astype(np.float64)
    if not present.size:
        return {"min": None, "max": None}
    least, most = float(present.min()), float(present.max())
    # Where all are equal there is no width; their size says what is far away.
    reach = MARGIN * ((most - least) or abs(most) or 1.0)
    lower = least - reach
    return {
        "min": 0.0 if least >= 0 > lower else _outwards(lower, up=False),
        "max": _outwards(most + reach, up=True),
    }


def _outwards(value: float, up: bool) -> float:
    """Rounded to four digits, away from what was seen."""
    if value == 0:
        return 0.0
    scale = 10.0 ** (math.floor(math.log10(abs(value))) - _DIGITS + 1)
    rounded = (math.ceil if up else math.floor)(value / scale) * scale
    return float(f"{rounded:.12g}")


def _names(schema: Schema, aside: Texts, expectations: Expectations) -> Iterator[Problem]:
    there = [*(column.name for column in schema.columns), *aside, *schema.targets]
    for name in expectations.columns:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            hint = f"; is it {near[0]!r} now?" if near else ""
            yield Problem(f"column {name}: is not in the data{hint}", f"columns.{name}", 0)
    for name in there:
        if name not in (*expectations.columns, *schema.targets, GIVEN):
            yield Problem(f"column {name}: is new in the data", "columns", 0)


def _column(
    column: Column,
    values: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    expected: Expected,
    key: str,
) -> Iterator[Problem]:
    if expected.type not in ("aside", column.type):
        said = f"column {column.name}: is {column.type}, and was {expected.type}"
        yield Problem(said + _first_text(values, rows, expected), f"{key}.type", 0)
        return
    yield from _missing(_absent(values), column.name, expected, key)
    if isinstance(expected, Numeric):
        yield from _bounds(values, rows, column.name, expected, key)
    if isinstance(expected, Categorical) and expected.categories is not None:
        known = {*expected.categories, ""}
        wrong = np.flatnonzero([text not in known for text in values.tolist()])
        yield from _wrong(
            wrong, values, rows, column.name, "is no known category", f"{key}.categories"
        )


def _first_text(values: npt.NDArray[Any], rows: npt.NDArray[np.int64], expected: Expected) -> str:
    """Which cell made a column of numbers one of texts."""
    if expected.type != "numeric" or values.dtype.kind != "O":
        return ""
    for row, text in zip(rows.tolist(), values.tolist(), strict=True):
        if text != "" and not _is_number(text):
            return f": row {row + 1} holds {text[:40]!r}"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _missing(
    absent: npt.NDArray[np.bool_], name: str, expected: Expected, key: str
) -> Iterator[Problem]:
    count = int(absent.sum())
    if count > expected.missing * len(absent):
        said = f"column {name}: {count:,} of {len(absent):,} cells are missing"
        most = f"at most {expected.missing:.3g} of them" if expected.missing else "none"
        yield Problem(f"{said}, {most} expected", f"{key}.missing", 0)


def _bounds(
    values: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    name: str,
    expected: Range,
    key: str,
) -> Iterator[Problem]:
    for bound, said in (("min", "is below"), ("max", "is above")):
        limit = getattr(expected, bound)
        if limit is not None:
            # In float32 like the values: a bound that is one of them must not exclude it.
            with np.errstate(over="ignore"):
                narrow = np.float32(limit)
            beyond = values < narrow if bound == "min" else values > narrow
            wrong = np.flatnonzero(beyond)
            yield from _wrong(wrong, values, rows, name, f"{said} {limit:g}", f"{key}.{bound}")


def _wrong(
    places: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    name: str,
    how: str,
    key: str,
) -> Iterator[Problem]:
    if places.size:
        value = values[places[0]]
        shown = repr(value[:40]) if isinstance(value, str) else f"{value:g}"
        what = f"row {rows[places[0]] + 1}, column {name}: {shown} {how}"
        yield Problem(what, key, len(places) - 1)


def _unique(
    values: npt.NDArray[Any], rows: npt.NDArray[np.int64], name: str, key: str
) -> Iterator[Problem]:
    seen: set[Any] = set()
    again = []
    for place in np.flatnonzero(~_absent(values)).tolist():
        if values[place] in seen:
            again.append(place)
        seen.add(values[place])
    places = np.array(again, dtype=np.int64)
    yield from _wrong(places, values, rows, name, "was there before", f"{key}.unique")


def _targets(examples: Examples, schema: Schema, expectations: Expectations) -> Iterator[Problem]:
    if schema.task == "classification" and expectations.classes:
        known = set(expectations.classes)
        labels = examples.targets
        wrong = np.flatnonzero([label not in known for label in labels.tolist()])
        name = schema.targets[0]
        yield from _wrong(wrong, labels, examples.rows, name, "is no known class", "classes")
    if schema.task == "regression":
        for place, name in enumerate(schema.targets):
            if name in expectations.targets:
                values, expected = examples.targets[:, place], expectations.targets[name]
                yield from _bounds(values, examples.rows, name, expected, f"targets.{name}")
