"""Handing on: how far it came is kept, failures are waited out, nothing is lost or raised."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest

from tests.tracking import told
from tracking.delivery import LONGEST, PAUSE, Delivery, Progress
from tracking.events import Event
from tracking.tracker import Place


class Server:
    """A tracker that may be away."""

    resumes: ClassVar[bool] = True

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.opened = 0
        self.away = False
        self.words = "https://me:secret@host is gone"
        self.now = 100.0

    def connect(self) -> "Server":
        self.opened += 1
        if self.away:
            raise ConnectionError("http://me:secret@host:5000 does not answer\nfor long")
        return self

    def take(self, events: Sequence[Event]) -> None:
        if self.away:
            raise ConnectionError(self.words)
        self.taken += events


class Files(Server):
    resumes: ClassVar[bool] = False


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = told.place(tmp_path)
    told.write(place, told.whole())
    return place


def delivery(place: Place, server: Server) -> Delivery:
    return Delivery(place.journal, "mlflow", server.connect, lambda: server.now)


def test_all_is_handed_on_once_and_kept_in_mind(place: Place) -> None:
    server = Server()
    one = delivery(place, server)
    assert not one.step()
    assert one.step()
    assert server.taken == told.read(place)
    told.write(place, {"9-9": [told.END]})
    again = Server()
    other = delivery(place, again)
    assert not other.step()
    assert other.step()
    assert len(again.taken) == 1
    assert other.close(whole=True) == Progress.read(place.journal, "mlflow")
    assert Progress.read(place.journal, "mlflow").whole


def test_one_that_writes_files_begins_anew(place: Place) -> None:
    for _ in range(2):
        files = Files()
        delivery(place, files).step()
        assert files.taken == told.read(place)


def test_pauses_grow_while_a_server_is_away_and_nothing_is_lost(place: Place) -> None:
    server = Server()
    server.away = True
    one = delivery(place, server)
    tries = []
    for _ in range(200):
        before = server.opened
        assert not one.step()
        if server.opened > before:
            tries.append(server.now)
        server.now += 1.0
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert pauses[:4] == [PAUSE, 2 * PAUSE, 4 * PAUSE, 8 * PAUSE]
    assert max(pauses) == LONGEST
    assert one.error == "ConnectionError: http://host:5000 does not answer"
    server.away = False
    server.now += LONGEST
    assert not one.step()
    assert one.step()
    assert server.taken == told.read(place)
    assert one.error == ""


def test_at_the_end_it_is_tried_every_second(place: Place) -> None:
    server = Server()
    server.away = True
    one = delivery(place, server)
    for _ in range(10):
        one.step()
        server.now += LONGEST
    before = server.opened
    for _ in range(5):
        one.step(ending=True)
        server.now += PAUSE
    assert server.opened == before + 5


def test_what_is_given_up_is_counted_and_said_without_passwords(place: Place) -> None:
    server = Server()
    one = delivery(place, server)
    assert not one.step()
    told.write(place, {"9-9": told.fit(1, "late")})
    server.away = True
    one.step()
    progress = one.close(whole=False)
    assert progress.left == 4
    assert progress.error == "ConnectionError: https://host is gone"
    assert not progress.whole


def test_a_server_that_does_not_answer_is_said_in_four_words(place: Place) -> None:
    server = Server()
    one = delivery(place, server)
    one.step()
    told.write(place, {"9-9": told.fit(1, "late")})
    server.away = True
    server.words = (
        "API request to http://127.0.0.1:5000/api failed with exception "
        "HTTPConnectionPool(host='127.0.0.1', port=5000): Max retries exceeded with url: /api"
    )
    one.step()
    assert one.close(whole=False).error == "127.0.0.1:5000 does not answer"


def test_a_damaged_note_means_from_the_beginning(place: Place) -> None:
    (place.journal / "mlflow.json").write_text("{")
    assert Progress.read(place.journal, "mlflow") == Progress()


def test_a_full_disk_is_a_failure_like_others(place: Place) -> None:
    server = Server()
    (place.journal / "mlflow.json").mkdir()
    one = delivery(place, server)
    assert not one.step()
    assert "IsADirectoryError" in one.error
