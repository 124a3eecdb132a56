"""A run's part in a Dask worker: a plugin that holds its `Host`, and what the run calls there.

Sent to the workers as it is, with `host.py`: see `dask_pool.py`.
"""

from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from pipeline.runners.host import Host, Manifest, Order, Terms

IDLE = 120.0
"""Seconds after which a worker process without work ends; the next piece starts one."""


class HostPlugin(WorkerPlugin):  # type: ignore[misc]
    """Puts a host for the run into every worker there is, and every one that joins."""

    def __init__(self, terms: Terms) -> None:
        self.name = f"fettle-{terms.run}"
        self._terms = terms

    def setup(self, worker: Worker) -> None:
        """Called in the worker's own process."""
        self.host = Host(self._terms, IDLE)

    def teardown(self, worker: Worker) -> None:
        """End what was started for the run."""
        self.host.close()

    def transition(self, key: Any, start: str, finish: str, **details: Any) -> None:
        """Nobody waits for a piece any more, because the run was ended: so end it too."""
        if finish in ("cancelled", "released", "forgotten") and start in ("executing", "cancelled"):
            self.host.cancel(str(key))


def host_of(run: str, worker: Any = None) -> Host:
    """The run's host in this process."""
    plugin: HostPlugin = (worker or get_worker()).plugins[f"fettle-{run}"]
    return plugin.host


def carry(run: str, key: str, order: Order) -> tuple[Any, ...]:
    """Task: a piece; its log lines go to whoever follows the run's topic."""
    worker = get_worker()

    def said(line: tuple[str, int, str, float]) -> None:
        worker.log_event(f"fettle-{run}", [key, *line])

    return (worker.address, host_of(run).carry(key, order, said))


def lacking(run: str, manifest: Manifest, dask_worker: Any) -> list[str]:
    """As `Host.lacking`."""
    return host_of(run, dask_worker).lacking(manifest)


def keep(run: str, mark: str, part: bytes, first: bool, last: bool, dask_worker: Any) -> bool:
    """As `Host.keep`."""
    return host_of(run, dask_worker).keep(mark, part, first=first, last=last)
