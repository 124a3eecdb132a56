"""The project's own server: who may reach it, what is said where it does not come up, and how it is
known again."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipeline import server
from pipeline.errors import EnvironmentFault, InputError
from pipeline.server_access import SERVER_STRING, is_local, masked, reached_at, read_host
from tests.conftest import Checkout


@pytest.mark.parametrize(
    ("free_mib", "said"), [(2.5, ": the disk is full (2.5 MiB free)"), (500, "")]
)
def test_a_full_disk_is_named_as_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mib: float, said: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_mib * 2**20))
    assert server._no_room(tmp_path) == said


STRING = "team:a-password-of-the-tests"


@dataclass(frozen=True)
class Guarded(Checkout):
    """A checkout whose server asks who it is, used with or without the answer."""

    answer: bool = True

    @property
    def environment(self) -> dict[str, str]:
        own = {SERVER_STRING: STRING} if self.answer else {}
        return super().environment | own


def _status(url: str, string: str | None) -> int:
    request = urllib.request.Request(url)
    if string:
        token = base64.b64encode(string.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.doors
def test_a_guarded_server_takes_the_string_alone_and_nothing_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_template: Path
) -> None:
    monkeypatch.setenv(SERVER_STRING, STRING)
    shutil.copytree(toy_template, tmp_path / "toy", symlinks=True)
    knows = Guarded(tmp_path / "toy")
    stranger = Guarded(knows.root, answer=False)
    try:
        running = server.start(knows.root)
        assert running.host == "127.0.0.1"
        statuses = [
            _status(f"{running.api_url}/version", string) for string in (None, "team:x", STRING)
        ]
        assert statuses == [401, 401, 200]
        assert "asks for a name and a password" in stranger.fettle("run", expect=4)
        said = knows.fettle("run")
        assert "Ran ingest" in said
        process = psutil.Process(running.pid)
        assert not any("a-password" in line for line in [*process.cmdline(), said])
        kept = [path for path in (knows.root / ".fettle").rglob("*") if path.is_file()]
        assert any(path.name == "prefect.db" for path in kept)
        assert not [path for path in kept if b"a-password" in path.read_bytes()]
        with pytest.raises(EnvironmentFault, match=r"runs at 127\.0\.0\.1:\d+ already"):
            server.start(knows.root, "127.0.0.2")
    finally:
        server.stop(knows.root)


@pytest.mark.parametrize("string", ["", "team", "team:short", ":a-password-of-the-tests"])
def test_no_server_is_started_that_others_can_reach_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, string: str
) -> None:
    monkeypatch.setenv(SERVER_STRING, string)
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(EnvironmentFault, match="only with a name and a password"):
            server.start(tmp_path, host)
    assert not (tmp_path / ".fettle").exists()


def test_an_address_that_is_not_this_machines_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SERVER_STRING, STRING)
    # Of a block that is for documentation alone (RFC 5737).
    with pytest.raises(EnvironmentFault, match=r"No server can listen on 192\.0\.2\.1"):
        server.start(tmp_path, "192.0.2.1")


def test_what_is_no_address_is_refused() -> None:
    assert read_host("localhost") == "127.0.0.1"
    with pytest.raises(InputError, match="give an address of this machine"):
        read_host("example.org; rm")


@pytest.mark.parametrize(
    ("host", "local", "reached"),
    [
        ("127.0.0.1", True, "127.0.0.1"),
        ("::1", True, "[::1]"),
        ("0.0.0.0", False, "127.0.0.1"),
        ("::", False, "[::1]"),
        ("192.168.0.10", False, "192.168.0.10"),
    ],
)
def test_who_can_reach_an_address(host: str, local: bool, reached: str) -> None:
    assert is_local(host) == local
    assert reached_at(host) == reached


def test_passwords_in_addresses_are_masked() -> None:
    text = "https://me:secret@example.org/x failed, so did ssh://git@host/y and s3://bucket/a@b"
    assert masked(text) == "https://example.org/x failed, so did ssh://host/y and s3://bucket/a@b"


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
