"""Findings on columns: each check sees what it is for, and is quiet on data that are in order."""

from typing import Any

import numpy as np
import pytest

from dataset.checks import columns as findings_columns
from dataset.checks.findings import Finding
from tests.dataset.tabled import pictures, table

ROWS = 300
RANDOM = np.random.default_rng(5)
LABELS = np.array(["yes" if draw < 0.4 else "no" for draw in RANDOM.random(ROWS)], dtype=object)


def found(labels: Any = LABELS, options: Any = None, **columns: Any) -> list[Finding]:
    return findings_columns.look(*table(labels, columns, **(options or {})))


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


@pytest.mark.parametrize("sentinel", [-999, 9999])
def test_sentinels_far_from_the_rest_are_hidden_missing_values(sentinel: int) -> None:
    values = RANDOM.normal(20, 3, ROWS)
    values[[3, 50]] = sentinel
    told = found(temperature=values)
    assert [finding.name for finding in told] == ["hidden_missing:temperature"]
    assert f"is {sentinel:g} in 2 rows" in told[0].evidence
    assert f'ingest.missing_in: {{temperature: ["{sentinel:g}"]}}' in told[0].advice


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


def test_many_texts_among_numbers_are_meant() -> None:
    values = [str(place % 30) if place % 5 else f"x{place % 7}" for place in range(ROWS)]
    assert not names(code=values, noise=RANDOM.random(ROWS))


def test_ids_are_said_whether_texts_or_numbers() -> None:
    assert names(key=[f"a{place}" for place in range(ROWS)]) == ["identifier:key"]
    assert names(key=np.arange(ROWS) * 3) == ["identifier:key"]
    assert names(key=10**9 + np.arange(ROWS) * 64.0) == ["identifier:key"]
    assert names(sample=np.arange(ROWS) % 120 + 1, noise=RANDOM.random(ROWS)) == [
        "identifier:sample"
    ]


def test_what_rises_but_is_no_row_number_is_no_id() -> None:
    noise = RANDOM.random(ROWS)
    assert not names(seconds=np.arange(ROWS) + 0.5)
    assert not names(year=1990 + np.arange(ROWS) // 30, noise=noise)
    assert not names(hour=np.arange(ROWS) % 24, noise=noise)
    assert not names(shuffled=RANDOM.permutation(ROWS))


def test_texts_and_times_are_no_ids() -> None:
    words = [f"word {place}" for place in range(ROWS)]
    options = {"text": ("said",), "time": ("when",)}
    assert not names(LABELS, options, said=words, when=np.arange(ROWS))


def test_equal_rows_with_other_targets_are_said_for_every_task() -> None:
    pairs = np.arange(ROWS) // 2 + 0.5
    targets = np.arange(ROWS) // 4 * 1.0
    assert names(x=pairs) == ["contradictions"]
    assert not names(targets, {"task": "regression"}, x=pairs)
    targets[1] += 1
    told = found(targets, {"task": "regression"}, x=pairs)
    assert told[0].evidence == "2 of 300 rows equal another one but for the target"
    labels = np.zeros((ROWS, 2))
    labels[[4, 9], 1] = 1
    told = found(labels, {"task": "multilabel"}, x=pairs)
    assert told[0].evidence == "4 of 300 rows equal another one but for the target"


def test_equal_pictures_with_other_labels_are_said() -> None:
    given = pictures(np.zeros((4, 3, 3, 1), dtype=np.uint8), ["a", "a", "b", "b"])
    assert [finding.name for finding in findings_columns.look(*given)] == ["contradictions"]
