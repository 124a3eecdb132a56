"""Cells that depart from what is expected of their columns, found by pandera."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.checks.expected import Aside, Categorical, Problem, Range


@dataclass(frozen=True)
class Classes:
    """All classes there are."""

    known: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """What is expected of every cell of one column."""

    name: str
    values: npt.NDArray[Any]
    key: str
    expected: Any

    def bounds(self) -> Iterator[tuple[str, str, Any]]:
        """Keys, what is wrong with a cell in words, and pandera's checks."""
        from pandera.pandas import Check

        if isinstance(self.expected, Range):
            for bound, words, make in (("min", "below", Check.ge), ("max", "above", Check.le)):
                limit = getattr(self.expected, bound)
                if limit is not None:
                    # In float32 like the values: a bound that is one of them excludes no value.
                    with np.errstate(over="ignore"):
                        narrow = np.float32(limit)
                    key = f"{self.key}.{bound}"
                    yield key, f"is {words} {limit:g}", make(narrow, error=key)
        elif isinstance(self.expected, Categorical) and self.expected.categories is not None:
            key = f"{self.key}.categories"
            known = list(self.expected.categories)
            yield key, "is no known category", Check.isin(known, error=key)
        elif isinstance(self.expected, Classes):
            known = list(self.expected.known)
            yield self.key, "is no known class", Check.isin(known, error=self.key)

    @property
    def unique(self) -> bool:
        """Whether no cell may repeat another."""
        return isinstance(self.expected, Aside) and self.expected.unique


def departures(rules: Mapping[str, Rule], rows: npt.NDArray[np.int64]) -> Iterator[Problem]:
    """The cells that depart, by pandera: the first of each kind, and how many more there are."""
    import pandas as pd
    from pandera.errors import SchemaErrors
    from pandera.pandas import Column as Checked
    from pandera.pandas import DataFrameSchema

    words: dict[str, tuple[Rule, str]] = {}
    columns = {}
    for key, rule in rules.items():
        checks = list(rule.bounds())
        words |= {name: (rule, said) for name, said, _ in checks}
        words[f"{key}.unique"] = (rule, "was there before")
        if checks or rule.unique:
            columns[key] = Checked(
                None,
                [made for _, _, made in checks],
                nullable=True,
                unique=rule.unique,
                report_duplicates="exclude_first",
            )
    frame = pd.DataFrame({key: _nullable(rules[key].values) for key in columns})
    try:
        DataFrameSchema(columns).validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
    else:
        return
    cases = cases[cases["failure_case"].notna()]
    names = cases["check"].where(cases["check"] != "field_uniqueness", cases["column"] + ".unique")
    places = {name: np.sort(at.astype(np.int64)) for name, at in cases["index"].groupby(names)}
    for name, (rule, said) in words.items():
        if name in places:
            first = places[name][0]
            value = rule.values[first]
            shown = repr(value[:40]) if isinstance(value, str) else f"{value:g}"
            what = f"row {rows[first] + 1}, column {rule.name}: {shown} {said}"
            yield Problem(what, name, len(places[name]) - 1)


def _nullable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Cells with nothing where one is missing, as pandera takes it."""
    if values.dtype.kind == "f":
        return values
    cells = values.copy()
    cells[values == ""] = None
    return cells
