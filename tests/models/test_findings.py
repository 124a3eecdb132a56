"""Findings: each check sees what it is for, and is quiet on data that are in order."""

from typing import Any

import numpy as np
import pytest

from models import findings
from models.examples import Column, Examples, Schema
from pipeline.errors import InputError

ROWS = 300
RANDOM = np.random.default_rng(5)
LABELS = np.array(["yes" if draw < 0.4 else "no" for draw in RANDOM.random(ROWS)], dtype=object)


def found(labels: Any = LABELS, **columns: Any) -> list[findings.Finding]:
    features: dict[str, Any] = {}
    for name, values in columns.items():
        numeric = not isinstance(values[0], str)
        features[name] = np.array(values, dtype=np.float32 if numeric else object)
    schema = Schema(
        kind="table",
        task="classification",
        target="y",
        columns=tuple(
            Column(name=name, type="numeric" if values.dtype.kind == "f" else "categorical")
            for name, values in features.items()
        ),
        shape=(),
    )
    given = Examples(features, np.array(labels, dtype=object), np.arange(len(labels)))
    return findings.look(given, schema)


def names(*arguments: Any, **columns: Any) -> list[str]:
    return [finding.name for finding in found(*arguments, **columns)]


def test_data_in_order_give_nothing() -> None:
    assert not names(
        height=RANDOM.normal(170, 10, ROWS),
        children=RANDOM.integers(0, 14, ROWS),
        gain=np.where(RANDOM.random(ROWS) < 0.9, 0, RANDOM.uniform(1e3, 1e5, ROWS)),
        town=RANDOM.choice(["Bern", "Rom", ""], ROWS).tolist(),
        useful=(LABELS == "yes") + RANDOM.normal(0, 0.5, ROWS),
    )


def test_a_column_that_knows_the_target_is_an_error_and_comes_first() -> None:
    told = found(
        same=np.ones(ROWS), copy=["1" if label == "yes" else "0" for label in LABELS.tolist()]
    )
    assert [finding.name for finding in told] == ["leak:copy", "constant:same"]
    assert told[0].severity == "error"
    assert "100.0 %" in told[0].evidence


def test_a_number_beyond_a_threshold_leaks_too() -> None:
    assert "leak:late" in names(late=np.where(LABELS == "yes", 5.0, 1.0) + RANDOM.random(ROWS))


def test_classes_too_rare_to_judge_by_do_not_stop_the_check() -> None:
    labels = LABELS.copy()
    labels[0] = "once"
    assert "leak:copy" in names(labels, copy=[str(label) for label in LABELS.tolist()])


@pytest.mark.parametrize("sentinel", [-999, 9999])
def test_sentinels_far_from_the_rest_are_hidden_missing_values(sentinel: int) -> None:
    values = RANDOM.normal(20, 3, ROWS)
    values[[3, 50]] = sentinel
    told = found(temperature=values)
    assert [finding.name for finding in told] == ["hidden_missing:temperature"]
    assert f"is {sentinel:g} in 2 rows" in told[0].evidence


def test_zeros_far_below_the_rest_are_hidden_missing_values() -> None:
    values = RANDOM.integers(40, 200, ROWS)
    values[:9] = 0
    assert names(glucose=values, noise=RANDOM.random(ROWS)) == ["hidden_missing:glucose"]


def test_a_few_texts_among_numbers_are_said() -> None:
    values = [str(place % 40) for place in range(ROWS)]
    values[7] = values[9] = "n/k"
    told = found(age=values, noise=RANDOM.random(ROWS))
    assert [finding.name for finding in told] == ["mixed_types:age"]
    assert "298 numbers and 2 texts, 'n/k' 2 times" in told[0].evidence


def test_ids_and_contradictions_are_said() -> None:
    assert names(key=[f"a{place}" for place in range(ROWS)]) == ["identifier:key"]
    assert names(x=np.arange(ROWS) // 2 + 0.5) == ["contradictions"]


def test_errors_stop_unless_they_are_waved_through_by_name() -> None:
    told = found(copy=LABELS.tolist(), same=np.ones(ROWS))
    with pytest.raises(InputError, match=r"leak:copy.*\n.*ingest.allow: \[\"leak:copy\"\]"):
        findings.require(told, (), "data/some.csv")
    findings.require(told, ("leak:copy",), "data/some.csv")
