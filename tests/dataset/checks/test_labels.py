"""Doubted labels: flipped ones are named, and where classes overlap nothing is."""

import numpy as np
import pytest

from dataset.checks import labels as findings_labels
from dataset.checks.labels import suspects
from tests.dataset.tabled import pictures, table

ROWS = 400
RANDOM = np.random.default_rng(3)
TRUE = np.array(["high" if draw < 0.5 else "low" for draw in RANDOM.random(ROWS)], dtype=object)
FLIPPED = RANDOM.choice(ROWS, 12, replace=False)


def flipped(labels: np.ndarray) -> np.ndarray:
    wrong = labels.copy()
    wrong[FLIPPED] = np.where(labels[FLIPPED] == "high", "low", "high")
    return wrong


def rows(evidence: str) -> set[int]:
    return {int(part.split(" ")[1]) - 1 for part in evidence.split(": ", 1)[1].split("; ")}


def test_flipped_labels_are_named_with_what_they_look_like() -> None:
    columns = {
        "x": (TRUE == "high") * 4 + RANDOM.normal(0, 1, ROWS),
        "z": (TRUE == "low") * 4 + RANDOM.normal(0, 1, ROWS),
    }
    [told] = findings_labels.look(*table(flipped(TRUE), columns))
    assert told.name == "label_noise"
    assert told.severity == "warning"
    assert len(rows(told.evidence) & set(FLIPPED.tolist())) >= 11
    assert len(rows(told.evidence)) <= len(FLIPPED) + 2
    assert "is 'low' and looks like 'high'" in told.evidence
    assert not findings_labels.look(*table(TRUE, columns))
    assert findings_labels.look(*table(flipped(TRUE), columns)) == [told]


def test_where_classes_overlap_nothing_is_doubted() -> None:
    columns = {"x": (TRUE == "high") + RANDOM.normal(0, 1, ROWS)}
    assert not findings_labels.look(*table(flipped(TRUE), columns))


def test_texts_are_read() -> None:
    words = {"high": ["up", "rise", "more"], "low": ["down", "fall", "less"]}
    said = [
        " ".join(RANDOM.choice([*words[label], "the", "and", "it"], 9).tolist())
        for label in TRUE.tolist()
    ]
    columns = {"said": said, "noise": RANDOM.random(ROWS), "town": ["Rom", "Bern"] * (ROWS // 2)}
    [told] = findings_labels.look(*table(flipped(TRUE), columns, text=("said",)))
    assert len(rows(told.evidence) & set(FLIPPED.tolist())) >= 10


def test_pictures_are_seen() -> None:
    values = RANDOM.integers(0, 80, (ROWS, 20, 20, 1))
    values[TRUE == "high", :10] += 60
    [told] = findings_labels.look(*pictures(values.astype(np.uint8), flipped(TRUE)))
    assert len(rows(told.evidence) & set(FLIPPED.tolist())) >= 10


def test_the_thresholds_are_those_of_confident_learning() -> None:
    codes = np.array([0] * 20 + [1] * 20)
    chances = np.tile([0.9, 0.1], (40, 1))
    chances[20:] = [0.2, 0.8]
    # The classes' own mean chances are about 0.86 and 0.8.
    chances[3] = [0.04, 0.96]
    chances[4] = [0.3, 0.7]
    guessed, places = suspects(chances, codes)
    assert places.tolist() == [3]
    assert guessed[3] == 1
    chances[5] = [0.01, 0.99]
    assert suspects(chances, codes)[1].tolist() == [5, 3]


def test_examples_that_are_all_alike_are_no_ground_for_doubt() -> None:
    assert not findings_labels.look(*table(TRUE, {"x": [1.0] * ROWS}))
    assert not findings_labels.look(*pictures(np.ones((ROWS, 4, 4, 1), dtype=np.uint8), TRUE))


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_other_tasks_have_no_classes_to_doubt(task: str) -> None:
    targets = np.float32(TRUE == "high")
    assert not findings_labels.look(*table(targets, {"x": targets}, task=task))


def test_many_are_counted_and_the_clearest_named() -> None:
    columns = {"x": (TRUE == "high") * 8 + RANDOM.normal(0, 1, ROWS)}
    labels = TRUE.copy()
    labels[:30] = np.where(TRUE[:30] == "high", "low", "high")
    [told] = findings_labels.look(*table(labels, columns))
    assert "the 20 clearest of them" in told.evidence
    assert len(rows(told.evidence)) == findings_labels.NAMED
