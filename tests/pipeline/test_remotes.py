"""Runs shared by a remote: a folder, and a bucket on a real S3 server."""

import logging
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.memory import Found
from pipeline.remote import silent, within
from tests.conftest import Checkout
from tests.pipeline import small_repository
from tests.pipeline.remotes import KEY, SECRET, Place, bucket_server, folder, share
from tests.pipeline.small_repository import SmallRepository
from tests.pipeline.test_doors import STAGES, cached

doors = pytest.mark.doors


@pytest.fixture(scope="session")
def bucket() -> Iterator[Place]:
    with bucket_server() as place:
        yield place


@pytest.fixture(params=["folder", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A remote of each kind, empty."""
    if request.param == "folder":
        return folder(tmp_path / "remote")
    held: Place = request.getfixturevalue("bucket")
    return Place(f"{held.url}/{tmp_path.name}", held.settings)


def ran(checkout: Checkout) -> list[str]:
    """Stages whose body wrote down how long it took."""
    return [one for one in STAGES if (checkout.root / f"artifacts/{one}/timing.json").exists()]


@doors
def test_a_clone_elsewhere_gets_a_run_from_a_remote_and_trains_nothing(
    clone: Callable[[str], Checkout], place: Place
) -> None:
    one = clone("one")
    place.add(one)
    share(one)
    output = one.fettle("run")
    assert ran(one) == STAGES
    assert KEY not in output
    assert SECRET not in output

    other = clone("elsewhere/deeper")
    place.add(other)
    shutil.copy(one.root / "dvc.lock", other.root / "dvc.lock")
    # Nothing but the section run differs, on which nothing depends.
    other.dvc("pull")
    assert "didn't change" in other.dvc("repro")
    assert other.lock == one.lock
    assert ran(other) == []

    # Who has neither the lock nor the results asks for each stage's alone.
    third = clone("third")
    place.add(third)
    share(third, push=False)
    output = third.fettle("run")
    assert cached(output, "fetched from team") == STAGES
    assert third.lock == one.lock
    assert ran(third) == []
    assert entries(third.root) == len(STAGES)


@doors
def test_the_whole_run_cache_serves_who_lost_the_lock(
    clone: Callable[[str], Checkout], tmp_path: Path
) -> None:
    one, other = clone("one"), clone("other")
    place = folder(tmp_path / "remote")
    for checkout in (one, other):
        place.add(checkout)
    one.dvc("repro")
    one.dvc("push", "--run-cache")
    other.dvc("fetch", "--run-cache")
    other.dvc("repro", "--pull")
    assert other.lock == one.lock
    assert ran(other) == []


def entries(root: Path) -> int:
    """How many entries a run cache has."""
    return len([path for path in root.rglob("runs/*/*/*") if path.is_file()])


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    (tmp_path / "remote").mkdir()
    return tmp_path / "remote"


def pushed(tmp_path: Path, remote: Path) -> SmallRepository:
    """A repository whose run is in the remote."""
    one = small_repository.make(tmp_path / "one", str(remote))
    assert one.run() is Found.RAN
    one.push()
    return one


def test_a_run_is_fetched_and_only_its_own_entry(tmp_path: Path, remote: Path) -> None:
    one = pushed(tmp_path, remote)
    [entry] = remote.glob("runs/*/*/*")
    for number in range(300):
        key = f"{number:064x}"
        other = remote / "runs" / key[:2] / key / key
        other.parent.mkdir(parents=True)
        shutil.copy(entry, other)
    two = small_repository.make(tmp_path / "two", str(remote))

    memory = two.memory()
    assert two.run(memory) is Found.FETCHED
    assert memory.words(Found.FETCHED) == "fetched from team"
    assert two.made() == one.made()
    assert two.ran == 0
    assert entries(two.root) == 1
    assert (two.root / "dvc.lock").read_bytes() == (one.root / "dvc.lock").read_bytes()
    assert two.run() is Found.CURRENT


def test_without_a_remote_nothing_is_asked(tmp_path: Path, remote: Path) -> None:
    pushed(tmp_path, remote)
    two = small_repository.make(tmp_path / "two", str(remote))
    assert two.run(two.memory(None)) is Found.RAN


def test_a_lock_without_results_is_enough(tmp_path: Path, remote: Path) -> None:
    one = pushed(tmp_path, remote)
    # As after `dvc push` without the run cache.
    shutil.rmtree(remote / "runs")
    two = small_repository.make(tmp_path / "two", str(remote))
    shutil.copy(one.root / "dvc.lock", two.root)
    assert two.run() is Found.FETCHED
    assert two.made() == one.made()
    three = small_repository.make(tmp_path / "three", str(remote))
    assert three.run() is Found.RAN


def test_other_inputs_find_nothing(tmp_path: Path, remote: Path) -> None:
    one = pushed(tmp_path, remote)
    two = small_repository.make(tmp_path / "two", str(remote), given="that")
    shutil.copy(one.root / "dvc.lock", two.root)
    assert two.run() is Found.RAN
    assert two.made()["one.txt"] == "one.txt of that"


def test_a_remote_that_lost_a_file_is_of_no_use(tmp_path: Path, remote: Path) -> None:
    pushed(tmp_path, remote)
    next(path for path in remote.glob("files/md5/*/*") if path.suffix != ".dir").unlink()
    two = small_repository.make(tmp_path / "two", str(remote))
    assert two.run() is Found.RAN
    assert entries(two.root) == 1


def test_what_is_there_is_not_pushed_again(tmp_path: Path, remote: Path) -> None:
    one = pushed(tmp_path, remote)
    before = {path: path.stat().st_mtime_ns for path in remote.rglob("*")}
    one.push()
    assert {path: path.stat().st_mtime_ns for path in remote.rglob("*")} == before


def test_an_entry_is_pushed_after_what_it_tells_of(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    one = small_repository.make(tmp_path / "one", str(remote))
    one.run()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Repo, "push", full)
    one.push()
    assert entries(remote) == 0


@pytest.mark.parametrize("name", ["theirs", "teams"])
def test_an_unknown_remote_is_said_with_those_there_are(tmp_path: Path, name: str) -> None:
    one = small_repository.make(tmp_path / "one", str(tmp_path))
    with pytest.raises(InputError, match=rf"run.remote: '{name}' was given.*there are: team"):
        one.memory(name)
    two = small_repository.make(tmp_path / "two")
    with pytest.raises(InputError, match="there is none"):
        two.memory(name)


@pytest.mark.parametrize("kind", ["refuses", "is silent", "is another thing"])
def test_a_remote_that_does_not_answer_is_said_once_without_its_keys(
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pipeline.remote.PATIENCE_SECONDS", 1.0)
    # Else botocore tries five times, longer each time.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if kind == "refuses":
            server.close()
        place = {"url": "s3://runs/x", "endpointurl": f"http://127.0.0.1:{port}"}
        place |= {"access_key_id": KEY, "secret_access_key": SECRET}
        if kind == "is another thing":
            (tmp_path / "file").touch()
            place = {"url": f"{tmp_path}/file"}
        one = small_repository.make(tmp_path / "one", **place)
        memory = one.memory()
        assert one.run(memory) is Found.RAN
        (one.root / "given.txt").write_text("that")
        assert one.run(memory) is Found.RAN
        one.push(memory)
    assert one.ran == 2
    said = [record.getMessage() for record in caplog.records]
    assert len([line for line in said if "team does not answer as it should" in line]) == 1
    everything = "".join(said) + "".join(capfd.readouterr())
    assert KEY not in everything
    assert SECRET not in everything
    assert "Traceback" not in everything


def test_a_question_has_its_time_and_its_error() -> None:
    assert within(5, lambda: 3) == 3
    with pytest.raises(TimeoutError):
        within(0.01, lambda: time.sleep(0.5))
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)


def test_loggers_speak_again_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    library = logging.getLogger("library.part")
    with silent(["library"]):
        library.error("a key")
    library.error("a word")
    assert caplog.messages == ["a word"]
