"""Findings as a whole: what stops, what is waved through, and what the real data are told."""

from pathlib import Path

import numpy as np
import pytest

from dataset.checks import findings
from dataset.checks.findings import Finding
from pipeline.errors import InputError
from tests.conftest import SHARED
from tests.dataset.tabled import table

RANDOM = np.random.default_rng(5)
LABELS = np.array(["yes" if draw < 0.4 else "no" for draw in RANDOM.random(300)], dtype=object)


def error(name: str) -> Finding:
    return Finding(name, "error", "seen", "Mend it.")


def test_errors_come_first_and_data_in_order_give_nothing() -> None:
    columns = {"same": np.ones(300), "copy": LABELS.tolist(), "noise": RANDOM.random(300)}
    told = findings.look(*table(LABELS, columns))
    assert [finding.name for finding in told] == ["leak:copy", "constant:same"]
    assert not findings.look(*table(LABELS, {"noise": RANDOM.random(300)}))


def test_errors_stop_unless_they_are_waved_through_by_name() -> None:
    told = [error("leak:copy"), Finding("constant:same", "warning", "seen", "Drop it.")]
    with pytest.raises(InputError, match=r"leak:copy.*\n.*ingest.allow: \[\"leak:copy\"\]"):
        findings.require(told, (), "data/some.csv")
    assert not findings.require(told, ("leak:copy",), "data/some.csv")


def test_what_is_allowed_already_stays_in_the_list_to_be_written() -> None:
    told = [error("leak:a"), error("leak:b")]
    with pytest.raises(InputError, match=r'split.allow: \["leak:a", "leak:b"\]'):
        findings.require(told, ("leak:a",), "split", "split.allow")


def test_an_allowed_name_that_is_not_found_is_a_note_with_the_nearest() -> None:
    told = [error("leak:copy")]
    notes = findings.require(told, ("leak:copy", "leak:cpoy", "gone:x"), "data/some.csv")
    assert notes == [
        "ingest.allow: 'leak:cpoy' was not found; did you mean 'leak:copy'?",
        "ingest.allow: 'gone:x' was not found",
    ]


def test_a_check_that_there_is_not_is_refused_where_all_are_known() -> None:
    with pytest.raises(InputError, match="no finding 'dirft:x'; did you mean 'drift'"):
        findings.require([], ("dirft:x",), "split", "split.allow", ("drift", "unseen"))
    assert findings.require([], ("drift:x",), "split", "split.allow", ("drift", "unseen"))


def real(path: str, target: str, task: str, *, ignore: tuple[str, ...] = ()) -> list[str]:
    import pandas as pd

    place: Path = SHARED / path
    if not place.exists():
        pytest.skip(f"{place} is not there")
    frame = pd.read_csv(place, keep_default_na=False, na_values=[""])
    columns = {}
    for name in frame.columns:
        if name == target or name in ignore:
            continue
        numbers = pd.api.types.is_numeric_dtype(frame[name])
        columns[name] = frame[name] if numbers else frame[name].fillna("").astype(str).tolist()
    wanted = frame[target].astype(str).tolist() if task == "classification" else frame[target]
    examples, schema = table(wanted, columns, task=task, text=("name", "text", "Name"))
    found = findings.look(examples, schema.model_copy(update={"targets": (target,)}))
    return [finding.name for finding in found if finding.severity == "error"]


@pytest.mark.parametrize(
    ("path", "target", "ignore", "leaks"),
    [
        ("time/bike_sharing_hour.csv", "cnt", (), ["leak:casual+registered"]),
        ("time/bike_sharing_hour.csv", "cnt", ("casual", "registered"), []),
        (
            "group/parkinsons_telemonitoring.csv",
            "total_UPDRS",
            ("subject#",),
            ["leak:motor_UPDRS"],
        ),
        ("group/parkinsons_telemonitoring.csv", "total_UPDRS", ("motor_UPDRS",), []),
        ("tabular/california_housing.csv", "median_house_value", (), []),
        ("tabular/auto_mpg.csv", "mpg", (), []),
    ],
)
def test_real_quantities(path: str, target: str, ignore: tuple[str, ...], leaks: list[str]) -> None:
    assert real(path, target, "regression", ignore=ignore) == leaks


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("tabular/telco_churn.csv", "Churn"),
        ("tabular/titanic.csv", "Survived"),
        ("tabular/penguins_raw.csv", "Species"),
        ("tabular/pima_diabetes.csv", "outcome"),
    ],
)
def test_real_classes_do_not_stop(path: str, target: str) -> None:
    assert real(path, target, "classification") == []
