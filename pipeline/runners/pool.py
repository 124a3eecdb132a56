"""What all runners have in common: pieces are handed out, lost ones again, results taken in order.

A runner says how many pieces it can have under way at the moment and carries one to wherever it
runs; so a worker that joins is given work at once, and one that dies costs its piece a retry.
"""

import logging
import pickle
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pipeline import clock
from pipeline.errors import EnvironmentFault
from pipeline.executor import Item, Landed, Result, unheard
from pipeline.runners.freight import Freight
from pipeline.runners.host import Order

log = logging.getLogger("fettle")

RETRIES = 3
"""Times that a piece is handed out again because its worker was lost."""
PAUSE = 4.0
"""Seconds until a piece is handed out for the third time; twice as many until the fourth."""
PATIENCE = 300.0
"""Seconds that pieces wait for a cluster that has no worker at all."""
OFTEN = 1.0
"""Seconds between two looks at how many workers there are."""

Line = tuple[str, int, str, float]
"""Of a log: logger, level, message, when."""


class Hearing:
    """Is told what becomes of pieces, by their place among those handed out, in the run's own
    thread. By itself it shows in the terminal how far long fits are."""

    def began(self, place: int) -> None:
        """A piece was handed to a worker, perhaps not for the first time."""

    def said(self, place: int, line: Line) -> None:
        """A log line of a piece."""
        show_progress(record_of(line))

    def ended(self, place: int, seconds: float) -> None:
        """A piece has a result."""

    def failed(self, place: int, error: BaseException) -> None:
        """A piece raised."""


@dataclass(frozen=True)
class Work:
    """Pieces of one stage."""

    stage: str
    function: Callable[[Any], Any]
    items: Sequence[Any]
    names: Sequence[str]
    freight: Freight


class RemoteTrace(Exception):
    """The traceback of an exception that came from another process, as its text."""

    def __str__(self) -> str:
        """The text, set off from what stands around it."""
        return f'\n"""\n{self.args[0]}"""'


