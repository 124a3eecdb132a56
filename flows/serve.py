"""`fettle ui`: Prefect's server and UI, and the nights served on the schedule in params.yaml.

`deployed` holds prefect.yaml, for a team's server, to the same schedule.
"""

import asyncio
import contextlib
import json
import multiprocessing
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pipeline.errors import FettleError, InputError
from pipeline.nightly_params import ScheduleParams
from pipeline.project import open_project
from pipeline.server_access import is_local, masked
from pipeline.yaml_file import read_yaml

if TYPE_CHECKING:
    from prefect.schedules import Schedule

DEPLOYMENTS = Path("prefect.yaml")
AT_ONCE = 2
"""Processes of nights: one at work, one that waits for its end or finds that it is not its turn."""
FIRST = datetime(2020, 1, 1)
"""From which intervals are counted, in the schedule's time zone: so that a night's time does not
follow from when the serving began."""


def serve(host: str | None = None, port: int | None = None) -> None:
    """Serve until interrupted; a server started for this is stopped with it.

    The server listens on `host` and `port`, as `pipeline.server.start` has them.
    """
    from pipeline import server

    project = open_project()
    params = project.params()
    project.require_rendered()
    started = server.configured_url() is None and server.find(project.root) is None
    url = server.use(project.root, host, port)
    try:
        schedule = planned(params.run.schedule)
        print(f"Prefect UI: {masked(url.removesuffix('/api'))}", flush=True)
        if host is not None and not is_local(host):
            print(f"From elsewhere: port {url.removesuffix('/api').split(':')[-1]}", flush=True)
        print(f"Schedule: {params.run.schedule}. Ctrl-C ends it.", flush=True)
        _await_nights(schedule)
    finally:
        if started:
            server.stop(project.root)


def _await_nights(schedule: "Schedule") -> None:
    """Take flow runs as they are due, each in a process of its own, until a signal says to end."""
    from prefect.runner import Runner
    from prefect.types.entrypoint import EntrypointType

    from flows.nightly import nightly_run

    class Nights(Runner):
        async def start(self, *args: Any, **kwargs: Any) -> None:
            self._serving = asyncio.current_task()
            await super().start(*args, **kwargs)

        def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
            # Prefect's own (3.8.8) leaves what it has to clean up unawaited. A Ctrl-C reaches the
            # nights' processes too, this signal does not; finished stages are kept.
            for night in multiprocessing.active_children():
                night.terminate()
            if self._serving is not None:
                self._serving.get_loop().call_soon_threadsafe(self._serving.cancel)

    # Not paused when this ends: nights that pass until it is back are missed, not called off.
    nights = Nights(name="scheduled", pause_on_shutdown=False, limit=AT_ONCE)
    nights.add_flow(
        nightly_run,
        name="scheduled",
        schedule=schedule,
        description=nightly_run.description,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(nights.start())


def planned(when: ScheduleParams) -> "Schedule":
    """The schedule as Prefect has it; raises InputError where Prefect cannot read it."""
    from prefect.schedules import Schedule

    try:
        return Schedule(**_fields(when))
    except ValueError as error:
        raise InputError(f"params.yaml: run.schedule: {error}") from None


def deployed() -> dict[str, str]:
    """For prefect.yaml, where it is a build step: `directory`, in which this checkout lies.

    Ends the process, with a message, where a schedule there is another than the one in params.yaml.
    """
    try:
        return {"directory": str(_checked_deployments())}
    except FettleError as error:
        # Prefect would show how it came to call this, and not why it ended.
        print(f"fettle: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _checked_deployments() -> Path:
    project = open_project()
    when = project.params().run.schedule
    planned(when)
    wanted = _written(when)
    for deployment in read_yaml(project.root / DEPLOYMENTS)["deployments"]:
        found = deployment.get("schedules")
        if found not in ([], [wanted]):
            raise InputError(
                f"{DEPLOYMENTS}: {deployment['name']}: schedules: {json.dumps(found, default=str)} "
                f"was given; params.yaml has run.schedule, which is there: {json.dumps([wanted])}"
            )
    return project.root


def _written(when: ScheduleParams) -> dict[str, Any]:
    """The schedule as prefect.yaml has it."""
    fields = _fields(when)
    if when.interval is not None:
        first = FIRST.replace(tzinfo=ZoneInfo(when.timezone))
        fields |= {"interval": 60 * when.interval, "anchor_date": first.isoformat()}
    return fields


def _fields(when: ScheduleParams) -> dict[str, Any]:
    if when.interval is not None:
        return {
            "interval": timedelta(minutes=when.interval),
            "anchor_date": FIRST.replace(tzinfo=ZoneInfo(when.timezone)),
            "timezone": when.timezone,
        }
    kind = "cron" if when.cron is not None else "rrule"
    return {kind: getattr(when, kind), "timezone": when.timezone}
