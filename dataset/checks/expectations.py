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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from dataset.checks.departures import Classes, Rule, departures
from dataset.checks.expected import (
    SCHEMA,
    Aside,
    Categorical,
    Expectations,
    Expected,
    Numeric,
    Other,
    Problem,
    Range,
)
from dataset.examples import GIVEN, Column, Examples, Schema, Texts
from pipeline.artifacts import replacing
from pipeline.errors import InputError
from pipeline.yaml_file import LETTERS, read_yaml

MARGIN = 0.5
"""How far numbers may lie beyond those seen, in widths of their range."""
SHARE = 0.05
"""Share of missing cells that a column with some may always have."""
FEW = 20
"""Categories are held fast where there are at most so many, and as many rows of each on average."""
MOST = 1000
"""Categories that are told apart while learning."""
UNIQUE = 5_000_000
"""Values of a column that is no feature, likewise: of more it is not known whether one repeats."""
SHOWN = 10
"""Problems told at the most."""
_DIGITS = 4


def learn(blocks: Iterable[tuple[Examples, Texts]], schema: Schema) -> Expectations:
    """What examples lead one to expect of later ones; they may come a block at a time."""
    features = {column.name: _Seen() for column in schema.columns}
    targets = {name: _Seen() for name in schema.targets}
    beside: dict[str, _Seen] = {}
    for examples, aside in blocks:
        for name, seen in features.items():
            seen.add(examples.features[name], MOST)
        for name, values in aside.items():
            if name != GIVEN:
                beside.setdefault(name, _Seen()).add(values, UNIQUE)
        if schema.task == "classification":
            targets[schema.targets[0]].add(examples.targets, UNIQUE)
        if schema.task == "regression":
            for place, seen in enumerate(targets.values()):
                seen.add(examples.targets[:, place], 0)
    columns: dict[str, Any] = {
        column.name: _expected(column, features[column.name]) for column in schema.columns
    }
    columns |= {name: _expected_aside(seen) for name, seen in beside.items()}
    classified, regression = schema.task == "classification", schema.task == "regression"
    return Expectations(
        columns=columns,
        classes=tuple(sorted(targets[schema.targets[0]].distinct)) if classified else (),
        targets={name: Range(**seen.range()) for name, seen in targets.items()}
        if regression
        else {},
    )


@dataclass
class _Seen:
    """What was met in one column so far."""

    rows: int = 0
    missing: int = 0
    least: float = math.inf
    most: float = -math.inf
    distinct: set[str] = field(default_factory=set)
    """Texts, as long as there are not too many."""
    many: bool = False

    def add(self, values: npt.NDArray[Any], most: int) -> None:
        """More cells; with more than `most` distinct texts these are no longer kept."""
        absent = _absent(values)
        self.rows += len(values)
        self.missing += int(absent.sum())
        if values.dtype.kind == "f":
            present = values[np.isfinite(values)].astype(np.float64)
            if present.size:
                self.least = min(self.least, float(present.min()))
                self.most = max(self.most, float(present.max()))
        elif not self.many:
            self.distinct.update(values[~absent].tolist())
            self.many = len(self.distinct) > most

    @property
    def present(self) -> int:
        """Cells that hold something."""
        return self.rows - self.missing

    def share(self) -> float:
        """Missing cells that are allowed."""
        if not self.missing:
            return 0.0
        return min(1.0, max(SHARE, _outwards(2 * self.missing / self.rows, up=True)))

    def range(self) -> dict[str, float | None]:
        """Numbers that are allowed."""
        if self.least > self.most:
            return {"min": None, "max": None}
        # Where all are equal there is no width; their size says what is far away.
        reach = MARGIN * ((self.most - self.least) or abs(self.most) or 1.0)
        lower = self.least - reach
        return {
            "min": 0.0 if self.least >= 0 > lower else _outwards(lower, up=False),
            "max": _outwards(self.most + reach, up=True),
        }


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
    if not path.is_file():
        return None
    content = read_yaml(path)
    try:
        # Through JSON, as params.yaml: strict JSON takes a list for a tuple.
        return Expectations.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        told = [_told(problem, path) for problem in error.errors()]
        raise InputError("\n".join(_at_most(told))) from None


def check(
    examples: Examples,
    schema: Schema,
    aside: Texts,
    expectations: Expectations,
    whole: bool = True,
) -> list[Problem]:
    """How the examples depart from what was expected.

    whole: whether these are all examples, or are spread over all of them; where they are only a
    block, what share of the cells is missing says nothing about the data.
    """
    found = [*_names(schema, aside, expectations)]
    kinds = {column.name: column.type for column in schema.columns}
    rules: dict[str, Rule] = {}
    for name, expected in expectations.columns.items():
        key = f"columns.{name}"
        values = examples.features[name] if name in kinds else aside.get(name)
        if values is None:
            continue
        kind = kinds.get(name, expected.type)
        if expected.type not in ("aside", kind):
            said = f"column {name}: is {kind}, and was {expected.type}"
            cell = _first_text(values, examples.rows, expected)
            found.append(Problem(said + cell, f"{key}.type", 0))
            continue
        if whole or not expected.missing:
            found += _missing(_absent(values), name, expected, key)
        rules[key] = Rule(name, values, key, expected if name in kinds else _unique(expected))
    rules |= _target_rules(examples, schema, expectations)
    return [*found, *departures(rules, examples.rows)]


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
    key = ".".join(str(part) for part in problem["loc"])[:LETTERS] or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key}: there is no such key here."
    if problem["type"] == "missing":
        return f"{path}: {key}: is missing, and has no default."
    message = problem["msg"].removeprefix("Value error, ")
    given = json.dumps(problem["input"], ensure_ascii=False, default=str)
    return f"{path}: {key}: {given[:LETTERS]} was given; {message[:1].lower()}{message[1:]}."


def _expected(column: Column, seen: _Seen) -> Numeric | Categorical | Other:
    if column.type == "numeric":
        return Numeric(type="numeric", missing=seen.share(), **seen.range())
    if column.type != "categorical":
        return Other(type=column.type, missing=seen.share())
    count = len(seen.distinct)
    few = not seen.many and count <= FEW and seen.present >= FEW * count
    categories = tuple(sorted(seen.distinct)) if few else None
    return Categorical(type="categorical", missing=seen.share(), categories=categories)


def _expected_aside(seen: _Seen) -> Aside:
    unique = not seen.many and len(seen.distinct) == seen.present > 1
    return Aside(type="aside", missing=seen.share(), unique=unique)


def _absent(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    absent: npt.NDArray[np.bool_] = np.isnan(values) if values.dtype.kind == "f" else values == ""
    return absent


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


def _unique(expected: Any) -> Any:
    """What is expected of a column that is no feature (now): numbers are texts there."""
    return expected if isinstance(expected, Aside) else None


def _target_rules(
    examples: Examples, schema: Schema, expectations: Expectations
) -> dict[str, "Rule"]:
    if schema.task == "classification" and expectations.classes:
        classes = Classes(expectations.classes)
        return {"classes": Rule(schema.targets[0], examples.targets, "classes", classes)}
    if schema.task != "regression":
        return {}
    return {
        f"targets.{name}": Rule(
            name, examples.targets[:, place], f"targets.{name}", expectations.targets[name]
        )
        for place, name in enumerate(schema.targets)
        if name in expectations.targets
    }
