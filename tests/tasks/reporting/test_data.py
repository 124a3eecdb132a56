"""The report's tables of parts, with promotion where rows were kept for it."""

from typing import Any

import pytest

from tasks.reporting import data

CLASSES = {"ham": 60, "spam": 40}
COUNTED = {
    "train": {"ham": 30, "spam": 20},
    "validation": {"ham": 12, "spam": 8},
    "holdout": {"ham": 12, "spam": 8},
    "promotion": {"ham": 6, "spam": 4},
}


def summary(*parts: str) -> dict[str, Any]:
    held = {part: COUNTED[part] for part in parts}
    return {"rows": {part: sum(counts.values()) for part, counts in held.items()}, "parts": held}


def test_every_part_has_a_column_and_they_add_up() -> None:
    profile = {"task": "classification", "classes": CLASSES}
    [table] = data.tables(profile, summary(*sorted(COUNTED)))
    assert table.heads == ("Class", "train", "validation", "holdout", "promotion", "together")
    assert table.rows == [
        ["ham", "30", "12", "12", "6", "60"],
        ["spam", "20", "8", "8", "4", "40"],
        ["all examples", "50", "20", "20", "10", "100"],
    ]


def test_of_a_part_that_was_not_asked_for_there_is_no_column() -> None:
    profile = {"task": "classification", "classes": {"ham": 54, "spam": 36}}
    [table] = data.tables(profile, summary("train", "validation", "holdout"))
    assert table.heads == ("Class", "train", "validation", "holdout", "together")
    assert table.rows[-1] == ["all examples", "50", "20", "20", "90"]


@pytest.mark.parametrize("promoted", [False, True])
def test_quantities_are_told_of_every_part(promoted: bool) -> None:
    parts = ("train", "validation", "holdout", *(("promotion",) if promoted else ()))
    told = {"price": {"least": 1.0, "mean": 2.0, "most": 3.0}}
    profile = {
        "task": "regression",
        "quantities": {
            "price": {"min": 1.0, "q1": 1.5, "median": 2.0, "q3": 2.5, "max": 3.0, "mean": 2.0}
        },
    }
    told_summary = summary(*parts) | {"quantities": dict.fromkeys(parts, told)}
    _, by_part, examples = data.tables(profile, told_summary)
    assert [row[0] for row in by_part.rows] == [f"price, {part}" for part in parts]
    assert examples.heads == ("", *parts, "together")
