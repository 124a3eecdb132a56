"""Whose turn it is: nights that meet another run in this checkout, and nights whose time passed.

Not Prefect's limits: what they count is kept in the server's memory and its data base, and a run
whose machine went down would hold its place for ever (prefect 3.8.8). A lock of the kernel's is
gone with its process.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from pipeline.nightly_params import NightlyParams

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

log = logging.getLogger("fettle")

FOLDER = ".fettle"


@contextmanager
def at_work(root: Path) -> Iterator[None]:
    """Let nights know that a run is at work; runs themselves do not mind each other here, since
    DVC's locks part them."""
    with _opened(root, "run.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(root: Path, overlap: Literal["skip", "wait"]) -> Iterator[str | None]:
    """A night's turn: None once it has it, or why it does not get one.

    With `wait` it waits for whatever is at work; but one waits at the most.
    """
    with ExitStack() as stack:
        night, run, waiting = (
            stack.enter_context(_opened(root, name))
            for name in ("nightly.lock", "run.lock", "waiting.lock")
        )
        if not (_taken(night) and _taken(run)):
            if overlap == "skip":
                yield "Another run is at work in this checkout"
                return
            if not _taken(waiting):
                yield "Another run is at work in this checkout, and one waits for its end already"
                return
            log.info("another run is at work in this checkout: waiting for its end")
            fcntl.flock(night, fcntl.LOCK_EX)
            fcntl.flock(run, fcntl.LOCK_EX)
            fcntl.flock(waiting, fcntl.LOCK_UN)
        # The training of this night is a run at work itself.
        fcntl.flock(run, fcntl.LOCK_UN)
        yield None


def _opened(root: Path, name: str) -> IO[str]:
    (root / FOLDER).mkdir(exist_ok=True)
    return (root / FOLDER / name).open("w")


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def missed(settings: NightlyParams, run: "FlowRun | None") -> str | None:
    """Why a flow run is not to be made up for, or None: it is in time, or is to be.

    All runs whose time passed while nobody took them are waiting when somebody does. Only what the
    schedule made is asked: whoever starts a run by hand wants it now.
    """
    if run is None or not run.auto_scheduled or run.expected_start_time is None:
        return None
    due, now = run.expected_start_time, datetime.now(UTC)
    if now - due <= timedelta(minutes=settings.late):
        return None
    late = f"{(now - due).total_seconds() / 60:.0f} minutes late"
    if settings.missed == "skip":
        return f"Missed: {late}"
    if run.deployment_id is not None and _is_newer(str(run.deployment_id), due, now):
        return f"Missed: {late}, and a later one stands in for it"
    return None


def _is_newer(deployment: str, due: datetime, now: datetime) -> bool:
    """Whether a later run of the deployment was due by now."""
    from uuid import UUID

    from prefect import get_client
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
    )

    times = FlowRunFilterExpectedStartTime(after_=due + timedelta(seconds=1), before_=now)
    with get_client(sync_client=True) as client:
        later = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(expected_start_time=times),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(deployment)])),
            limit=1,
        )
    return bool(later)
