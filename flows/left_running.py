"""Runs whose process was killed: Prefect would show them as Running for ever.

Those that a server or a worker starts are looked after by it, those of the command line by nobody.
So each holds a lock of the kernel's in a file that is named as its flow run, and the next run says
what became of those whose lock nobody holds.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

log = logging.getLogger("fettle")

FOLDER = Path(".fettle/running")
"""Of the locks, below the project's folder."""
KILLED = "Its process ended without a word. What was finished is kept."
"""What the Prefect server is told of such a run."""


@contextmanager
def noted(root: Path) -> Iterator[None]:
    """Let the next run in the checkout know where this flow run's process is killed."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield
        return
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    say_left(root)
    place = folder / str(context.flow_run.id)
    # Named so only once it is locked: nobody may take it for a dead one's.
    hidden = folder / f".{place.name}"
    with hidden.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hidden.rename(place)
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def say_left(root: Path) -> None:
    """Have the server know of runs in this checkout whose process was killed."""
    for place in sorted((root / FOLDER).glob("[!.]*")):
        try:
            # Not made anew: one that ends just now removes its own.
            lock = place.open("r+")
        except FileNotFoundError:
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            try:
                with get_client(sync_client=True) as client:
                    _end(client, UUID(place.name))
            except ObjectNotFound:
                # Of another server, or deleted.
                pass
            except Exception as error:
                # What is shown of an old run may not cost the new one.
                log.debug("%s: %s", place, error)
                continue
            place.unlink(missing_ok=True)


def _end(client: SyncPrefectClient, flow_run: UUID) -> None:
    run = client.read_flow_run(flow_run)
    if run.state is None or run.state.is_final():
        return
    ended = Cancelled if run.state.is_cancelling() else Crashed
    client.set_flow_run_state(flow_run, ended(message=KILLED), force=True)
    log.warning("the run %s was killed; Prefect shows it as %s now", run.name, ended().name)
