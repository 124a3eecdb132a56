"""The clock set back or forward, between runs and in mid-run, and files from the future.

The machine's own clock stays: processes get one that is ahead or behind (see strike/), and files
the times that such a clock would have given them.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import server
from tests.faults.injection import Event, Fault, Lost, Missed, Told, Toy, chosen, named

HOUR, DAY = 3600.0, 86_400.0
OK = frozenset({0})


def faults(chance: random.Random, events: dict[Event, int]) -> Iterator[Fault]:
    """Between runs, in mid-run, and as the times of files tell."""
    of_run = {at: count for at, count in events.items() if at[0] == "run"}
    for ahead in (-400 * DAY, -HOUR, HOUR, 400 * DAY):
        words = f"{ahead / HOUR:+.0f} hours"
        yield Fault("the clock is set", f"before a run, by {words}", wrong(ahead), OK)
        [strike] = chosen(chance, of_run, 1)
        yield Fault(
            "the clock is set",
            f"in mid-run, by {words}: {named(strike)}",
            jumping(strike, ahead),
            OK,
        )
        yield Fault(
            "the clock is set",
            f"between runs with one server, by {words}",
            stepped(ahead),
            OK,
            own_server=True,
        )
    for what in ("artifacts", "tasks", "dvc.lock", "dvc.yaml", ".dvc"):
        for seconds, word in ((400 * DAY, "the future"), (-time.time(), "1970")):
            yield Fault(
                "files from another time",
                f"{what} from {word}",
                dated(what, seconds),
                OK,
                done=True,
            )


def wrong(ahead: float) -> Any:
    """A run whose clock is wrong."""

    def inject(toy: Toy) -> Told:
        return toy.striking(action="clock", ahead=ahead).told()

    return inject


def jumping(strike: dict[str, Any], seconds: float) -> Any:
    """A run in which the clock is set."""

    def inject(toy: Toy) -> Told:
        struck = toy.striking(action="clock", seconds=seconds, **strike)
        told = struck.told()
        if not struck.was_struck:
            raise Missed("the run did not come there")
        return told

    return inject


def stepped(ahead: float) -> Any:
    """A server started by one clock, and a run by another, which must find it."""

    def inject(toy: Toy) -> Told:
        toy.fettle("server", "start")
        before = server.find(toy.root)
        told = toy.striking(action="clock", ahead=ahead).told()
        if before != server.find(toy.root):
            raise Lost("a second server was started beside the first")
        return told

    return inject


def dated(what: str, seconds: float) -> Any:
    """A run that finds files with other times."""

    def inject(toy: Toy) -> Told:
        top = toy.root / what
        then = time.time() + seconds
        for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if path.is_file() and not Path(path).is_symlink():
                os.utime(path, (then, then))
        return toy.told()

    return inject
