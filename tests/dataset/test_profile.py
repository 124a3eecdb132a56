"""Facts about examples, against pandas."""

import json

import numpy as np
import pandas as pd
import pytest

from dataset.examples import Column, Examples, Schema
from dataset.profile import iso, profile
from dataset.target import Task

RANDOM = np.random.default_rng(3)


def told(values: np.ndarray, kind: str, task: Task = "classification") -> dict:
    count = len(values)
    targets = RANDOM.normal(size=(count, 2)).astype(np.float32)
    examples = Examples(
        {"x": values},
        np.array(["a", "b"] * count, dtype=object)[:count] if task == "classification" else targets,
        np.arange(count),
    )
    columns = (Column.model_validate({"name": "x", "type": kind}),)
    names = ("y",) if task == "classification" else ("y", "z")
    schema = Schema(kind="table", task=task, targets=names, columns=columns, shape=())
    found = profile(examples, schema)
    json.dumps(found, allow_nan=False)
    return found | {"truth": targets}


@pytest.mark.parametrize("count", [1, 2, 101, 102])
@pytest.mark.parametrize("kind", ["numeric", "time"])
def test_numbers_are_what_pandas_says(count: int, kind: str) -> None:
    values = RANDOM.integers(-20, 20, count).astype(np.float32 if kind == "numeric" else np.float64)
    values[values == 3] = np.nan
    series, (column,) = pd.Series(values), told(values, kind)["columns"]
    assert column["missing"] == series.isna().sum()
    assert column["distinct"] == series.nunique()
    if series.notna().any():
        stated = [column[name] for name in ("min", "median", "max")]
        expected = [series.min(), series.median(), series.max()]
        assert stated == ([iso(day) for day in expected] if kind == "time" else expected)


def test_nothing_has_no_range() -> None:
    (column,) = told(np.full(3, np.nan, dtype=np.float32), "numeric")["columns"]
    assert (column["distinct"], column["min"], column["missing"]) == (0, None, 3)


def test_the_commonest_texts_are_told_first() -> None:
    texts = np.array([*"ddaabbcceeffg", "", "x" * 200], dtype=object)
    (column,) = told(texts, "text")["columns"]
    assert column["commonest"] == [["a", 2], ["b", 2], ["c", 2], ["d", 2], ["e", 2]]
    assert (column["missing"], column["distinct"]) == (1, 8)
    (column,) = told(texts[-1:], "text")["columns"]
    assert column["commonest"] == [["x" * 79 + "…", 1]]


def test_quantities_are_what_numpy_says() -> None:
    found = told(np.zeros(50, dtype=np.float32), "numeric", "regression")
    for place, name in enumerate(("y", "z")):
        values = found["truth"][:, place].astype(np.float64)
        facts = found["quantities"][name]
        stated = [facts["min"], *facts["quartiles"], facts["max"], facts["mean"]]
        expected = [values.min(), *np.quantile(values, [0.25, 0.5, 0.75]), values.max()]
        np.testing.assert_allclose(stated, [*expected, values.mean()], rtol=1e-5, atol=1e-7)
    assert found["classes"] == {}


def test_days_are_iso_texts() -> None:
    assert [iso(day) for day in (0, -0.5, 15005.25)] == [
        "1970-01-01",
        "1969-12-31T12:00:00",
        "2011-01-31T06:00:00",
    ]


def test_numbers_near_the_end_of_float32_stay_finite() -> None:
    large = np.float32([-3e38, 3.3e38, 3.2e38, 3.1e38])
    (column,) = told(large, "numeric")["columns"]
    assert (column["min"], column["median"], column["max"]) == (-3e38, 3.15e38, 3.3e38)
    targets = np.stack([large, large], axis=1)
    examples = Examples({"x": large}, targets, np.arange(4))
    columns = (Column(name="x", type="numeric"),)
    schema = Schema(kind="table", task="regression", targets=("y", "z"), columns=columns, shape=())
    quartiles = profile(examples, schema)["quantities"]["y"]["quartiles"]
    assert quartiles == pytest.approx(np.quantile(large.astype(np.float64), [0.25, 0.5, 0.75]))
