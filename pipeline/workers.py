"""A plain pool of processes for the pieces of a stage, for DVC's door."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import parent_process
from types import TracebackType
from typing import Any, Self

from pipeline import clock
from pipeline.executor import Item, Result

log = logging.getLogger("fettle")


def end_with_parent() -> None:
    """Let this worker end when the process that started it does, even by `kill -9`.

    An orphan waits for ever on a queue whose other end it holds itself.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def timed(function: Callable[[Item], Result], item: Item) -> tuple[Result, dict[str, float]]:
    """The result of a piece, and the seconds its process's clock counted meanwhile."""
    clock.take()
    with clock.span("piece"):
        result = function(item)
    return result, clock.take()


class ProcessPool:
    """Executor with `workers` spawned processes, started when the first pieces come."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str]
    ) -> list[Result]:
        """As `Executor.map`."""
        if self._pool is None:
            # Forking after TensorFlow has started its threads hangs.
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=end_with_parent,
            )
        futures = {
            self._pool.submit(timed, function, item): place for place, item in enumerate(items)
        }
        results: list[Any] = [None] * len(items)
        for future in as_completed(futures):
            place = futures[future]
            results[place], spans = future.result()
            clock.add(spans)
            log.info("%s: %.1f s", names[place], spans["piece"])
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, cancel_futures=True)
