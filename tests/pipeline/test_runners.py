"""Runners: the same from each, whatever becomes of the workers. Real processes, Dask and Ray."""

import contextlib
import copy
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline import terminal
from pipeline.errors import EnvironmentFault
from pipeline.run_params import Runner, RunParams, TrackingParams
from pipeline.runners import pool as pools
from pipeline.runners import terms
from pipeline.runners.choose import pool
from pipeline.runners.freight import Freight
from pipeline.runners.gpus import release
from pipeline.runners.host import Host, Order
from pipeline.runners.local import Local
from pipeline.runners.pool import Hearing, Pool, RemoteTrace
from pipeline.runners.processes import ProcessPool
from tests.pipeline import spread
from tests.pipeline.spread import Told

pytestmark = pytest.mark.doors

SILENT = TrackingParams(tensorboard=False, mlflow=False, dvclive=False)


def opened(runner: Runner, root: Path, cluster: str | None = None) -> Pool:
    run = RunParams.model_construct(
        runner=runner, cluster=cluster, workers=2, gpus=1, timeouts={}, tracking=SILENT
    )
    return pool(run, root)


def left(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (root / "artifacts/search").glob("left*")}


@pytest.mark.parametrize("runner", ["local", "processes", "dask", "ray"])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_every_runner_gives_the_same(runner: Runner, freight: Freight) -> None:
    before = dict(os.environ)
    told = Told()
    with opened(runner, freight.root) as running:
        found = running.run(spread.work(freight), told)
        again = running.run(spread.work(freight, count=1), Told())

    assert [seen.place for seen in found] == [0, 1, 2]
    assert {(seen.text, seen.folder) for seen in found} == {("an input", str(freight.root))}
    assert left(freight.root) == {f"left-{n}.txt": f"an input {n}" for n in range(3)}
    assert sorted(told.began_) == sorted(told.done) == [0, 1, 2]
    assert {line for line in told.lines if line[0] == 1} == {
        (1, "fettle.progress", "piece 1: epoch 2 of 6"),
        (1, "fettle", "for the run alone"),
    }
    pids = {seen.pid for seen in found}
    assert (pids == {os.getpid()}) is (runner == "local")
    assert again[0].pid in pids, "workers are kept for the next pieces"
    own = {name: value for name, value in before.items() if name.startswith(spread.SHARED)}
    for seen in found:
        # A scheduler's own OMP_NUM_THREADS, for one, must not reach a piece.
        assert {n: v for n, v in seen.environment.items() if n != "FETTLE_MAIN"} == own
    changed = {name for name in before if os.environ.get(name) != before[name]}
    assert changed <= {"PYTEST_CURRENT_TEST"}
    if runner != "local":
        wait_until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])


def test_a_piece_whose_process_was_killed_is_run_again(freight: Freight) -> None:
    told = Told()
    with ProcessPool(2) as running:
        found = running.run(spread.work(freight, spread.die_once), told)
    assert [seen.place for seen in found] == [0, 1, 2]
    assert sorted(told.began_) == [0, 0, 1, 1, 2, 2]


def test_a_piece_that_always_dies_ends_the_run_with_a_message(freight: Freight) -> None:
    told = Told()
    with (
        pytest.raises(EnvironmentFault, match=r"piece 0: .* lost 4 times \(killed by SIGKILL\)"),
        ProcessPool(1) as running,
    ):
        running.run(spread.work(freight, spread.die, 1), told)
    assert told.began_ == [0] * (1 + pools.RETRIES)


@pytest.mark.parametrize("made", [lambda: ProcessPool(1), Local])
def test_what_a_piece_raises_is_raised_and_not_tried_again(
    freight: Freight, made: Callable[[], Pool]
) -> None:
    told = Told()
    work = spread.work(freight, spread.fail)
    with pytest.raises(KeyError, match="gone") as error, made() as running:
        running.run(work, told)
    if not isinstance(running, Local):
        assert "raise Wrong" in str(error.value.__cause__)
        assert isinstance(error.value.__cause__, RemoteTrace)
    assert told.began_.count(0) == 1
    # What cannot be opened again elsewhere comes as its words.
    with pytest.raises((RuntimeError, spread.Wrong), match="this and that"), made() as running:
        running.run(replace(work, items=work.items[1:2], names=["piece 1"]), Told())


def test_left_by_an_exception_it_ends_its_processes_at_once(freight: Freight) -> None:
    class Stop(Told):
        def began(self, place: int) -> None:
            super().began(place)
            if len(self.began_) == 2:
                raise InterruptedError

    with pytest.raises(InterruptedError), ProcessPool(2) as running:
        running.run(spread.work(freight, seconds=60.0), Stop())
    assert not workers_of(os.getpid())


