"""Facts about examples for people: what `ingest` tells the report and `fettle init`."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Column, Examples, Schema, Texts

COMMONEST = 5
"""Texts of a column that are told with their counts."""
LONGEST = 80
"""Letters of a text that are told."""
DAY = 86_400_000
"""Milliseconds."""


def profile(examples: Examples, schema: Schema) -> dict[str, Any]:
    """Facts that JSON can hold.

    kind, task, targets, rows, shape; columns: [{name, type, missing, distinct}] with min, median
    and max for numbers and for times (those as ISO text), and commonest, [[text, count]], for
    categories and texts; classes, {label: rows}, empty for a regression; quantities, {target:
    {min, quartiles, max, mean}}, empty for the others.
    """
    regression = schema.task == "regression"
    return {
        "kind": schema.kind,
        "task": schema.task,
        "targets": list(schema.targets),
        "rows": len(examples),
        "shape": list(schema.shape),
        "columns": [_facts(column, examples.features[column.name]) for column in schema.columns],
        "classes": {} if regression else _classes(examples.targets, schema),
        "quantities": _quantities(examples.targets, schema) if regression else {},
    }


def counted(
    sampled: dict[str, Any],
    schema: Schema,
    targets: npt.NDArray[Any],
    blocks: Iterable[tuple[Examples, Texts]],
) -> dict[str, Any]:
    """The facts about a sample, with those of all examples where they can be counted.

    targets: of all. Rows, classes and quantities, missing cells, least and greatest values are then
    of all; medians, distinct values and the commonest are the sample's.
    """
    ends = {column["name"]: _Ends() for column in sampled["columns"]}
    for examples, _ in blocks:
        for name, values in examples.features.items():
            ends[name].add(values)
    regression = schema.task == "regression"
    return sampled | {
        "rows": len(targets),
        "columns": [fact | ends[fact["name"]].facts(fact["type"]) for fact in sampled["columns"]],
        "classes": {} if regression else _classes(targets, schema),
        "quantities": _quantities(targets, schema) if regression else {},
    }


class _Ends:
    """The least and the greatest of values that come in blocks, and how many are missing."""

    def __init__(self) -> None:
        self.missing = 0
        self.least, self.greatest = np.inf, -np.inf

    def add(self, values: npt.NDArray[Any]) -> None:
        if values.dtype.kind != "f":
            self.missing += int((values == "").sum())
            return
        present = values[~np.isnan(values)]
        self.missing += len(values) - len(present)
        if len(present):
            self.least = min(self.least, float(present.min()))
            self.greatest = max(self.greatest, float(present.max()))

    def facts(self, kind: str) -> dict[str, Any]:
        if self.least > self.greatest:
            return {"missing": self.missing}
        tell = iso if kind == "time" else _short
        ends = {"min": tell(self.least), "max": tell(self.greatest)}
        return {"missing": self.missing, **ends}


def _classes(targets: npt.NDArray[Any], schema: Schema) -> dict[str, int]:
    if schema.task == "classification":
        return dict(sorted(Counter(targets.tolist()).items()))
    counts = targets.sum(axis=0, dtype=np.int64).tolist()
    return dict(zip(schema.targets, counts, strict=True))


def _quantities(targets: npt.NDArray[Any], schema: Schema) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "min": _short(values.min()),
            "quartiles": [
                _short(value) for value in np.quantile(values.astype(np.float64), (0.25, 0.5, 0.75))
            ],
            "max": _short(values.max()),
            "mean": _short(values.mean(dtype=np.float64)),
        }
        for name, values in zip(schema.targets, targets.T, strict=True)
    }


def _facts(column: Column, values: npt.NDArray[Any]) -> dict[str, Any]:
    import pandas as pd

    told = {"name": column.name, "type": column.type}
    if column.type in ("numeric", "time"):
        # Sorted: for many numbers several times faster than a table of those already met.
        present = np.sort(values[~np.isnan(values)])
        return told | {
            "missing": len(values) - len(present),
            "distinct": int((present[1:] != present[:-1]).sum()) + bool(len(present)),
            **_range(present, column.type == "time"),
        }
    present = values[values != ""]
    counted = pd.Series(present, dtype=object).value_counts()
    # Of equally common ones the first in the alphabet.
    least = counted.iloc[:COMMONEST].min() if len(counted) else 0
    common = counted[counted >= least]
    best = sorted(zip(common.tolist(), common.index.tolist(), strict=True), key=_rank)[:COMMONEST]
    return told | {
        "missing": len(values) - len(present),
        "distinct": len(counted),
        "commonest": [[_cut(text), count] for count, text in best],
    }


def _rank(counted: tuple[int, str]) -> tuple[int, str]:
    return -counted[0], counted[1]


def _range(rising: npt.NDArray[Any], are_times: bool) -> dict[str, Any]:
    count = len(rising)
    if not count:
        return {"min": None, "median": None, "max": None}
    # The sum of two large numbers is too large for float32.
    median = rising[(count - 1) // 2 : count // 2 + 1].mean(dtype=np.float64)
    values = {"min": rising[0], "median": median, "max": rising[-1]}
    tell = iso if are_times else _short
    return {name: tell(value) for name, value in values.items()}


def iso(days: float) -> str:
    """Days since 1970-01-01 as ISO text, without the clock at midnight; to the second."""
    moment = np.datetime64(round(days * DAY), "ms").astype("datetime64[s]")
    return str(moment).removesuffix("T00:00:00")


def _short(value: Any) -> float:
    """The shortest number that is the same in float32: 0.1 rather than 0.10000000149."""
    return float(str(np.float32(value)))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
