"""What a worker process does: it opens pieces, runs them one after the other, and says how it went.

Started by `host.Seat`, which holds the other end of its line. When that end is closed, which a
`kill -9` does too, the process ends at once: an orphan would train for nobody.
"""

import io
import logging
import os
import pickle
import queue
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from pipeline import clock, journal
from pipeline.runners.host import MAIN


class _Relay(logging.Handler):
    """Hands log lines to whoever holds the other end."""

    def __init__(self, line: "_Line") -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        told = (record.name, record.levelno, record.getMessage(), record.created)
        self._line.send(b"L", pickle.dumps(told))


class _Line:
    """The line to the host: threads of a piece may all speak."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, kind: bytes, content: bytes) -> None:
        """Send a message of that kind; nobody there to hear it ends the process."""
        try:
            with self._lock:
                self._connection.send_bytes(kind + content)
        except OSError:
            os._exit(1)

    def listen(self, orders: "queue.SimpleQueue[bytes]") -> None:
        """Take in orders until the other end is closed."""
        while True:
            try:
                orders.put(self._connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)


def main(handle: int, idle: float) -> None:
    """Work for whoever holds the other end of the socket `handle`.

    Ends after `idle` seconds without work; 0: never.
    """
    line = _Line(Connection(handle))
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=line.listen, args=(orders,), name="listen", daemon=True).start()
    log = logging.getLogger("fettle")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(_Relay(line))
    while True:
        try:
            order = orders.get(timeout=idle or None)
        except queue.Empty:
            os._exit(0)
        line.send(b"R", answer(order))


def answer(payload: bytes) -> bytes:
    """Run a piece; pickled: ("result", result, seconds by span), or ("error", exception, trace)."""
    try:
        stage, function, item = _Opened(io.BytesIO(payload)).load()
        if stage:
            journal.enter(stage)
        return pickle.dumps(("result", *timed(function, item)))
    except Exception as error:
        return _told(error)


class _Opened(pickle.Unpickler):
    """Finds what the run's own main module defines, which has another name here."""

    def find_class(self, module: str, name: str) -> Any:
        """As the class says."""
        main = os.environ.get(MAIN)
        return super().find_class(main if main and module == "__main__" else module, name)


def timed(function: Any, item: Any) -> tuple[Any, dict[str, float]]:
    """The result of a piece, and the seconds its process's clock counted meanwhile."""
    clock.take()
    with clock.span("piece"):
        result = function(item)
    return result, clock.take()


def _told(error: Exception) -> bytes:
    """An exception as it can travel: not every one can be pickled, or opened again."""
    trace = "".join(traceback.format_exception(error))
    try:
        told = pickle.dumps(("error", error, trace))
        pickle.loads(told)  # noqa: S301 - written in the line above
    except Exception:
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        told = pickle.dumps(("error", plain, trace))
    return told
