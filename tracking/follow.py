"""The follower: a process beside a run that hands its journal on to the trackers.

    python -m tracking.follow RUN TRACKER...

Started by `tracking.keeping`. Its standard input is a pipe that nobody writes to and whose other
end the run holds: when it closes, the run is over, even by `kill -9`. What is left is then handed
on, and where a tracker does not take it for some seconds the follower gives up; `./fettle track`
starts it again. While the run lasts it takes only time that nobody else wants, and no tracker is
known to any process but this one.
"""

import contextlib
import fcntl
import json
import logging
import os
import select
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tracking.delivery import Delivery
from tracking.tracker import Place, open_tracker

TICK = 1.0
"""Seconds between two looks at the journal while the run lasts."""
SHARE = 0.01
"""Of all cores, that the follower takes at the most while the run lasts, even where fits have as
low a priority as it. Tiny fits tell so much that handing it all on would take several times that.
"""
LEAST = 19
"""Priority, as nice has it."""
SETTLE = 0.5
"""Seconds that workers may need to end after the run was killed."""
PATIENCE = 8.0
"""Seconds after the run's end, or after something was handed on last, until giving up."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    # A server that is away is asked again later, not waited for: MLflow's own seven retries take
    # minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DVC_STUDIO_OFFLINE": "true",
}
"""Of this process, unless the user has said otherwise."""


class Pipe:
    """Whether the run is still there."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def wait(self, seconds: float) -> bool:
        """Wait so long or until the other end is closed; returns whether it is."""
        ready, _, _ = select.select([self._handle], [], [], seconds)
        return bool(ready) and not os.read(self._handle, 1)


def follow(place: Place, names: Sequence[str], pipe: Pipe) -> bool:
    """Hand on whatever comes until the run is over and nothing is left, or a tracker has not taken
    it for too long; returns whether all was handed on."""
    deliveries = [
        Delivery(place.journal, name, lambda name=name: open_tracker(name, place))  # type: ignore[misc]
        for name in names
    ]
    over = loaded = False
    while not over:
        before = time.process_time()
        for delivery in deliveries:
            delivery.step()
        over = pipe.wait(rest(time.process_time() - before) if loaded else TICK)
        loaded = True
    _hurry()
    time.sleep(SETTLE)
    _say_killed(place.journal)
    end = time.monotonic()
    waiting = list(deliveries)
    whole = set()
    while waiting:
        for delivery in list(waiting):
            if delivery.step(ending=True):
                whole.add(delivery.name)
                waiting.remove(delivery)
            elif time.monotonic() - max(end, delivery.moved_at) > PATIENCE:
                waiting.remove(delivery)
        if any(delivery.error for delivery in waiting):
            time.sleep(TICK / 4)
    for delivery in deliveries:
        delivery.close(whole=delivery.name in whole)
    return len(whole) == len(deliveries)


def rest(computed: float) -> float:
    """Seconds to wait after so many seconds of computing, which keep the follower to its share.

    What it then cannot hand on while the run lasts it hands on afterwards. Loading the trackers'
    libraries, once a run, is not counted: some seconds of a core that nobody else wants.
    """
    return max(TICK, computed / (SHARE * len(os.sched_getaffinity(0))))


def _say_killed(journal: Path) -> None:
    """End a journal whose run could not, since it was killed."""
    if not any(b'"run ended"' in path.read_bytes() for path in journal.glob("*.jsonl")):
        told = {"event": "run ended", "time": time.time(), "state": "killed"}
        (journal / "killed.jsonl").write_text(json.dumps(told) + "\n", encoding="utf-8")


def main() -> int:
    """Follow one journal; returns 0 where all was handed on, 1 where not, 2 where another does."""
    place = Place(Path.cwd(), sys.argv[1])
    _give_way()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # What trackers warn of is about their own insides.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with (place.journal / "follower.lock").open("w") as lock:
        if not _alone(lock.fileno()):
            return 2
        return 0 if follow(place, sys.argv[2:], Pipe(sys.stdin.fileno())) else 1


def _give_way() -> None:
    """Compute only where nobody else wants to: fits have the cores for themselves."""
    os.nice(LEAST)
    with contextlib.suppress(OSError, AttributeError):
        # Of Linux alone; a process of the lowest priority still takes a core's fiftieth part.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _hurry() -> None:
    """The run is over, and waits."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _alone(lock: int) -> bool:
    """Whether no other follower is at work; who merely looks at the lock has it for a moment."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(TICK / 10)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