def workers_of(pid: int) -> list[psutil.Process]:
    """Worker processes below a process."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if "pipeline.runners.seat" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_results_are_told_as_they_come(freight: Freight) -> None:
    seen: dict[int, int] = {}
    with ProcessPool(1) as running:
        running.run(
            spread.work(freight), Told(), lambda place, one: seen.update({place: one.place})
        )
    assert list(seen.items()) == [(0, 0), (1, 1), (2, 2)]


# A cluster that is there already


class Cluster:
    """A Dask scheduler and workers, each a process of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        wait_until(file.exists)
        self._file = file
        self.address = json.loads(file.read_text())["address"]

    def _start(self, what: str, *options: str) -> "subprocess.Popen[bytes]":
        started = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *options, "--host", "127.0.0.1"],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(started)
        return started

    def worker(self, *options: str) -> "subprocess.Popen[bytes]":
        """One more worker."""
        own = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
        return self._start("worker", "--scheduler-file", str(self._file), *own, *options)

    def end(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


def wait_until(true: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.end()


def started(freight: Freight) -> list[Path]:
    return sorted((freight.root / "artifacts/search").glob("started-*"))


def test_a_worker_that_dies_loses_nothing_and_one_that_joins_gets_work(
    freight: Freight, cluster: Cluster
) -> None:
    first = [cluster.worker(), cluster.worker()]

    class Turmoil(Told):
        killed: set[int] = set()
        third: Any = None

        def said(self, place: int, line: Any) -> None:
            super().said(place, line)
            if self.third is None:
                # Neither it nor the process below it has time to say goodbye.
                self.killed = {worker.pid for worker in workers_of(first[0].pid)}
                first[0].send_signal(signal.SIGKILL)
                wait_until(lambda: running.capacity() == 1)
                self.third = cluster.worker()
                # Else the other one might be done with all pieces before it is there.
                wait_until(lambda: running.capacity() == 2)

    told = Turmoil()
    with opened("dask", freight.root, cluster.address) as running:
        wait_until(lambda: running.capacity() == 2)
        found = running.run(spread.work(freight, count=12, seconds=1.0), told)
        assert [seen.place for seen in found] == list(range(12))
        below = {worker.pid for worker in workers_of(told.third.pid)}
        assert below & {seen.pid for seen in found}, "the third worker had no piece"
    assert left(freight.root).keys() == {f"left-{n}.txt" for n in range(12)}
    wait_until(lambda: not [pid for pid in told.killed if psutil.pid_exists(pid)])
    # What was started for the run has ended with it, on workers that go on.
    wait_until(lambda: not workers_of(first[1].pid))
    assert first[1].poll() is None


def test_a_scheduler_that_goes_away_in_mid_run_is_said(
    freight: Freight, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runners.dask_pool.SECONDS", "5s")
    worker = cluster.worker()

    class Lonely(Told):
        def said(self, place: int, line: Any) -> None:
            cluster.end()

    with (
        pytest.raises(EnvironmentFault, match="The Dask scheduler does not answer"),
        opened("dask", freight.root, cluster.address) as running,
    ):
        running.run(spread.work(freight, count=1, seconds=60.0), Lonely())
    assert worker.poll() is not None
    wait_until(lambda: not workers_of(os.getpid()))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_worker_elsewhere_is_handed_code_and_data_once(
    freight: Freight, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It does not see what the run has written into its folder: so it is another machine.
    monkeypatch.setattr(terms, "_write", lambda path, text: None)
    monkeypatch.setenv("FETTLE_WORKER_FOLDER", str(tmp_path / "elsewhere"))
    sent: list[str] = []
    keep = Freight.send

    def send(self: Freight, manifest: Any, lacking: Any, way: Any) -> None:
        sent.extend(lacking)
        keep(self, manifest, lacking, way)

    monkeypatch.setattr(Freight, "send", send)
    cluster.worker()
    with opened("dask", freight.root, cluster.address) as running:
        found = running.run(spread.work(freight), Told())
        first = len(sent)
        again = running.run(spread.work(freight, count=2), Told())

    folders = {Path(seen.folder).parent for seen in [*found, *again]}
    assert folders == {tmp_path / "elsewhere"}
    assert all(seen.code.startswith(str(tmp_path / "elsewhere")) for seen in found)
    assert {seen.text for seen in found} == {"an input"}
    # What pieces left is back, byte for byte.
    assert left(freight.root) == {f"left-{n}.txt": f"an input {n}" for n in range(3)}
    assert first > len(list((freight.root / "pipeline/runners").glob("*.py")))
    # Code and input are there; what the pieces left came from there.
    assert len(sent) == first
    kept = tmp_path / "elsewhere"
    wait_until(lambda: list(kept.iterdir()) == [kept / "content"])


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_ray_node_elsewhere_keeps_no_folder_of_a_run_that_ended(
    freight: Freight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(terms, "_write", lambda path, text: None)
    kept = tmp_path / "elsewhere"
    monkeypatch.setenv("FETTLE_WORKER_FOLDER", str(kept))

    class Stop(Told):
        def said(self, place: int, line: Any) -> None:
            assert len(list(kept.iterdir())) > 1
            if at_once:
                raise InterruptedError

    stopped = pytest.raises(InterruptedError) if at_once else contextlib.nullcontext()
    with stopped, opened("ray", freight.root) as running:
        running.run(spread.work(freight, seconds=60.0 if at_once else 0.0), Stop())
    assert [path.name for path in kept.iterdir()] == ["content"]


def test_a_worker_with_other_packages_is_refused(
    freight: Freight, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "installed", lambda root: {"numpy": "0.1", "keras-of-old": "1"})
    cluster.worker()
    with (
        pytest.raises(EnvironmentFault, match=r"instead of 0\.1, keras-of-old nothing instead of"),
        opened("dask", freight.root, cluster.address) as running,
    ):
        running.run(spread.work(freight), Told())


def test_a_scheduler_that_is_away_is_said(
    freight: Freight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runners.dask_pool.SECONDS", "1s")
    with (
        pytest.raises(EnvironmentFault, match=r"(?s)tcp://127\.0\.0\.1:9.*run\.cluster"),
        opened("dask", freight.root, "tcp://127.0.0.1:9") as running,
    ):
        running.run(spread.work(freight), Told())


def test_a_package_that_is_not_installed_is_said(
    freight: Freight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.runners.dask_pool", None)
    with pytest.raises(EnvironmentFault, match="make setup"):
        opened("dask", freight.root)


@pytest.mark.parametrize("runner", ["processes", "dask", "ray"])
def test_nothing_outlives_a_run_that_is_killed(freight: Freight, runner: Runner) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.pipeline import spread\n"
        "from tests.pipeline.test_runners import opened\n"
        "freight = spread.Freight(Path.cwd(), [], 'artifacts/search', {})\n"
        "if __name__ == '__main__':\n"
        "    pool = opened(sys.argv[1], Path.cwd())\n"
        "    pool.run(spread.work(freight, seconds=600.0), spread.Told())\n"
    )
    (freight.root / "run.py").write_text(code)
    run = subprocess.Popen([sys.executable, "-B", "run.py", runner], cwd=freight.root)
    try:
        wait_until(lambda: len(started(freight)) == 2)
        below = psutil.Process(run.pid).children(recursive=True)
        # These two of Ray's own do no work, and take a minute to see that their cluster is gone.
        below = [one for one in below if not re.match("ray::(Dash|Runtime).*Agent", one.name())]
        assert len(workers_of(run.pid)) == 2
    finally:
        run.kill()
        run.wait()
    assert not psutil.wait_procs(below, timeout=30)[1]


def test_how_far_a_fit_is_shows_in_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("fettle")
    terminal.show(log)
    try:
        for name in ("fettle.progress", "fettle"):
            Hearing().said(0, (name, logging.INFO, f"{name}: epoch 2 of 6", 0.0))
    finally:
        log.removeHandler(log.handlers[-1])
    [line] = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  fettle.progress: epoch 2 of 6", line)


# What a host does


def test_what_a_worker_keeps_is_what_was_sent(tmp_path: Path, freight: Freight) -> None:
    host = Host(replace(terms.here(0), token="none", root=str(tmp_path)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FETTLE_WORKER_FOLDER", str(tmp_path / "kept"))
        mark = spread.hashed(b"one two")
        assert host.lacking({"a": mark, "b": mark}) == [mark]
        assert host.keep(mark, b"one ", first=True, last=False)
        assert not host.keep(mark, b"too", first=False, last=True)
        assert host.lacking({"a": mark}) == [mark]
        assert host.keep(mark, b"one ", first=True, last=False)
        assert host.keep(mark, b"two", first=False, last=True)
        assert host.lacking({"a": mark}) == []


@pytest.mark.parametrize("path", ["artifacts/split/data.txt", "artifacts/search/../x", "/etc/x"])
def test_what_a_worker_sends_may_lie_in_the_stages_folder_alone(
    freight: Freight, path: str
) -> None:
    with pytest.raises(EnvironmentFault, match="not the stage's to write"):
        freight.bring({path: b"x"}, [], {})
    with pytest.raises(EnvironmentFault, match="not the stage's to write"):
        freight.bring({}, [path], {})


def test_code_that_was_edited_meanwhile_is_not_sent(freight: Freight) -> None:
    edited = replace(freight, code={"pipeline/clock.py": "another"})
    with pytest.raises(EnvironmentFault, match=r"Edited since .*: pipeline/clock\.py"):
        edited.manifest()


def test_half_written_files_do_not_travel(freight: Freight) -> None:
    for name in (".half.txt", "whole.txt"):
        (freight.root / "artifacts/search" / name).write_text(name)
    own = [path for path in freight.manifest() if path.startswith("artifacts/search/")]
    assert own == ["artifacts/search/whole.txt"]


def far(root: Path, freight: Freight) -> tuple[Host, Order]:
    """A host that does not see the run's folder, has all it needs, and a piece for it."""
    host = Host(replace(terms.here(0), token="none", root=str(root / "nowhere"), paths=()))
    host._checked = ("", "")
    work = spread.work(freight)
    freight.send(
        freight.manifest(),
        host.lacking(freight.manifest()),
        lambda mark, part, first, last: host.keep(mark, part, first=first, last=last),
    )
    payload = pickle.dumps((work.stage, work.function, work.items[0]))
    return host, Order(payload, freight.stamps(), freight.out, freight.manifest())


def folders(kept: Path) -> list[Path]:
    """What workers have there besides the contents they keep."""
    return [path for path in kept.iterdir() if path.name != "content"]


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_worker_that_was_killed_left_is_removed_by_the_next_one(
    tmp_path: Path, freight: Freight, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("FETTLE_WORKER_FOLDER", str(kept))
    code = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from tests.pipeline import spread\n"
        "from tests.pipeline.test_runners import far\n"
        "freight = spread.Freight(Path.cwd(), [Path(p) for p in sys.argv[2:]], 'artifacts/search', "
        "{})\n"
        "host, order = far(Path(sys.argv[1]), freight)\n"
        "print(host.carry('one', order, print)[0], flush=True)\n"
        "signal.pause()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-B", "-c", code, str(tmp_path), *map(str, freight.reads)],
        cwd=freight.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert any(line == "done\n" for line in other.stdout)
        [its] = folders(kept)
        if killed:
            other.kill()
            other.wait()
        strange = [kept / name for name in ("mine-1-1", f"{its.name}-more", "gpu-0.lock")]
        for path in strange:
            path.mkdir()
        # Named like one of ours, and leads to what is none.
        strange.append(kept / ("0" * 12 + its.name[12:]))
        strange[-1].symlink_to(strange[0])
        host, order = far(tmp_path, freight)
        assert host.carry("two", order, lambda line: None)[0] == "done"
        assert its.exists() is not killed
        host.close()
        assert set(folders(kept)) == {*strange, *([] if killed else [its])}
    finally:
        other.kill()
        other.communicate()


def test_what_another_machine_left_in_a_shared_folder_is_not_ours_to_remove(
    tmp_path: Path, freight: Freight, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("FETTLE_WORKER_FOLDER", str(kept))
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "another")
        gone, order = far(tmp_path, freight)
        assert gone.carry("one", order, lambda line: None)[0] == "done"
        [its] = folders(kept)
        # As if it had been killed.
        [seat] = gone._free
        seat.close()
        release(seat.held)
    host, order = far(tmp_path, freight)
    assert host.carry("two", order, lambda line: None)[0] == "done"
    host.close()
    assert folders(kept) == [its]


def test_a_piece_that_ends_when_its_host_is_closed_leaves_nothing(
    tmp_path: Path, freight: Freight, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("FETTLE_WORKER_FOLDER", str(kept))
    host, order = far(tmp_path, freight)
    harvest = host._harvest

    def late(*given: Any) -> Any:
        closing = threading.Thread(target=host.close)
        closing.start()
        wait_until(lambda: host._closed)
        found = harvest(*given)
        late.closing = closing  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(host, "_harvest", late)
    assert host.carry("one", order, lambda line: None)[0] == "done"
    late.closing.join()  # type: ignore[attr-defined]
    assert folders(kept) == []
    assert host._free == []


def test_a_host_can_travel() -> None:
    assert copy.copy(Host(terms.here(0))).lacking({}) == []
