"""Pieces on a Ray cluster: one that exists, or a node started here."""

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from pipeline.errors import EnvironmentFault
from pipeline.runners import gpus, host, ray_worker
from pipeline.runners.gpus import visible
from pipeline.runners.host import Order
from pipeline.runners.pool import Line, Pool, Work
from pipeline.runners.terms import elsewhere

LONELY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Environment of a node that is started here: it listens on 127.0.0.1 alone."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
}
"""Environment of this process, read when Ray is imported: no telemetry, no warning about GPUs, and
no node that Ray starts by itself for whoever calls it after its end."""
MEMORY = 128 * 2**20
"""Bytes of Ray's store on a node that is started here: what travels is small."""
PARTING = host.PARTING + 1
"""Seconds that actors have to remove what they laid down for the run."""
PATIENCE = 20.0
"""Seconds that a cluster may be away. After a minute Ray ends the process that waits for it (2.60:
`std::_Exit` in rpc_client.h): by then none must wait any more."""
AGAIN = 0.5
"""Seconds between two tries to reach it."""


class RayPool(Pool):
    """Has as many pieces under way as the cluster has CPUs, those of nodes that join too; each in
    an actor that is kept for the next."""

    def __init__(self, address: str | None, workers: int, root: Path, gpus: int) -> None:
        if find_spec("ray") is None:
            raise ModuleNotFoundError(name="ray")
        self._address = address
        self._gpus = gpus
        self._workers = workers
        self._root = root
        self._held = ExitStack()
        self._guard = threading.Condition()
        self._carrying = 0
        self._free: list[Any] = []
        self._all: list[Any] = []
        self._make: Callable[[], Any] | None = None
        self._ray: Any = None
        # Where the service is that knows all nodes of the cluster.
        self._control = ("", 0)

    def capacity(self) -> int:
        """CPUs of all nodes there are now; where there are GPUs, as many pieces as have theirs."""
        if self._make is None:
            self._open()
        self._require_there()
        nodes = self._nodes()
        return sum(places(node, share(nodes, self._gpus)) for node in nodes)

    def _require_there(self) -> None:
        """Ray itself waits for a cluster that has gone, whatever is asked of it."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(self._control, timeout=PATIENCE).close()
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise self._away(error) from None
                time.sleep(AGAIN)

    def _nodes(self) -> list[Mapping[str, float]]:
        """What each node that is alive has."""
        try:
            return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        except Exception as error:
            raise self._away(error) from None

    def _open(self) -> None:
        os.environ.update(QUIET if self._address else QUIET | LONELY)
        _prove_ourselves(own=self._address is None)
        import ray
        from ray import cloudpickle

        self._ray = ray
        for module in (gpus, host, ray_worker):
            # Workers may lack the project, or have another version of it.
            cloudpickle.register_pickle_by_value(module)
            self._held.callback(cloudpickle.unregister_pickle_by_value, module)
        # Before Ray changes this process's environment.
        terms = self._held.enter_context(elsewhere(self._root, self._gpus))
        self._held.callback(ray.shutdown)
        try:
            with _own_signals():
                self._connect()
            self._control = _host_and_port(ray.get_runtime_context().gcs_address)
        except Exception as error:
            # Ray says by a plain Exception that a node did not come up.
            raise self._away(error) from None
        asked = share(self._nodes(), self._gpus)
        # Two calls at once, since an actor is closed while it carries a piece.
        kind = ray.remote(num_cpus=1, num_gpus=asked, max_restarts=0, max_concurrency=2)(
            ray_worker.HostActor
        )
        self._make = lambda: kind.remote(terms)

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self._address is not None:
            self._ray.init(self._address, **quiet)
            return
        self._ray.init(
            "local",
            num_cpus=self._workers,
            num_gpus=len(visible()),
            include_dashboard=False,
            object_store_memory=MEMORY,
            **quiet,
        )

    def carry(self, order: Order, work: Work, said: Callable[[Line], None]) -> tuple[Any, ...]:
        """As `Pool.carry`."""
        if (actor := self._take()) is None:
            return ("lost", "the run has ended")
        try:
            while (told := self._run(actor, order, said))[0] == "away":
                order = self._supply(actor, order, work)
        except self._ray.exceptions.RayActorError:
            return ("lost", "the Ray actor ended")
        else:
            with self._guard:
                self._free.append(actor)
            return told
        finally:
            with self._guard:
                self._carrying -= 1
                self._guard.notify_all()

    def _take(self) -> Any | None:
        """An actor that is free, or a new one; None where the pool is closed."""
        with self._guard:
            if self._make is None:
                return None
            if not self._free:
                self._free.append(self._make())
                self._all += self._free
            self._carrying += 1
            return self._free.pop()

    def _run(self, actor: Any, order: Order, said: Callable[[Line], None]) -> tuple[Any, ...]:
        told: tuple[Any, ...] = ()
        for one in actor.carry.options(num_returns="streaming").remote(uuid4().hex, order):
            kind, *told = self._ray.get(one)
            if kind == "said":
                said(cast(Line, tuple(told)))
        return tuple(told)

    def _supply(self, actor: Any, order: Order, work: Work) -> Order:
        """Hand the files over to a node that does not see them, each once."""
        manifest = work.freight.manifest()
        work.freight.send(
            manifest,
            self._ray.get(actor.lacking.remote(manifest)),
            lambda *part: bool(self._ray.get(actor.keep.remote(*part))),
        )
        return Order(order.payload, order.stamps, order.out, manifest)

    def close(self, *, at_once: bool) -> None:
        """End what was started here; on an existing cluster the run's own actors."""
        with self._guard:
            self._make = None
        try:
            self._part()
        finally:
            for actor in self._all:
                with contextlib.suppress(Exception):
                    self._ray.kill(actor)
            # Who still waits for one of them is told now that it has ended; Ray has to be there.
            with self._guard:
                self._guard.wait_for(lambda: not self._carrying, timeout=PARTING)
            self._all, self._free = [], []
            self._held.close()

    def _part(self) -> None:
        """Let the actors remove what they laid down, as far as they are there to do so."""
        with contextlib.suppress(Exception):
            parting = [actor.close.remote() for actor in self._all]
            if parting:
                self._ray.wait(parting, num_returns=len(parting), timeout=PARTING)

    def _away(self, error: BaseException) -> EnvironmentFault:
        place = self._address or "which was started for this run"
        return EnvironmentFault(
            f"The Ray cluster does not answer: {place} ({str(error) or type(error).__name__}).\n"
            "Check run.cluster in params.yaml and that the cluster runs (docs/scale.md); with "
            "run.cluster: null a node is started here. Finished stages and pieces are kept."
        )


