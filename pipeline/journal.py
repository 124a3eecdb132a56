"""What happens in a run, told line by line to a file of this process's own.

Where a journal is open, which an environment variable says, so that workers inherit it, `tell`
appends a line of JSON. Elsewhere it does nothing. Who reads it is no concern of those who tell, and
neither is a line that could not be written: a journal may cost a fit nothing and never end one.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

FOLDER = "FETTLE_JOURNAL"
"""Environment variable that names the folder of the open journal."""
STAGE = "FETTLE_STAGE"
"""Environment variable that names the stage under way, which every line bears."""

_given: ContextVar[Mapping[str, Any]] = ContextVar("given")


class _File:
    """Where this process writes."""

    folder: str | None = None
    pid = 0
    handle = -1
    whole = True
    """Whether the last line was written to its end."""
    fits = 0


_file = _File()


def tell(event: str, **facts: Any) -> None:
    """Append a line: the event, when it happened, its stage, and facts that JSON can hold.

    One call of the system and no wait for the disk. Never raises.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    told = {"event": event, "time": time.time(), "stage": os.environ.get(STAGE), **facts}
    try:
        # Behind a line that was torn off this one must not be lost with it.
        line = ("" if _file.whole else "\n") + json.dumps(told) + "\n"
        written = line.encode()
        handle = _handle(folder)
        _file.whole = False
        _file.whole = os.write(handle, written) == len(written)
    except (OSError, TypeError, ValueError):
        return


def _handle(folder: str) -> int:
    """The open file of this process in that folder; its name no other process ever has."""
    if _file.folder != folder or _file.pid != os.getpid():
        name = f"{os.getpid()}-{time.time_ns()}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        _file.handle = os.open(os.path.join(folder, name), flags, 0o644)
        _file.folder, _file.pid, _file.whole = folder, os.getpid(), True
    return _file.handle


def is_open() -> bool:
    """Whether anything is kept of what is told."""
    return FOLDER in os.environ


def enter(stage: str) -> None:
    """Say which stage this process, and workers that it starts from now on, are at."""
    if is_open():
        os.environ[STAGE] = stage


@contextmanager
def given(facts: Mapping[str, Any]) -> Iterator[None]:
    """Add settings by name to those of every fit begun in the block: of the network, for one."""
    token = _given.set({**_given.get({}), **facts})
    try:
        yield
    finally:
        _given.reset(token)


class Fit:
    """One fit, as the journal is told of it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def epoch(self, figures: Mapping[str, Any]) -> None:
        """An epoch has ended."""
        tell("epoch", fit=self.number, **figures)

    def end(self, how: str, **figures: float | None) -> None:
        """The fit has ended: whole, stopped, diverged, out of time or failed."""
        tell("fit ended", fit=self.number, how=how, **figures)


@contextmanager
def fit(name: str, settings: Mapping[str, Any], **facts: Any) -> Iterator[Fit]:
    """Tell that a fit begins and, if the block raises, that it failed; any other end is told by
    the block's own `Fit.end`."""
    _file.fits += 1
    told = Fit(_file.fits)
    tell("fit begun", fit=told.number, name=name, settings={**_given.get({}), **settings}, **facts)
    try:
        yield told
    except BaseException:
        told.end("failed")
        raise
