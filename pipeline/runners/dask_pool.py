"""Pieces on a Dask cluster: one that exists, or a scheduler and worker processes started here."""

import contextlib
import logging
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import cloudpickle
import dask
import distributed
from distributed import Client, LocalCluster

from pipeline.errors import EnvironmentFault
from pipeline.runners import dask_worker, gpus, host
from pipeline.runners.dask_worker import HostPlugin
from pipeline.runners.host import Order
from pipeline.runners.pool import Line, Pool, Work
from pipeline.runners.terms import elsewhere

SECONDS = "20s"
"""That a scheduler may take to answer."""


class DaskPool(Pool):
    """Has as many pieces under way as the cluster's workers have threads, those that join too."""

    def __init__(self, address: str | None, workers: int, root: Path, gpus: int) -> None:
        self._address = address
        self._gpus = gpus
        self._workers = workers
        self._root = root
        self._client: Client | None = None
        self._held = ExitStack()
        self._run = ""
        self._listening: dict[str, Callable[[Line], None]] = {}
        self._supplying: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def capacity(self) -> int:
        """Threads of all workers there are now."""
        try:
            if self._client is None:
                self._open()
            assert self._client is not None
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError) as error:
            raise self._away(error) from None

    def _open(self) -> None:
        for module in (gpus, host, dask_worker):
            # Workers may lack the project, or have another version of it.
            cloudpickle.register_pickle_by_value(module)
            self._held.callback(cloudpickle.unregister_pickle_by_value, module)
        for name in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # Before a cluster is started here, which changes this process's environment.
        terms = self._held.enter_context(elsewhere(self._root, self._gpus))
        address = self._held.enter_context(self._cluster()) if not self._address else self._address
        client = self._held.enter_context(Client(address, timeout=SECONDS, set_as_default=False))
        self._run = terms.run
        client.subscribe_topic(f"fettle-{self._run}", self._hear)
        plugin = HostPlugin(terms)
        client.register_plugin(plugin)
        self._held.callback(_unless_gone, client.unregister_worker_plugin, plugin.name)
        self._client = client

    @contextmanager
    def _cluster(self) -> Iterator[LocalCluster]:
        """A scheduler in this process, and workers that end with it, even by `kill -9`."""
        before = os.environ.copy()
        # Threads of BLAS and OpenMP, which Dask sets here to hand them down: they are our own.
        ours = dask.config.set({"distributed.nanny.pre-spawn-environ": {}})
        with ours, _born_deaf():
            cluster = LocalCluster(
                n_workers=self._workers,
                threads_per_worker=1,
                host="127.0.0.1",
                # Not None, which means port 8787 of every address.
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                # A piece whose worker was lost is handed out again by the run.
                scheduler_kwargs={"allowed_failures": 0, "dashboard": False},
            )
        os.environ.update(before)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        with cluster:
            yield cluster

    def _hear(self, event: tuple[float, Any]) -> None:
        _, (key, *line) = event
        if (said := self._listening.get(key)) is not None:
            said(cast(Line, tuple(line)))

    def carry(self, order: Order, work: Work, said: Callable[[Line], None]) -> tuple[Any, ...]:
        """As `Pool.carry`."""
        assert self._client is not None
        where: str | None = None
        while True:
            # A key of its own for every try: a cancelled one is remembered by it.
            key = f"{work.stage or 'piece'}-{uuid4().hex}"
            self._listening[key] = said
            try:
                where, told = self._submit(key, order, where).result()
            except distributed.KilledWorker:
                return ("lost", "the Dask worker ended")
            except distributed.CancelledError as error:
                raise self._away(error) from None
            finally:
                del self._listening[key]
            if told[0] != "away":
                return cast(tuple[Any, ...], told)
            assert where is not None
            order = self._supply(where, order, work)

    def _submit(self, key: str, order: Order, where: str | None) -> Any:
        assert self._client is not None
        run = self._run

        def errand() -> Any:
            # Defined here, so that it travels with its modules rather than by their names.
            return dask_worker.carry(run, key, order)

        return self._client.submit(
            errand,
            key=key,
            pure=False,
            workers=where,
            allow_other_workers=where is not None,
        )

    def _supply(self, where: str, order: Order, work: Work) -> Order:
        """Hand the files over to a worker that does not see them, each once."""
        client = self._client
        assert client is not None
        manifest = work.freight.manifest()

        def call(function: Callable[..., Any], *arguments: Any) -> Any:
            return client.run(function, self._run, *arguments, workers=[where])[where]

        with self._supplying[where], contextlib.suppress(KeyError):
            # A worker that has ended meanwhile answers nothing; the next one will.
            work.freight.send(
                manifest,
                call(dask_worker.lacking, manifest),
                lambda *part: bool(call(dask_worker.keep, *part)),
            )
        return Order(order.payload, order.stamps, order.out, manifest)

    def close(self, *, at_once: bool) -> None:
        """End what was started here; on an existing cluster the run's own processes."""
        self._client = None
        self._held.close()

    def _away(self, error: BaseException) -> EnvironmentFault:
        place = self._address or "which was started for this run"
        return EnvironmentFault(
            f"The Dask scheduler does not answer: {place} ({type(error).__name__}).\n"
            "Check run.cluster in params.yaml and that the scheduler runs (docs/scale.md); with "
            "run.cluster: null one is started here. Finished stages and pieces are kept."
        )


def _unless_gone(function: Callable[..., Any], *arguments: Any) -> None:
    with contextlib.suppress(Exception):
        function(*arguments)


@contextmanager
def _born_deaf() -> Iterator[None]:
    """Let processes started in the block inherit an ignored SIGINT.

    A Ctrl-C reaches the whole foreground group; what it means for workers, the run decides.
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
