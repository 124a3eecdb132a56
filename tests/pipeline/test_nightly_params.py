"""What params.yaml may say of the nights, and what is said where it may not."""

from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.nightly_params import branch_name, is_branch
from pipeline.params_file import checked, read_raw
from pipeline.run_params import RunParams
from tests.conftest import ROOT

RUN: dict[str, Any] = read_raw(ROOT / "params.yaml")["run"]


def read(**changes: Any) -> RunParams:
    return checked("run", RunParams, {**RUN, **changes})


def nightly(**changes: Any) -> dict[str, Any]:
    return {**RUN["nightly"], **changes}


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cron": "0 3 * * mon-fri"}, "0 3 * * mon-fri (Europe/Berlin)"),
        ({"interval": 90}, "every 90 minutes"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=2FR;BYHOUR=3"}, "FREQ=MONTHLY;BYDAY=2FR;BYHOUR=3 (Europe/"),
    ],
)
def test_each_kind_of_schedule_is_read(schedule: dict[str, Any], words: str) -> None:
    found = read(schedule={**schedule, "timezone": "Europe/Berlin"}).schedule
    assert str(found).startswith(words)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("0 3 * * *", 'give a mapping such as {cron: "0 3'),
        ({"timezone": "UTC"}, "exactly one of cron, interval, rrule, got none"),
        ({"cron": "0 3 * * *", "interval": 5, "timezone": "UTC"}, "got cron and interval"),
        ({"cron": "0 3 * * *"}, "run.schedule.timezone: is missing"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Base"}, "'Mars/Base' is none"),
        ({"cron": "0 3 * * *", "timezone": "../etc/passwd"}, "is none"),
        ({"cron": "0 25 * * *", "timezone": "UTC"}, "'25' is no hour"),
        ({"interval": 0, "timezone": "UTC"}, "run.schedule.interval: 0 was given"),
        ({"rrule": "FREQ=DAILY;COUNT=3", "timezone": "UTC"}, "rrule ends, by COUNT or UNTIL"),
        ({"rrule": "freq=daily;until=20300101", "timezone": "UTC"}, "rrule ends"),
        ({"rrule": "FREQ=DAILY;BYHOUR=99", "timezone": "UTC"}, "rrule cannot be read"),
        ({"rrule": "every night", "timezone": "UTC"}, "rrule needs a FREQ"),
        ({"rrule": "FREQ=MINUTELY", "timezone": "UTC"}, "rrule needs a FREQ of YEARLY"),
        ({"rrule": "FREQ=DAILY;BYSECOND=1,2", "timezone": "UTC"}, "more often than once a minute"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "timezone": "UTC"}, "never comes"),
        ({"rrule": "RRULE:FREQ=DAILY\nEXDATE:20300101T000000", "timezone": "UTC"}, "one rule"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(schedule: Any, said: str) -> None:
    with pytest.raises(InputError) as told:
        read(schedule=schedule)
    assert said in str(told.value)
    assert "params.yaml: run.schedule" in str(told.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"branch": "nightly {date}"}, "run.nightly.branch"),
        ({"branch": "n/{hour}"}, "run.nightly.branch"),
        ({"branch": "-n/{date}"}, "run.nightly.branch"),
        ({"push": "--upload-pack=touch x"}, "run.nightly.push"),
        ({"overlap": "kill"}, "run.nightly.overlap"),
        ({"fetch": {"update": ["../x.dvc"], "pull": [], "copy_from": {}}}, "must lie below data/"),
        ({"fetch": {"update": [], "pull": ["data/x"], "copy_from": {}}}, "must be a .dvc file"),
        ({"fetch": {"update": [], "pull": [], "copy_from": {"data/../x": "y"}}}, "below data/"),
    ],
)
def test_what_is_wrong_with_a_night_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as told:
        read(nightly=nightly(**changes))
    assert said in str(told.value)


@pytest.mark.parametrize("notify", ["FETTLE_WEBHOOK", "slack-webhook/team", None])
def test_who_is_told_is_named(notify: str | None) -> None:
    assert read(notify=notify).notify == notify


def test_an_address_in_the_place_of_a_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as told:
        read(notify="https://hooks.example.org/services/T0/SECRET")
    assert "an address may hold a secret" in str(told.value)
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("nightly/2026-11-27", True),
        ("a..b", False),
        ("a/.b", False),
        ("a.lock", False),
        ("a/", False),
    ],
)
def test_names_of_branches(name: str, good: bool) -> None:
    assert is_branch(name) == good


def test_a_branch_takes_the_date_and_the_time_of_its_night() -> None:
    assert branch_name("n/{date}/{time}", "2026-11-27", "0300") == "n/2026-11-27/0300"
