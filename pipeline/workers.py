"""A plain pool of processes for the pieces of a stage."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from types import TracebackType
from typing import Any, Self

from pipeline import clock, terminal
from pipeline.errors import EnvironmentFault
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


def start() -> None:
    """Prepare a worker: it ends with its parent, and says in the terminal how far long fits are."""
    end_with_parent()
    terminal.show(logging.getLogger("fettle.progress"))


@contextmanager
def _born_deaf() -> Iterator[None]:
    """Let processes started in the block inherit an ignored SIGINT, from their first line on.

    A Ctrl-C reaches the whole foreground group; what it means for the workers the parent decides.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may change it, and only in its group does a Ctrl-C arrive.
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def timed(function: Callable[[Item], Result], item: Item) -> tuple[Result, dict[str, float]]:
    """The result of a piece, and the seconds its process's clock counted meanwhile."""
    clock.take()
    with clock.span("piece"):
        result = function(item)
    return result, clock.take()


def _result_of(future: "Future[Any]") -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        # Which piece it was cannot be told: every one under way is lost with the pool. Nor would it
        # be a result: whether memory suffices is no property of the piece.
        raise EnvironmentFault(
            "A worker process was killed from outside, most likely because memory ran out.\n"
            "Lower run.workers in params.yaml, or make room, and run again: finished stages and "
            "finished trials are kept."
        ) from None


class ProcessPool:
    """Executor with `workers` spawned processes, started when the first pieces come.

    Left by an exception, it ends its processes at once.
    """

    def __init__(self, workers: int, prepare: Callable[[], None] = start) -> None:
        self._workers = workers
        self._prepare = prepare
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        keep: bool = False,
    ) -> list[Result]:
        """As `Executor.map`, but that `Remembering` keeps the results."""

        def say(place: int, seconds: float) -> None:
            log.info("%s: %.1f s", names[place], seconds)

        return self.run(timed, [(function, item) for item in items], say)

    def run(
        self,
        function: Callable[..., tuple[Result, dict[str, float]]],
        calls: Sequence[tuple[Any, ...]],
        done: Callable[[int, float], None],
        tick: Callable[[], None] = lambda: None,
    ) -> list[Result]:
        """Results of `function(*call)` for every call, in their order.

        `function` gives what `timed` gives. `done` is told the place and the seconds of each call
        as it ends; `tick` is called about once a second and may raise to end the wait. Raises
        EnvironmentFault where a process was killed from outside.
        """
        if self._pool is None:
            # Forking after TensorFlow has started its threads hangs.
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=self._prepare,
            )
        with _born_deaf():
            places = {self._pool.submit(function, *call): n for n, call in enumerate(calls)}
        results: list[Any] = [None] * len(calls)
        pending = set(places)
        while pending:
            ended, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                results[places[future]], spans = _result_of(future)
                clock.add(spans)
                done(places[future], spans["piece"])
            tick()
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if error is not None:
            for process in multiprocessing.active_children():
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
