"""Calls to the Prefect server, made in their order by a thread of their own.

A trial may take less time than telling the server of it, whose SQLite database is locked now and
then; Prefect's client then sleeps for seconds. Nobody should train slower for being watched.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextvars import copy_context

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client

log = logging.getLogger("fettle")

BUSY = 503
"""Status code of a server whose database is locked for a moment."""
PAUSE = 0.02
"""Seconds until it is asked for the second time; twice as many until the third, and so on."""
PATIENCE = 3.0
"""Seconds of asking again, before it is left to Prefect's client."""
TICK = 0.2
"""Seconds between two looks whether all is done: who waits without end cannot be ended."""

Call = Callable[[SyncPrefectClient], object]


class Aside:
    """A line of calls. One that fails is left out, and the first such is said: what the server
    shows of a run may cost it no result. Whether the server is there at all is noticed elsewhere.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Call | threading.Event | None] = queue.SimpleQueue()
        self._failed = False
        # Prefect's settings are those of the context.
        context = copy_context()
        threading.Thread(target=context.run, args=(self._work,), name="aside", daemon=True).start()

    def later(self, call: Call) -> None:
        """Have a call made after those before it."""
        self._calls.put(call)

    def wait(self, seconds: float | None = None) -> None:
        """Until all calls so far are made, or so many seconds are over."""
        done = threading.Event()
        self._calls.put(done)
        begun = time.monotonic()
        while not done.wait(TICK):
            if seconds is not None and time.monotonic() - begun > seconds:
                return

    def close(self) -> None:
        """End the thread once it has made the calls so far; nobody waits for that."""
        self._calls.put(None)

    def _work(self) -> None:
        client: SyncPrefectClient | None = None
        while (call := self._calls.get()) is not None:
            if isinstance(call, threading.Event):
                call.set()
                continue
            try:
                client = client or _patient_client()
                call(client)
            except Exception as error:
                self._note(error)

    def _note(self, error: Exception) -> None:
        if not self._failed:
            log.warning("the Prefect server does not show all of this run (%s)", error)
        self._failed = True


def _patient_client() -> SyncPrefectClient:
    """A client of its own: the run's is used by other threads."""
    # Told a setting, Prefect makes a new one.
    client = get_client(httpx_settings={"timeout": 30.0}, sync_client=True)
    # Around what it has made, which knows of certificates and proxies.
    client._client._transport = Patient(client._client._transport)
    return client


class Patient(httpx.BaseTransport):
    """Asks a busy server again within milliseconds, where Prefect's client would sleep."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As the class says."""
        begun, pause = time.monotonic(), PAUSE
        while True:
            response = self._inner.handle_request(request)
            if response.status_code != BUSY or time.monotonic() - begun > PATIENCE:
                return response
            response.close()
            time.sleep(pause)
            pause *= 2

    def close(self) -> None:
        """As the inner one's."""
        self._inner.close()