def _host_and_port(address: str) -> tuple[str, int]:
    name, port = address.rsplit(":", 1)
    return name.strip("[]"), int(port)


def share(nodes: Sequence[Mapping[str, float]], gpus: int) -> int:
    """GPUs that each actor asks of Ray, which hides all others from it: as many as are wished, or
    as the largest node has."""
    return min(gpus, max((int(node.get("GPU", 0)) for node in nodes), default=0))


def places(node: Mapping[str, float], gpus: int) -> int:
    """Actors that a node has room for, where each asks for so many GPUs."""
    cpus = int(node.get("CPU", 0))
    return min(cpus, int(node.get("GPU", 0)) // gpus) if gpus else cpus


def _prove_ourselves(*, own: bool) -> None:
    """Have Ray show its token, where there is one, and ask for one on a node of the run's own.

    `ray start` asks for a token from the day on which one lies in the home folder; `ray.init` with
    an address shows none unless it is told to.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    if own:
        # Of this process alone: Ray would write one for good.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    kept = os.environ.get("RAY_AUTH_TOKEN_PATH", str(Path.home() / ".ray" / "auth_token"))
    if "RAY_AUTH_TOKEN" in os.environ or Path(kept).is_file():
        os.environ["RAY_AUTH_MODE"] = "token"


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets a handler for SIGTERM, by which Prefect tells a run to end."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