class Pool(ABC):
    """Carries pieces to workers. Left by an exception, it ends its workers at once."""

    @abstractmethod
    def capacity(self) -> int:
        """Pieces that can be under way at the moment; raises EnvironmentFault where it is gone."""

    @abstractmethod
    def carry(self, order: Order, work: Work, said: Callable[[Line], None]) -> tuple[Any, ...]:
        """Have a piece run and wait for it, in a thread; returns what `Host.carry` does."""

    @abstractmethod
    def close(self, *, at_once: bool) -> None:
        """End what was started for the run."""

    def run(self, work: Work, hearing: Hearing, landed: Landed[Any] = unheard) -> list[Any]:
        """Results of all pieces, in their order; `landed` is told each as soon as it is there.

        Raises what a piece raised; EnvironmentFault where workers are lost again and again, or
        there is none.
        """
        return _Round(self, work, hearing, landed).results()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        keep: bool = False,
        landed: Landed[Result] = unheard,
    ) -> list[Result]:
        """As `Executor.map`, of no stage and on this machine."""
        work = Work("", function, items, names, Freight.none())
        return self.run(work, Named(names), landed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(at_once=error is not None)


class Named(Hearing):
    """Says in the log what each piece took."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def ended(self, place: int, seconds: float) -> None:
        """As the class says."""
        log.info("%s: %.1f s", self._names[place], seconds)


class _Round:
    """One call of `Pool.run`."""

    def __init__(self, pool: Pool, work: Work, hearing: Hearing, landed: Landed[Any]) -> None:
        self._pool = pool
        self._work = work
        self._hearing = hearing
        self._landed = landed
        self._events: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
        self._waiting = deque((place, 0.0) for place in range(len(work.items)))
        self._flying = 0
        self._lost: Counter[int] = Counter()
        self._results: list[Any] = [None] * len(work.items)
        self._alone_since: float | None = None

    def results(self) -> list[Any]:
        while self._waiting or self._flying:
            self._hand_out()
            try:
                place, kind, told = self._events.get(timeout=OFTEN)
            except queue.Empty:
                # Says where a cluster is gone: a thread may wait for it for ever.
                self._pool.capacity()
                continue
            if kind == "said":
                self._hearing.said(place, told)
            else:
                self._flying -= 1
                self._take(place, told)
        return self._results

    def _hand_out(self) -> None:
        if not self._waiting:
            return
        capacity = self._pool.capacity()
        self._require_someone(capacity)
        for _ in range(len(self._waiting)):
            if self._flying >= capacity:
                return
            place, not_before = self._waiting.popleft()
            if not_before > time.monotonic():
                self._waiting.append((place, not_before))
                continue
            self._flying += 1
            self._hearing.began(place)
            # Daemons: a thread that waits for a cluster must not keep the process.
            threading.Thread(target=self._carry, args=(place,), daemon=True).start()

    def _require_someone(self, capacity: int) -> None:
        if capacity or self._flying:
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
            log.warning("%s: the cluster has no worker; waiting for one", self._work.stage)
        if now - self._alone_since > PATIENCE:
            raise EnvironmentFault(
                f"The cluster has had no worker for {PATIENCE / 60:.0f} minutes (run.cluster in "
                "params.yaml).\nStart one (docs/scale.md) and run again: finished stages and "
                "finished pieces are kept."
            )

    def _carry(self, place: int) -> None:
        def said(line: Line) -> None:
            self._events.put((place, "said", line))

        work = self._work
        try:
            payload = pickle.dumps((work.stage, work.function, work.items[place]))
            order = Order(payload, work.freight.stamps(), work.freight.out)
            told = self._pool.carry(order, work, said)
        except BaseException as error:
            told = ("raised", error)
        self._events.put((place, "ended", told))

    def _take(self, place: int, told: tuple[Any, ...]) -> None:
        match told:
            case ("done", bytes() as answer, *brought):
                if brought:
                    self._work.freight.bring(*brought)
                self._open(place, answer)
            case ("lost", str() as why):
                self._again(place, why)
            case ("unfit", str() as message):
                raise EnvironmentFault(
                    f"{message}\nResults could differ there, so it gets no work. Give it the "
                    "environment of requirements.lock (make setup), or take it out of the cluster."
                )
            case ("raised", BaseException() as error):
                self._hearing.failed(place, error)
                raise error
            case _:
                raise RuntimeError(f"a worker answered {told[0]!r}")

    def _open(self, place: int, answer: bytes) -> None:
        kind, told, more = pickle.loads(answer)  # noqa: S301 - from the run's own worker
        if kind == "error":
            told.__cause__ = RemoteTrace(more)
            self._hearing.failed(place, told)
            raise told
        clock.add(more)
        self._results[place] = told
        self._landed(place, told)
        self._hearing.ended(place, more["piece"])

    def _again(self, place: int, why: str) -> None:
        self._lost[place] += 1
        count = self._lost[place]
        name = self._work.names[place]
        if count > RETRIES:
            # Nor is it a result: whether memory suffices is no property of the piece.
            raise EnvironmentFault(
                f"{name}: its worker process was lost {count} times ({why}), most likely because "
                "memory ran out.\nLower run.workers in params.yaml, or make room, and run again: "
                "finished stages and finished trials are kept."
            )
        log.warning("%s: its worker was lost (%s); handed out again", name, why)
        wait = 0.0 if count == 1 else PAUSE * 2.0 ** (count - 2)
        self._waiting.appendleft((place, time.monotonic() + wait))


def record_of(line: Line) -> logging.LogRecord:
    """A log line from another process, as if it were said here."""
    name, level, message, created = line
    record = logging.LogRecord(name, level, "", 0, message, None, None)
    record.created = created
    return record


def show_progress(record: logging.LogRecord) -> None:
    """Show how far a long fit is, wherever the pipeline's own lines go; others are for the run."""
    if record.name == "fettle.progress":
        logging.getLogger(record.name).callHandlers(record)
