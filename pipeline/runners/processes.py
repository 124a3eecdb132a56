"""Pieces in processes of this machine."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from pipeline.runners.host import Host, Order
from pipeline.runners.pool import Line, Pool, Work
from pipeline.runners.terms import here


class ProcessPool(Pool):
    """Has `workers` processes, started when the first pieces come, or fewer where there are not
    as many times `gpus` GPUs."""

    def __init__(self, workers: int, gpus: int = 0) -> None:
        self._workers = workers
        self._gpus = gpus
        self._host: Host | None = None

    def capacity(self) -> int:
        """As many as there are processes."""
        if self._host is None:
            self._host = Host(here(self._gpus))
        return self._host.seats(self._workers)

    def carry(self, order: Order, work: Work, said: Callable[[Line], None]) -> tuple[Any, ...]:
        """As `Pool.carry`."""
        assert self._host is not None
        return self._host.carry(uuid4().hex, order, said)

    def close(self, *, at_once: bool) -> None:
        """End the processes, whatever they are at."""
        if self._host is not None:
            self._host.close()
            self._host = None
