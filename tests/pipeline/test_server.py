"""What is said where the project's server does not come up, and how it is known again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipeline import server


@pytest.mark.parametrize(
    ("free_mib", "said"), [(2.5, ": the disk is full (2.5 MiB free)"), (500, "")]
)
def test_a_full_disk_is_named_as_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mib: float, said: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_mib * 2**20))
    assert server._no_room(tmp_path) == said


@pytest.mark.parametrize("hours", [-9_000, -1, 1, 9_000])
def test_a_server_is_known_after_the_clock_was_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hours: int
) -> None:
    me = os.getpid()
    running = server.Server(me, server._started(me), 1, str(tmp_path))
    (tmp_path / ".fettle").mkdir()
    server._state(tmp_path).write_text(json.dumps(asdict(running)))
    # What Linux says of when it was started is the clock's time less the time since then.
    booted = psutil._pslinux.boot_time() + hours * 3600
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted)
    assert server.find(tmp_path) == running
    server._state(tmp_path).write_text(json.dumps(asdict(running) | {"started": 1.0}))
    assert server.find(tmp_path) is None


def test_a_killed_server_that_nobody_took_notice_of_is_none(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running = server.Server(process.pid, server._started(process.pid), 1, str(tmp_path))
    (tmp_path / ".fettle").mkdir()
    server._state(tmp_path).write_text(json.dumps(asdict(running)))
    assert server.find(tmp_path) == running
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert server.find(tmp_path) is None
    process.communicate()


@pytest.mark.parametrize("silent", [0, 2, 3])
def test_a_configured_server_that_is_busy_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    said = [False] * silent + [True]
    monkeypatch.setattr(server, "answers", lambda url: said.pop(0))
    monkeypatch.setattr(server.time, "sleep", lambda seconds: None)
    assert server._answers_in_time("http://127.0.0.1:9/api") == (silent < 3)
