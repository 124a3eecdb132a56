"""A Prefect server that is slow, that answers 500 for a while, and one that restarts in mid-run."""

import contextlib
import random
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

from pipeline import server
from tests.conftest import VENV
from tests.faults.injection import (
    PATIENCE_SECONDS,
    Event,
    Fault,
    Missed,
    Told,
    Toy,
    chosen,
    named,
)

SLOW_SECONDS = (0.05, 0.5, 2.0)
ILL_SECONDS = (1.0, 5.0, 20.0)
RESTARTS = 4
REPLY = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WORDS = "The Prefect server"


def faults(chance: random.Random, events: dict[Event, int]) -> Iterator[Fault]:
    """Slow from the start; ill and restarted at random moments."""
    of_run = {at: count for at, count in events.items() if at[0] == "run"}
    for seconds in SLOW_SECONDS:
        yield Fault("a slow Prefect server", f"{seconds} s later", slow(seconds), words=WORDS)
    for seconds in ILL_SECONDS:
        for strike in chosen(chance, of_run, 2):
            yield Fault(
                "a Prefect server that answers 500",
                f"for {seconds} s: {named(strike)}",
                ill(strike, seconds),
                words=WORDS,
            )
    for strike in chosen(chance, of_run, RESTARTS):
        yield Fault(
            "a Prefect server that restarts", named(strike), restarting(strike), words=WORDS
        )


class Between:
    """A server in front of the real one, which lets bytes through late, or answers 500 itself."""

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self.delay, self.ill = delay, False
        outer = self
        self._open: set[socket.socket] = set()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    outer.serve(self.request, port)

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Threads((server.HOST, 0), Handler)
        self.url = f"http://{server.HOST}:{self._server.server_address[1]}/api"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self, client: socket.socket, port: int) -> None:
        """One connection, until either side has enough of it."""
        if self.ill:
            client.recv(65_536)
            client.sendall(REPLY)
            return
        with socket.create_connection((server.HOST, port)) as real:
            self._open |= {client, real}
            threading.Thread(target=self.pass_on, args=(real, client), daemon=True).start()
            self.pass_on(client, real, self.delay)

    def pass_on(self, source: socket.socket, target: socket.socket, delay: float = 0.0) -> None:
        """Bytes of one direction, each piece of them so late."""
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                time.sleep(delay)
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def fall_ill(self) -> None:
        """Answer 500 from now on, on every connection."""
        self.ill = True
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


def between(toy: Toy, delay: float = 0.0) -> Between:
    """One in front of the server that the project uses, until all has been judged."""
    assert toy.api_url
    port = int(toy.api_url.rpartition(":")[2].partition("/")[0])
    made = Between(port, delay)
    toy.until_judged.callback(made.close)
    return made


def slow(seconds: float) -> Any:
    """A run whose every request takes so much longer."""

    def inject(toy: Toy) -> Told:
        return Toy(toy.root, between(toy, seconds).url).told()

    return inject


def ill(strike: dict[str, Any], seconds: float) -> Any:
    """A run in which the server answers 500 for so many seconds."""

    def inject(toy: Toy) -> Told:
        front = between(toy)
        struck = Toy(toy.root, front.url).striking(action="nothing", **strike)
        run = struck.begin()
        wait_for_strike(struck, run)
        front.fall_ill()
        healed = threading.Timer(seconds, lambda: setattr(front, "ill", False))
        healed.start()
        toy.until_judged.callback(healed.cancel)
        return struck.end(run)

    return inject


def restarting(strike: dict[str, Any]) -> Any:
    """A run whose server, a user's own on a fixed port, is killed and started again at once."""

    def inject(toy: Toy) -> Told:
        with socket.socket() as probe:
            probe.bind((server.HOST, 0))
            port = probe.getsockname()[1]
        mine = Toy(toy.root, f"http://{server.HOST}:{port}/api")
        started = serve(mine, port)
        struck = mine.striking(action="nothing", **strike)
        run = struck.begin()
        try:
            wait_for_strike(struck, run)
            started.send_signal(signal.SIGKILL)
            started.wait()
            started = serve(mine, port, wait=False)
            return struck.end(run)
        finally:
            started.kill()
            started.wait()

    return inject


def serve(toy: Toy, port: int, wait: bool = True) -> subprocess.Popen[bytes]:
    """A Prefect server on that port, as its user would start it; returns once it answers."""
    home = toy.root / ".home"
    process = subprocess.Popen(
        [
            str(VENV / "bin" / "python"),
            *("-m", "prefect", "server", "start"),
            *("--host", server.HOST, "--port", str(port)),
        ],
        cwd=toy.root.parent,
        env=toy.environment | server.QUIET | {"PREFECT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wait and not server.answers(f"http://{server.HOST}:{port}/api"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return process


def wait_for_strike(struck: Toy, run: subprocess.Popen[str]) -> None:
    """Wait until a run is where the strike was told to come; raises Missed where it never is."""
    while not struck.was_struck:
        if run.poll() is not None:
            raise Missed("the run did not come there")
        time.sleep(0.01)
