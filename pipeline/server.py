"""The project's own Prefect server: one a checkout, on a free port of 127.0.0.1, reused by runs.

Elsewhere than on 127.0.0.1 it is started only where that is said, and then only guarded
(pipeline/server_access.py).

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
from pipeline.server_access import (
    CLIENT_STRING,
    HOST,
    SERVER_STRING,
    answer_own_server,
    is_local,
    masked,
    reached_at,
    require_admitted,
    require_guarded,
)

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
    # Fewer and larger transactions, which lock the database less often.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "1000",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
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
    host: str = HOST
    """The address that it listens on."""

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL must hold."""
        return f"{self.ui_url}/api"

    @property
    def ui_url(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{reached_at(self.host)}:{self.port}"


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


def start(root: Path, host: str | None = None, port: int | None = None) -> Server:
    """The running server, started if there is none; returns once it answers.

    It listens on `host` (default: 127.0.0.1) and `port` (default: a free one). Raises
    EnvironmentFault where it does not come up, naming its log, where it runs elsewhere already, or
    where others could reach it unasked.
    """
    require_guarded(host or HOST)
    with _alone(root):
        server = find(root)
        if server is None:
            server = _launch(root, host or HOST, port or 0)
        elif host not in (None, server.host) or port not in (None, server.port):
            raise EnvironmentFault(
                f"The project's Prefect server runs at {server.host}:{server.port} already.\n"
                "Stop it first: ./fettle server stop"
            )
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


def use(root: Path, host: str | None = None, port: int | None = None) -> str:
    """Point this process and its children at a server; return the address of its API.

    The user's, where one is configured, else this checkout's own, started if need be (as by
    `start`). Raises EnvironmentFault where it does not answer, or does not let us in.
    """
    for name, value in (QUIET | ONE_VOICE).items():
        os.environ.setdefault(name, value)
    url = configured_url()
    if url is None:
        url = start(root, host, port).api_url
        answer_own_server()
        os.environ["PREFECT_API_URL"] = url
        os.environ["PREFECT_HOME"] = str(_home(root))
        from prefect.context import refresh_global_settings_context

        # Prefect read the environment when the configured address was asked for.
        refresh_global_settings_context()
    elif host is not None or port is not None:
        raise EnvironmentFault(
            f"--host and --port are of a server of the project's own, and {masked(url)} is "
            "configured (PREFECT_API_URL)."
        )
    elif not _answers_in_time(url):
        raise EnvironmentFault(
            f"The configured Prefect server {masked(url)} does not answer.\n"
            "Start it, or unset PREFECT_API_URL (prefect config unset PREFECT_API_URL) "
            "to let fettle run its own."
        )
    from prefect.settings import Settings

    ours = Settings().api
    if ours.key is None:
        require_admitted(url, ours.auth_string.get_secret_value() if ours.auth_string else None)
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


def _free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0; raises EnvironmentFault where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As the server does: a port that a stopped one has just left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise EnvironmentFault(
            f"No server can listen on {host}, port {port or 'any'}: {error.strerror}.\n"
            "Give an address of this machine (--host) and a port that is free (--port)."
        ) from None


def _launch(root: Path, host: str, wanted_port: int) -> Server:
    port = _free_port(host, wanted_port)
    url = f"http://{reached_at(host)}:{port}"
    home = _home(root)
    home.mkdir(parents=True, exist_ok=True)
    mend.server_database(home / "prefect.db")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ONE_VOICE},
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        # A browser elsewhere asks the address that it has the page from.
        "PREFECT_UI_API_URL": f"{url}/api" if is_local(host) else "/api",
        # Pages from elsewhere, open in the same browser, may not ask the server anything.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{url},http://localhost:{port}",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
    }
    if string := environment.get(SERVER_STRING):
        # Its own services are clients of it.
        environment[CLIENT_STRING] = string
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        host,
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
    server = Server(pid, _started(pid), port, str(root), host)
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
