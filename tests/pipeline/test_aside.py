"""Calls that are made aside, and a server that is busy for a moment."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from pipeline import aside
from pipeline.aside import Aside, Patient
from pipeline.watch import Look, RunCancelled, watched


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Aside:
    """Whose client is none."""
    monkeypatch.setattr(aside, "_patient_client", object)
    return Aside()


@contextmanager
def answering(answers: Callable[[int], int]) -> Iterator[tuple[str, list[str]]]:
    """A server that answers with a status code by how often it was asked; and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.append(self.rfile.read(length).decode())
            self.send_response(answers(len(asked)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *told: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_calls_are_made_in_their_order_and_nobody_waits_for_them(calls: Aside) -> None:
    free, made = threading.Event(), []
    calls.later(lambda client: free.wait(30))
    for place in range(5):
        calls.later(lambda client, place=place: made.append(place))
    assert made == []
    free.set()
    calls.wait()
    assert made == [0, 1, 2, 3, 4]


def test_the_thread_ends_when_what_was_asked_for_is_done(calls: Aside) -> None:
    made: list[threading.Thread] = []
    calls.later(lambda client: made.append(threading.current_thread()))
    calls.close()
    while not made:
        threading.Event().wait(0.01)
    made[0].join(timeout=30)
    assert not made[0].is_alive()


def test_an_error_is_said_once_and_ends_nothing(
    calls: Aside, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def fail(client: object) -> None:
        raise ConnectionError("gone")

    calls.later(fail)
    calls.later(lambda client: made.append("after"))
    calls.later(fail)
    calls.wait()
    assert made == ["after"]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the Prefect server does not show all of this run (gone)"]


def test_who_waits_for_a_slow_server_does_not_wait_for_ever(calls: Aside) -> None:
    free = threading.Event()
    calls.later(lambda client: free.wait(30))
    calls.wait(seconds=0.5)
    free.set()


def test_who_waits_can_be_ended(calls: Aside) -> None:
    free = threading.Event()
    calls.later(lambda client: free.wait(30))

    def cancelled() -> None:
        raise RunCancelled("by somebody")

    looks: list[Look] = [cancelled]
    with pytest.raises(RunCancelled):
        watched(calls.wait, looks, seconds=0.1)
    free.set()


def test_a_busy_server_is_asked_again_with_the_same_words() -> None:
    with (
        answering(lambda count: 503 if count < 4 else 201) as (url, asked),
        httpx.Client(transport=Patient(httpx.HTTPTransport())) as client,
    ):
        assert client.post(url, content="a task run").status_code == 201
    assert asked == ["a task run"] * 4


def test_patience_ends_and_other_answers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PATIENCE", 0.1)
    for code, least, most in ((503, 2, 10), (500, 1, 1), (404, 1, 1)):
        with (
            answering(lambda count, code=code: code) as (url, asked),
            httpx.Client(transport=Patient(httpx.HTTPTransport())) as client,
        ):
            assert client.post(url, content="x").status_code == code
        assert least <= len(asked) <= most
