"""What DVC remembers, damaged: it is removed or made again, and never handed out."""

import contextlib
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline import mend
from pipeline.artifacts import leftovers, replacing
from pipeline.errors import EnvironmentFault
from pipeline.memory import Found, Memory
from tests.conftest import ROOT

MADE = {"folder/one.txt": "1\n", "folder/two.txt": "2\n", "alone.json": '{"three": 3}\n'}
OBJECTS, RECORDS = ".dvc/cache/files/md5/*/*", ".dvc/cache/runs/*/*/*"
FLIPS = 12
"""Random bits of each file, so that it stays within seconds."""


def write_first(root: Path) -> None:
    """The results of the first stage."""
    for name, text in MADE.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)


class Small:
    """A DVC repository with two stages, of which the second depends on the first."""

    def __init__(self, root: Path) -> None:
        from dvc.repo import Repo

        self.root = root
        Repo.init(str(root), no_scm=True).close()
        (root / "given.txt").write_text("given\n")
        (root / "dvc.yaml").write_text(
            "stages:\n"
            "  first:\n    cmd: 'true'\n    deps: [given.txt]\n    outs: [folder, alone.json]\n"
            "  second:\n    cmd: 'true'\n    deps: [folder]\n    outs: [last.txt]\n"
        )

    def first(self) -> None:
        """The body of the first."""
        write_first(self.root)

    def second(self) -> None:
        """The body of the second."""
        (self.root / "last.txt").write_text((self.root / "folder/one.txt").read_text() * 2)

    def run(self) -> list[Found]:
        """Both."""
        memory = Memory(self.root)
        try:
            return [
                memory.recall_or_run("first", self.first),
                memory.recall_or_run("second", self.second),
            ]
        finally:
            memory.repo.close()

    def state(self) -> dict[str, bytes]:
        """The lock and all results."""
        names = [*MADE, "last.txt", "dvc.lock"]
        return {name: (self.root / name).read_bytes() for name in names}

    def remove_results(self) -> None:
        """As `rm -r artifacts` does."""
        shutil.rmtree(self.root / "folder")
        (self.root / "alone.json").unlink()
        (self.root / "last.txt").unlink()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.chdir(tmp_path)
    made = Small(tmp_path)
    assert made.run() == [Found.RAN, Found.RAN]
    return made


def flip(path: Path, chance: random.Random) -> None:
    """One bit another, whatever the file's mode says."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


@contextmanager
def repository_locked(root: Path) -> Iterator[Callable[[], None]]:
    """DVC's lock of the repository held, as by another process; what is yielded sets it free."""
    from dvc.lock import Lock

    held = Lock(str(root / ".dvc/tmp/lock"))
    held.lock()
    guard = threading.Lock()

    def free() -> None:
        with guard:
            if held.is_locked:
                held.unlock()

    try:
        yield free
    finally:
        free()


def forget_the_lock(small: Small) -> None:
    (small.root / "dvc.lock").unlink()


@pytest.mark.parametrize("pattern", [OBJECTS, RECORDS])
@pytest.mark.parametrize("also", [forget_the_lock, lambda small: None])
def test_a_damaged_memory_is_not_handed_out(
    small: Small, pattern: str, also: Callable[[Small], None]
) -> None:
    before, chance = small.state(), random.Random(1)
    for path in sorted(small.root.glob(pattern)):
        flip(path, chance)
        small.remove_results()
        also(small)
        small.run()
        assert small.state() == before, path
    small.remove_results()
    also(small)
    # All that was damaged has been made anew.
    assert small.run() == [Found.RESTORED, Found.RESTORED]
    assert small.state() == before


def test_a_half_written_file_beside_an_output_goes_when_its_stage_runs(small: Small) -> None:
    with replacing(small.root / "last.txt") as temporary:
        temporary.write_text(small.state()["last.txt"].decode())
        # As a kill would leave it.
        shutil.copy(temporary, temporary.with_suffix(".json"))
        # DVC's own, by which it finds out what links the file system knows.
        (small.root / ".dnjKvug-pZMhN_ZI2auZJA.tmp").touch()
    halves = leftovers(small.root)
    assert len(halves) == 2
    (small.root / ".dvcignore").touch()
    small.run()
    assert all(half.exists() for half in halves)
    (small.root / "last.txt").unlink()
    small.run()
    assert not any(half.exists() for half in halves)
    assert (small.root / ".dvcignore").exists()


def test_a_bit_of_the_lock_changes_nothing(small: Small) -> None:
    before, chance = small.state(), random.Random(2)
    for _ in range(FLIPS):
        flip(small.root / "dvc.lock", chance)
        damaged = (small.root / "dvc.lock").read_bytes()
        small.run()
        assert small.state() == before, damaged


