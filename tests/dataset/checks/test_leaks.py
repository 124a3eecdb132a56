"""Leaks: columns that tell the target, alone, in other units, added up, or above all others."""

from typing import Any

import numpy as np

from dataset.checks import leaks
from dataset.checks.findings import Finding
from tests.dataset.tabled import table

ROWS = 300
RANDOM = np.random.default_rng(5)
LABELS = np.array(["yes" if draw < 0.4 else "no" for draw in RANDOM.random(ROWS)], dtype=object)
NOISE = RANDOM.random(ROWS)
PRICE = RANDOM.lognormal(3, 1, ROWS)


def classes(labels: Any, **columns: Any) -> list[Finding]:
    return leaks.look(*table(labels, columns))


def quantities(targets: Any, **columns: Any) -> list[tuple[str, str]]:
    told = leaks.look(*table(targets, columns, task="regression"))
    return [(finding.name, finding.severity) for finding in told]


def test_a_column_that_knows_the_class_is_an_error() -> None:
    told = classes(LABELS, copy=["1" if label == "yes" else "0" for label in LABELS.tolist()])
    assert [(finding.name, finding.severity) for finding in told] == [("leak:copy", "error")]
    assert "100.0 %" in told[0].evidence
    assert not classes(LABELS, useful=(LABELS == "yes") + RANDOM.normal(0, 0.5, ROWS))


def test_a_number_beyond_a_threshold_leaks_too() -> None:
    [told] = classes(LABELS, late=np.where(LABELS == "yes", 5.0, 1.0) + NOISE)
    assert told.name == "leak:late"


def test_classes_too_rare_to_judge_by_do_not_stop_the_check() -> None:
    labels = LABELS.copy()
    labels[0] = "once"
    [told] = classes(labels, copy=[str(label) for label in LABELS.tolist()])
    assert told.name == "leak:copy"


def test_a_text_is_what_is_learned_from() -> None:
    given = table(LABELS, {"said": [f"I say {label}" for label in LABELS]}, text=("said",))
    assert not leaks.look(*given)


def test_a_column_that_knows_one_of_several_labels_is_an_error() -> None:
    labels = np.float32(np.stack([LABELS == "yes", NOISE < 0.3], axis=1))
    given = table(labels, {"a": RANDOM.random(ROWS), "b": NOISE}, task="multilabel")
    [told] = leaks.look(*given)
    assert told.name == "leak:b"
    assert "the label 'y1'" in told.evidence


def test_the_target_in_other_units_is_an_error() -> None:
    assert quantities(PRICE, noise=NOISE, francs=PRICE * 0.93 + 1) == [("leak:francs", "error")]
    assert quantities(PRICE, noise=NOISE, fall=-np.log(PRICE)) == [("leak:fall", "error")]
    assert quantities(PRICE, noise=NOISE, flat=np.full(ROWS, 2.0)) == []


def test_columns_that_add_up_to_the_target_are_named_together() -> None:
    one, two, three = RANDOM.integers(0, 50, (3, ROWS))
    columns = {"one": one, "noise": NOISE, "two": two, "three": three}
    assert quantities(one + two, **columns) == [("leak:one+two", "error")]
    assert quantities(two - one, **columns) == [("leak:two-one", "error")]
    assert quantities(one - two + three, **columns) == [("leak:one+three-two", "error")]
    assert quantities(one + 2 * two, **columns) == []


def test_a_sum_is_found_though_cells_are_missing_and_cents_are_rounded() -> None:
    one, two = RANDOM.integers(0, 90_000, (2, ROWS)) / 100
    gaps = np.where(NOISE < 0.2, np.nan, one)
    found = quantities(one + two, one=gaps, two=two, noise=NOISE)
    assert ("leak:one+two", "error") in found
    almost = one + two + (np.arange(ROWS) % 50 == 0)
    assert all("+" not in name for name, _ in quantities(almost, one=one, two=two))


def strong(noise: float) -> tuple[np.ndarray, np.ndarray]:
    cause = RANDOM.normal(0, 1, ROWS)
    return cause, cause + RANDOM.normal(0, noise, ROWS)


def test_one_column_above_all_others_is_a_warning() -> None:
    cause, target = strong(0.3)
    assert quantities(target, cause=cause, noise=NOISE) == [("leak:cause", "warning")]
    order = np.argsort(target)
    assert quantities(target[order], cause=cause[order], noise=NOISE) == [("leak:cause", "warning")]
    assert quantities(target, cause=cause, twin=target - RANDOM.normal(0, 0.3, ROWS)) == []
    cause, target = strong(0.9)
    assert quantities(target, cause=cause, noise=NOISE) == []


def test_one_that_is_called_as_the_target_is_an_error() -> None:
    cause, target = strong(0.3)
    examples, schema = table(target, {"motor_score": cause, "noise": NOISE}, task="regression")
    schema = schema.model_copy(update={"targets": ("total_score",)})
    [told] = leaks.look(examples, schema)
    assert (told.name, told.severity) == ("leak:motor_score", "error")
    assert "both are called 'score'" in told.evidence


def test_a_column_that_only_tells_whose_row_it_is_is_no_leak() -> None:
    # Ten people of thirty rows each: who it is explains the level by heart, for these ten.
    who = np.repeat(np.arange(10), 30)
    level = RANDOM.permutation(np.arange(10) * 5.0)[who]
    target = level + RANDOM.normal(0, 3, ROWS)
    assert quantities(target, age=(who * 7) % 11 + 40, noise=NOISE) == []


def test_several_targets_are_looked_at_each() -> None:
    targets = np.stack([PRICE, NOISE], axis=1)
    found = quantities(targets, free=RANDOM.random(ROWS), copy=NOISE * 2, francs=PRICE)
    assert [name for name, _ in found] == ["leak:francs", "leak:copy"]


def test_numbers_near_the_end_of_float32_are_looked_at() -> None:
    labels = ["a", "b", "b"] * 40
    large = np.float32([-3e38, 3e38, 3.3e38] * 40)
    large[[0, 3]] = np.nan
    (told,) = classes(labels, x=large)
    assert told.name == "leak:x"
