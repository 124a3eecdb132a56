"""A journal of a small run, as the doors and the fit loop write it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracking import events
from tracking.events import Event
from tracking.tracker import Place

RUN = "20260102-030405-6"
COMMIT = "c" * 40
LOCK = "d" * 64
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


def begin(**changes: Any) -> dict[str, Any]:
    return {
        "event": "run begun",
        "door": "run",
        "commit": COMMIT,
        "dirty": False,
        "lock": "b" * 64,
        "params": {"search": {"space": {"width": {"choice": [1, 2]}}, "patience": None}},
    } | changes


def stage(name: str = "search") -> list[dict[str, Any]]:
    begun = {
        "event": "stage begun",
        "stage": name,
        "description": "Trials",
        "params": {name: {"seed": 1, "space": {"a/b ü": 2}}},
        "declared": {"fits": 2, "epochs": 4},
    }
    ended = {
        "event": "stage ended",
        "stage": name,
        "found": "ran",
        "description": "Trials",
        "params": begun["params"],
        "metrics": {"validation": {"accuracy": 0.5, "names": "x"}, "n": 7},
        "counted": {"fits": 2, "epochs": 4},
        "seconds": 1.5,
    }
    return [begun, ended]


def fit(number: int, name: str, how: str = "whole", epochs: int = 2) -> list[dict[str, Any]]:
    own = {"stage": "search", "fit": number}
    return [
        {
            "event": "fit begun",
            "name": name,
            "settings": {"width": 4, "optimizer": "adam", "patience": None, "batch_norm": True},
            "seed": 3,
            "examples": 100,
            "parameters": 50,
            **own,
        },
        *(
            {
                "event": "epoch",
                "epoch": epoch,
                **{name: float(epoch + place) for place, name in enumerate(FIGURES)},
                **own,
            }
            for epoch in range(1, epochs + 1)
        ),
        {"event": "fit ended", "how": how, "val_loss": 0.25, "val_accuracy": 0.75, **own},
    ]


END = {"event": "run ended", "state": "finished", "lock": LOCK}


def whole() -> dict[str, list[dict[str, Any]]]:
    """By the file that a process writes what it tells: the flow's, and two workers'."""
    begun, ended = stage()
    return {
        "1-1": [begin(), begun, ended, END],
        "2-1": fit(1, "search trial 1") + fit(2, "search trial 1"),
        "3-1": fit(1, "search trial 2", how="diverged", epochs=1),
    }


def write(place: Place, lines: dict[str, list[dict[str, Any]]]) -> None:
    """Append the lines to the files of the journal, in the order of time."""
    place.journal.mkdir(parents=True, exist_ok=True)
    for process, told in lines.items():
        with (place.journal / f"{process}.jsonl").open("a") as file:
            for number, line in enumerate(told):
                file.write(json.dumps({"time": 1_700_000_000.5 + number, **line}) + "\n")


def read(place: Place) -> Sequence[Event]:
    """All of its events."""
    return events.read(place.journal, {})[0]


def place(root: Path) -> Place:
    """The run below a project's folder."""
    return Place(root, RUN)
