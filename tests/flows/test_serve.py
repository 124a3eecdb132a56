"""The schedule as Prefect has it, and the nights deployed to a pool of a real server's."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from flows import serve
from pipeline.nightly_params import ScheduleParams
from tests.conftest import ROOT, Checkout

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""The day before the clocks of Berlin go forward."""


def when(**given: Any) -> ScheduleParams:
    return ScheduleParams(timezone="Europe/Berlin", **given)


@pytest.mark.parametrize(
    ("given", "hours"),
    [
        ({"cron": "30 3 * * *"}, ["29 03:30", "30 03:30"]),
        ({"rrule": "FREQ=DAILY;BYHOUR=3;BYMINUTE=30;BYSECOND=0"}, ["29 03:30", "30 03:30"]),
        # From midnight on the first of January 2020, whenever the serving began.
        ({"interval": 720}, ["29 00:00", "29 13:00"]),
    ],
)
@pytest.mark.anyio
async def test_nights_come_when_they_are_said_to(given: dict[str, Any], hours: list[str]) -> None:
    from prefect.client.schemas.schedules import construct_schedule
    from prefect.server.schemas import schedules

    planned = serve.planned(when(**given))
    anchor = planned.anchor_date if planned.interval else None
    made = construct_schedule(
        planned.interval, anchor, planned.cron, planned.rrule, planned.timezone
    )
    kind = getattr(schedules, type(made).__name__)
    dates = await kind.model_validate(made.model_dump()).get_dates(2, start=NOON)
    berlin = ZoneInfo("Europe/Berlin")
    assert [date.astimezone(berlin).strftime("%d %H:%M") for date in dates] == hours


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def prefect(toy: Checkout, *arguments: str, expect: int = 0) -> str:
    return toy.run(".venv/bin/python", "-B", "-m", "prefect", *arguments, expect=expect)


@pytest.mark.doors
def test_a_worker_of_a_pool_runs_a_night(clone: Callable[[str], Checkout], tmp_path: Path) -> None:
    toy = clone("deployed")
    shutil.copy(ROOT / "prefect.yaml", toy.root)
    prefect(toy, "work-pool", "create", "fettle", "--type", "process")
    prefect(toy, "--no-prompt", "deploy", "--name", "process")
    started = prefect(toy, "deployment", "run", "nightly/process")
    assert "nightly" in started
    # From elsewhere and without the launcher, as a service would start it.
    python = [str(toy.root / ".venv/bin/python"), "-B", "-m", "prefect"]
    worker = subprocess.run(
        [*python, "worker", "start", "--pool", "fettle", "--run-once"],
        cwd=tmp_path,
        env=toy.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr
    assert (toy.root / "artifacts/report/index.html").is_file()
    assert "up to date" in toy.dvc("status")


def test_a_schedule_in_prefect_yaml_that_is_another_is_said(
    tmp_path: Path, toy_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Checkout(tmp_path / "toy")
    shutil.copytree(toy_template, toy.root, symlinks=True)
    shutil.copy(ROOT / "prefect.yaml", toy.root)
    ask = [".venv/bin/python", "-B", "-c", "from flows.serve import deployed; print(deployed())"]
    assert str(toy.root) in toy.run(*ask)
    toy.replace("params.yaml", "timezone: UTC", "timezone: Asia/Tokyo")
    said = toy.run(*ask, expect=3)
    assert "fettle: prefect.yaml: process: schedules:" in said
    assert "Asia/Tokyo" in said
    toy.replace("params.yaml", 'cron: "0 3 * * *"', "interval: 60")
    assert '"interval": 3600' in toy.run(*ask, expect=3)
