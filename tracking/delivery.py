"""Handing a journal on to one tracker: how far that has come, and what is done when it fails."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.artifacts import replacing
from tracking import events
from tracking.tracker import Tracker

PAUSE, LONGEST = 1.0, 30.0
"""Seconds between the first two tries after a failure; each pause is twice the one before."""
LETTERS = 300
"""Of an error, at the most."""
_SILENT = re.compile(r"HTTPS?ConnectionPool\(host='(?P<host>[^']+)', port=(?P<port>\d+)\)")
"""How urllib3 begins to say so, inside what others say of it."""


@dataclass(frozen=True)
class Progress:
    """How far a journal was handed on to a tracker; lies beside it as TRACKER.json."""

    offsets: dict[str, int] = field(default_factory=dict)
    """Bytes by file name."""
    whole: bool = False
    """Whether that is all, and the run has ended."""
    left: int = 0
    """Lines that were not, when last given up."""
    error: str = ""
    """Why not."""

    @classmethod
    def read(cls, folder: Path, tracker: str) -> "Progress":
        """As it was written last; from the beginning where it cannot be read."""
        try:
            return cls(**json.loads((folder / f"{tracker}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, folder: Path, tracker: str) -> None:
        """Write it in one step."""
        with replacing(folder / f"{tracker}.json") as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")


class Delivery:
    """Takes what is new in a journal to a tracker."""

    def __init__(
        self,
        folder: Path,
        name: str,
        connect: Callable[[], Tracker],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._folder = folder
        self._connect = connect
        self._clock = clock
        self._tracker: Tracker | None = None
        self._offsets: dict[str, int] = {}
        self._pause = PAUSE
        self._failed_at: float | None = None
        self.error = ""
        self.moved_at = clock()
        """When something was handed on last."""

    def step(self, *, ending: bool = False) -> bool:
        """Hand on what is new, unless the last failure was just now; `ending`: pauses are short.

        Returns whether nothing is left. Raises nothing that a tracker or a disk can raise.
        """
        pause = PAUSE if ending else self._pause
        if self._failed_at is not None and self._clock() < self._failed_at + pause:
            return False
        try:
            if self._tracker is None:
                tracker = self._connect()
                known = Progress.read(self._folder, self.name).offsets
                self._offsets = known if tracker.resumes else {}
                self._tracker = tracker
            return self._hand_on(self._tracker)
        except Exception as error:
            self._tracker = None
            self.error = _told(error)
            self._pause = PAUSE if self._failed_at is None else min(2 * self._pause, LONGEST)
            self._failed_at = self._clock()
            return False

    def _hand_on(self, tracker: Tracker) -> bool:
        found, moved = events.read(self._folder, self._offsets)
        if moved == self._offsets:
            return True
        tracker.take(found)
        self._offsets = moved
        Progress(moved).write(self._folder, self.name)
        self._failed_at, self.error, self.moved_at = None, "", self._clock()
        return False

    def close(self, *, whole: bool) -> Progress:
        """Keep how far it came, for who looks later."""
        offsets = Progress.read(self._folder, self.name).offsets
        left = 0 if whole else events.left(self._folder, offsets)
        progress = Progress(offsets, whole, left, self.error)
        progress.write(self._folder, self.name)
        return progress


def _told(error: Exception) -> str:
    """A server that does not answer; else the first line of an error, without what a URL holds
    before its host: a password, perhaps."""
    silent = _SILENT.search(str(error))
    if silent:
        return f"{silent['host']}:{silent['port']} does not answer"
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return re.sub(r"//[^/@\s]*@", "//", f"{type(error).__name__}: {first}")[:LETTERS]
