"""The project's own Prefect server: one a checkout, on a free port of 127.0.0.1, reused by runs.

Its state lies in .fettle/, so two clones do not meet: server.json says which process it is,
prefect/ is its home with the database, server.log what it printed. A server that the user has
configured is used instead and never started or stopped from here.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline import mend
from pipeline.artifacts import replacing
from pipeline.errors import EnvironmentFault

HOST = "127.0.0.1"
ROOM_MIB = 10
"""Free disk in MiB below which a new server has no room for its data base."""
START_SECONDS = 120
"""How long a server may take to answer for the first time; about 10 s is usual."""
TRIES = 3
"""Times that a configured server is asked whether it is there."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "fettle",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # A server that went away is said within seconds; a run goes on where it was left.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
    # Its database is locked for a moment, for instance.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}
"""Environment of every process that talks to Prefect: no telemetry, our log lines in its UI."""

# The command line prints its own lines; Prefect's go to its UI.
ONE_VOICE = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
"""Environment of the processes whose lines a user reads."""


@dataclass(frozen=True)
class Server:
    """A running server of this checkout."""

    pid: int
    started: float
    """When the process started, in seconds since the machine did, which no setting of the clock
    changes: a pid alone may be another's by now."""
    port: int
    root: str

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL must hold."""
        return f"http://{HOST}:{self.port}/api"

    @property
    def ui_url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.port}"


def configured_url() -> str | None:
    """The API address that the user has configured by environment, profile or file, if any."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    from prefect.settings import Settings

    return Settings().api.url


def find(root: Path) -> Server | None:
    """This checkout's server, if it runs."""
    import psutil

    try:
        server = Server(**json.loads(_state(root).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if server.root != str(root):
        # The folder was copied or moved with its state: the server is the original's.
        return None
    try:
        started = _started(server.pid)
        # Killed, and not yet taken notice of: in a container there may be nobody who does.
        ended = psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return server if abs(started - server.started) < 1.0 and not ended else None


def start(root: Path) -> Server:
    """The running server, started if there is none; returns once it answers.

    Raises EnvironmentFault where it does not come up, naming its log.
    """
    with _alone(root):
        server = find(root)
        if server is None:
            server = _launch(root)
        _await_answer(server, root)
        return server


def stop(root: Path) -> bool:
    """Stop this checkout's server and wait for its end; False where there was none."""
    import psutil

    with _alone(root):
        server = find(root)
        if server is not None:
            process = psutil.Process(server.pid)
            family = [*process.children(recursive=True), process]
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.terminate()
            for member in psutil.wait_procs(family, timeout=10)[1]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        _state(root).unlink(missing_ok=True)
        return server is not None


def answers(url: str) -> bool:
    """Whether the API at `url` says it is well."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _answers_in_time(url: str) -> bool:
    """Whether a server answers that may be starting, or busy with other work."""
    for _ in range(TRIES):
        if answers(url):
            return True
        time.sleep(0.5)
    return False


def use(root: Path) -> str:
    """Point this process and its children at a server; return the address of its API.

    The user's, where one is configured, else this checkout's own, started if need be. Raises
    EnvironmentFault where the configured one does not answer.
    """
    for name, value in (QUIET | ONE_VOICE).items():
        os.environ.setdefault(name, value)
    url = configured_url()
    if url is None:
        url = start(root).api_url
        os.environ["PREFECT_API_URL"] = url
        os.environ["PREFECT_HOME"] = str(_home(root))
        from prefect.context import refresh_global_settings_context

        # Prefect read the environment when the configured address was asked for.
        refresh_global_settings_context()
    elif not _answers_in_time(url):
        raise EnvironmentFault(
            f"The configured Prefect server {url} does not answer.\n"
            "Start it, or unset PREFECT_API_URL (prefect config unset PREFECT_API_URL) "
            "to let fettle run its own."
        )
    return url


def _state(root: Path) -> Path:
    return root / ".fettle" / "server.json"


def _home(root: Path) -> Path:
    return root / ".fettle" / "prefect"


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server."""
    path = root / ".fettle" / "server.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _launch(root: Path) -> Server:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    home = _home(root)
    home.mkdir(parents=True, exist_ok=True)
    mend.server_database(home / "prefect.db")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ONE_VOICE},
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
    }
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        HOST,
        "--port",
        f"{port}",
    ]
    log = os.open(root / ".fettle" / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment,
            # Its own session: a Ctrl-C in the terminal is meant for the run.
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
        )
    finally:
        os.close(log)
    server = Server(pid, _started(pid), port, str(root))
    with replacing(_state(root)) as temporary:
        temporary.write_text(json.dumps(asdict(server)), encoding="utf-8")
    return server


def _started(pid: int) -> float:
    import psutil

    return float(psutil.Process(pid).create_time() - psutil.boot_time())


def _await_answer(server: Server, root: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(server.api_url):
        if find(root) is None or time.monotonic() > deadline:
            raise EnvironmentFault(
                f"The project's Prefect server does not come up{_no_room(root)}. What it printed: "
                ".fettle/server.log\nTry again, or use a server of your own: "
                "PREFECT_API_URL=http://…/api ./fettle run"
            )
        time.sleep(0.1)


def _no_room(root: Path) -> str:
    """The commonest reason, which its log tells as an error of its data base."""
    free = shutil.disk_usage(root).free / 2**20
    return f": the disk is full ({free:.1f} MiB free)" if free < ROOM_MIB else ""