def test_a_lock_that_is_being_written_is_no_torn_one(small: Small) -> None:
    """DVC writes it in place, in the repository's lock."""
    before, path = small.state(), small.root / "dvc.lock"
    half = before["dvc.lock"][: len(before["dvc.lock"]) // 2]
    with repository_locked(small.root) as free:
        path.write_bytes(half)

        def write_the_rest() -> None:
            path.write_bytes(before["dvc.lock"])
            free()

        writing = threading.Timer(1.0, write_the_rest)
        writing.start()
        Memory(small.root).repo.close()
        writing.join()
    assert small.state() == before
    assert not (small.root / ".fettle/dvc.lock.damaged").exists()


def test_a_torn_lock_that_another_process_is_at_stays(small: Small) -> None:
    path = small.root / "dvc.lock"
    path.write_bytes(b"")
    with repository_locked(small.root):
        mend.dvc_lock(small.root)
        assert path.exists()
    mend.dvc_lock(small.root)
    assert not path.exists()


def test_a_finished_stage_waits_for_whoever_holds_the_repository(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    """For longer than DVC does; what was trained for an hour would be lost."""
    before = small.state()
    (small.root / "given.txt").write_text("other\n")
    bodies = []
    with ExitStack() as stack:

        def body() -> None:
            write_first(small.root)
            bodies.append("first")
            free = stack.enter_context(repository_locked(small.root))
            threading.Timer(5.0, free).start()

        memory = Memory(small.root)
        stack.callback(memory.repo.close)
        with caplog.at_level(logging.INFO, "fettle"):
            assert memory.recall_or_run("first", body) is Found.RAN
        assert "waiting for another process" in caplog.text
        assert memory.recall_or_run("first", body) is Found.CURRENT
    assert bodies == ["first"]
    assert {**small.state(), "dvc.lock": b""} == {**before, "dvc.lock": b""}


def test_what_went_wrong_in_a_stage_is_said_whoever_holds_the_repository(small: Small) -> None:
    (small.root / "given.txt").write_text("other\n")
    with ExitStack() as stack:

        def body() -> None:
            stack.enter_context(repository_locked(small.root))
            raise ValueError("no such column")

        memory = Memory(small.root)
        stack.callback(memory.repo.close)
        with pytest.raises(ValueError, match="no such column"):
            memory.recall_or_run("first", body)


def test_a_table_of_hashes_that_is_locked_is_not_removed(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    memory = Memory(small.root)
    with Repo(str(small.root)) as repo:
        table = Path(repo.site_cache_dir) / "hashes/local/cache.db"

    def locked(name: str) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(memory, "_load", locked)
    with pytest.raises(EnvironmentFault, match="database is locked"):
        memory.recall_or_run("first", small.first)
    memory.repo.close()
    assert table.exists()


@pytest.mark.parametrize("table", ["hashes/local", "links"])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_damaged_table_of_hashes_is_made_again(small: Small, table: str, keep: float) -> None:
    from dvc.repo import Repo

    before = small.state()
    with Repo(str(small.root)) as repo:
        path = Path(repo.site_cache_dir) / table / "cache.db"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))] or b"no database" * 99)
    small.remove_results()
    small.run()
    assert small.state() == before


def test_a_damaged_database_of_a_server_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "prefect.db"
    mend.server_database(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table runs (name text)")
        database.executemany("insert into runs values (?)", [("a run",)] * 9_999)
        database.commit()
    content = path.read_bytes()
    mend.server_database(path)
    assert path.read_bytes() == content
    path.write_bytes(content[: len(content) // 2])
    mend.server_database(path)
    assert not path.exists()
    assert len(list(tmp_path.glob("prefect.damaged"))) == 1


AT_WORK = """
import sys, time
from pathlib import Path
from pipeline.memory import Memory
from tests.pipeline.test_mend import write_first

def body():
    write_first(Path.cwd())
    Path(".half_one.json").touch()
    Path("written").touch()
    while not Path("go").exists():
        time.sleep(0.02)

print(Memory(Path.cwd()).recall_or_run("first", body).value)
"""


def test_a_second_run_takes_nothing_from_the_first(small: Small) -> None:
    before = small.state()
    (small.root / "given.txt").write_text("other\n")
    first = subprocess.Popen(
        [sys.executable, "-c", AT_WORK],
        cwd=small.root,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (small.root / "written").exists():
        assert first.poll() is None
        time.sleep(0.02)
    with pytest.raises(EnvironmentFault, match="another process is working"):
        small.run()
    assert (small.root / ".half_one.json").exists()
    (small.root / "go").touch()
    output, _ = first.communicate(timeout=60)
    assert (first.returncode, output) == (0, "ran\n")
    assert {**small.state(), "dvc.lock": b""} == {**before, "dvc.lock": b""}
