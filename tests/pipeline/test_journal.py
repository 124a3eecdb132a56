"""The journal: what is told, by whom, and that it never stands in the way."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from models import training
from models.training import SeedRun
from pipeline import journal
from tests.models import small


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(journal.FOLDER, str(tmp_path))
    # As set by the test, so that it is taken back.
    monkeypatch.setenv(journal.STAGE, "search")
    return tmp_path


def told(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in folder.glob("*.jsonl")
        for line in path.read_text().splitlines()
        if line
    ]


def test_without_a_journal_nothing_is_told_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(journal.FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    journal.enter("search")
    with journal.fit("a fit", {"width": 3}) as fit:
        fit.epoch({"epoch": 1})
        fit.end("whole")
    assert not journal.is_open()
    assert journal.STAGE not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_a_fit_is_told_with_all_its_settings(opened: Path) -> None:
    journal.enter("baseline")
    with (
        journal.given({"width": 3, "epochs": 1}),
        journal.fit("one", {"epochs": 9}, seed=4) as fit,
    ):
        fit.epoch({"epoch": 1, "loss": 0.5})
    fit.end("whole", val_loss=0.25)
    begun, epoch, ended = told(opened)
    assert begun["settings"] == {"width": 3, "epochs": 9}
    assert (begun["event"], begun["name"], begun["seed"]) == ("fit begun", "one", 4)
    assert (epoch["event"], epoch["loss"]) == ("epoch", 0.5)
    assert (ended["event"], ended["how"], ended["val_loss"]) == ("fit ended", "whole", 0.25)
    assert {line["fit"] for line in (begun, epoch, ended)} == {fit.number}
    assert {line["stage"] for line in (begun, epoch, ended)} == {"baseline"}
    assert begun["time"] <= epoch["time"] <= ended["time"]


def test_settings_are_given_to_the_block_alone_and_fits_are_told_apart(opened: Path) -> None:
    with journal.given({"width": 3}), journal.fit("one", {}):
        pass
    with journal.fit("one", {}):
        pass
    one, other = told(opened)
    assert (one["settings"], other["settings"]) == ({"width": 3}, {})
    assert one["fit"] != other["fit"]


def test_a_fit_that_raises_is_told_as_failed(opened: Path) -> None:
    with pytest.raises(MemoryError), journal.fit("one", {}):
        raise MemoryError
    assert told(opened)[-1]["how"] == "failed"


def test_a_torn_line_loses_no_other(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    journal.tell("one")
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda handle, line: write(handle, line[:5]))
        journal.tell("two")
    journal.tell("three")
    [path] = opened.glob("*.jsonl")
    one, torn, three = path.read_text().splitlines()
    assert (json.loads(one)["event"], json.loads(three)["event"]) == ("one", "three")
    assert len(torn) == 5


@pytest.mark.parametrize("fact", [object(), {1: {2, 3}}, "\udcff"])
def test_what_json_cannot_hold_is_passed_over(opened: Path, fact: object) -> None:
    journal.tell("odd", fact=fact)
    journal.tell("next")
    assert [line["event"] for line in told(opened)][-1] == "next"


def test_a_fit_is_the_same_whatever_becomes_of_its_journal(
    tmp_path: Path, opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    development = small.pictures(tmp_path / "development")
    item = SeedRun(
        str(development.path), None, small.spec(), small.settings(epochs=3), 1, "baseline seed 1"
    )
    kept = training.train(item)
    lines = told(opened)
    # Nobody, not even root, can write below a file.
    (tmp_path / "file").touch()
    monkeypatch.setenv(journal.FOLDER, str(tmp_path / "file"))
    lost = training.train(item)
    monkeypatch.delenv(journal.FOLDER)
    untold = training.train(item)
    assert kept.lines == lost.lines == untold.lines
    assert kept.predictions.tobytes() == lost.predictions.tobytes() == untold.predictions.tobytes()

    assert [line["event"] for line in lines] == ["fit begun", *["epoch"] * 3, "fit ended"]
    begun, *epochs, ended = lines
    assert begun["settings"] == {**small.spec().model_dump(), **item.settings.model_dump()}
    assert begun["examples"] == 120
    assert begun["parameters"] == kept.parameters
    assert [line["val_loss"] for line in epochs] == [line.val_loss for line in kept.lines[0]]
    assert (ended["how"], ended["val_loss"]) == ("whole", kept.loss)
