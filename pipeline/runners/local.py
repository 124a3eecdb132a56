"""Pieces one after the other, in the run's own process."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline import clock
from pipeline.executor import Landed, unheard
from pipeline.runners.host import Order
from pipeline.runners.pool import Hearing, Line, Pool, Work


class Local(Pool):
    """Starts nothing and has nothing to end."""

    def capacity(self) -> int:
        """One at a time."""
        return 1

    def carry(self, order: Order, work: Work, said: Callable[[Line], None]) -> tuple[Any, ...]:
        """Never called: nothing is carried."""
        raise NotImplementedError

    def close(self, *, at_once: bool) -> None:
        """Nothing to do."""

    def run(self, work: Work, hearing: Hearing, landed: Landed[Any] = unheard) -> list[Any]:
        """As `Pool.run`."""
        results = []
        for place, item in enumerate(work.items):
            hearing.began(place)
            before = clock.take()
            try:
                with clock.span("piece"), _overheard(place, hearing):
                    result = work.function(item)
            except BaseException as error:
                hearing.failed(place, error)
                raise
            spans = clock.take()
            clock.add(before)
            clock.add(spans)
            results.append(result)
            landed(place, result)
            hearing.ended(place, spans["piece"])
        return results


@contextmanager
def _overheard(place: int, hearing: Hearing) -> Iterator[None]:
    """Let log lines in the block reach the hearing, as those of other processes do."""

    def hear(record: logging.LogRecord) -> bool:
        hearing.said(place, (record.name, record.levelno, record.getMessage(), record.created))
        return False

    top, progress = logging.getLogger("fettle"), logging.getLogger("fettle.progress")
    level = top.level
    top.setLevel(logging.INFO)
    for log in (top, progress):
        log.addFilter(hear)
    try:
        yield
    finally:
        top.setLevel(level)
        for log in (top, progress):
            log.removeFilter(hear)
