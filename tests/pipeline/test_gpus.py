"""GPUs are shared out by what NVIDIA's driver says, for which a script stands in here."""

import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.runners import gpus, terms
from pipeline.runners.freight import Freight
from pipeline.runners.host import Host, Order
from pipeline.runners.pool import Pool
from pipeline.runners.processes import ProcessPool
from tests.conftest import ROOT
from tests.pipeline import spread
from tests.pipeline.spread import Told, Use


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of our own, and nothing that the machine says of its GPUs."""
    monkeypatch.setenv("FETTLE_WORKER_FOLDER", str(tmp_path / "worker"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)


def driver(folder: Path, script: str) -> None:
    """Let `nvidia-smi` be a shell script."""
    path = folder / "bin" / "nvidia-smi"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path) -> None:
    driver(tmp_path, "printf '0\\n1\\n2\\n'")
    assert gpus.visible() == ["0", "1", "2"]


@pytest.mark.parametrize("script", ["exit 9", "kill -9 $$", "printf ''"])
def test_a_driver_that_does_not_answer_has_none(tmp_path: Path, script: str) -> None:
    driver(tmp_path, script)
    assert gpus.visible() == []


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert gpus.visible() == []


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("2", ["2"]),
        ("GPU-3f, 1", ["GPU-3f", "1"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
    ],
)
def test_what_a_scheduler_says_counts_before_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, found: list[str]
) -> None:
    driver(tmp_path, "printf '0\\n1\\n2\\n'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    assert gpus.visible() == found


@pytest.mark.parametrize(
    ("there", "each", "shares"),
    [
        ("0,1,2", 1, ["0", "1", "2"]),
        ("0,1,2", 2, ["0,1"]),
        ("0,1,2,3", 2, ["0,1", "2,3"]),
        ("0", 2, ["0"]),
        ("0,1", 0, [""]),
        ("", 1, [""]),
    ],
)
def test_shares_do_not_overlap(
    monkeypatch: pytest.MonkeyPatch, there: str, each: int, shares: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", there)
    assert gpus.shares(each) == shares


def test_a_claimed_gpu_is_nobody_elses_until_it_is_released_or_its_holder_ends(
    tmp_path: Path,
) -> None:
    one = gpus.claim("0,1", lambda: tmp_path)
    assert one is not None
    code = (
        "import pathlib, sys; from pipeline.runners import gpus; "
        "held = gpus.claim(sys.argv[1], lambda: pathlib.Path(sys.argv[2])); "
        "print(held is not None)"
    )

    def another(share: str) -> str:
        command = [sys.executable, "-B", "-c", code, share, str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert [another("1,2"), another("2")] == ["False", "True"]
    # Nothing is left of a claim that failed, nor of one whose process ended.
    assert gpus.claim("2", lambda: tmp_path) is not None
    gpus.release(one)
    assert another("0,1") == "True"
    assert gpus.claim("", lambda: tmp_path) == []


def test_one_piece_at_a_time_has_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freight = _project(tmp_path, monkeypatch)
    driver(tmp_path, "printf '0\\n1\\n'")
    with ProcessPool(3, 1) as running:
        assert running.capacity() == 2
        uses = _uses(running, freight, 6)

    assert {use.gpus for use in uses} == {"0", "1"}
    assert _overlapping(uses), "both were at work"
    assert not _shared(uses)


def test_where_none_are_or_all_may_be_seen_nothing_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freight = _project(tmp_path, monkeypatch)
    with ProcessPool(2, 1) as running:
        assert running.capacity() == 2
        assert {use.gpus for use in _uses(running, freight, 2)} == {None}
    driver(tmp_path, "printf '0\\n'")
    with ProcessPool(2, 0) as running:
        assert running.capacity() == 2
        assert {use.gpus for use in _uses(running, freight, 2)} == {None}


def test_hosts_of_one_machine_do_not_take_each_others_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two Dask workers, or two runs, that each see both GPUs."""
    freight = _project(tmp_path, monkeypatch)
    driver(tmp_path, "printf '0\\n1\\n'")
    hosts = [Host(terms.here(1)), Host(terms.here(1))]
    uses: list[Use] = []

    def carry(host: Host, place: int) -> None:
        item = spread.Item(place, 0.3)
        payload = pickle.dumps(("search", spread.use_gpus, item))
        kind, answer, *_ = host.carry(uuid4().hex, Order(payload, {}, freight.out), print)
        assert kind == "done"
        uses.append(pickle.loads(answer)[1])  # noqa: S301 - our own

    threads = [
        threading.Thread(target=carry, args=(host, place))
        for host, place in itertools.product(hosts, range(3))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host in hosts:
        host.close()

    assert len(uses) == 6
    assert {use.gpus for use in uses} == {"0", "1"}
    assert not _shared(uses)


def test_a_host_that_is_closed_lets_nobody_wait_for_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freight = _project(tmp_path, monkeypatch)
    driver(tmp_path, "printf '0\\n'")
    host = Host(terms.here(1))
    held = gpus.claim("0", host._folder)
    told: list[tuple[object, ...]] = []
    waiting = threading.Thread(
        target=lambda: told.append(host.carry("key", Order(b"", {}, freight.out), print))
    )
    waiting.start()
    waiting.join(timeout=1)
    assert waiting.is_alive(), "somebody else has it"
    host.close()
    waiting.join(timeout=30)

    assert not waiting.is_alive()
    assert held
    assert told[0][0] == "lost"


def test_a_ray_cluster_has_room_for_as_many_pieces_as_have_gpus() -> None:
    from pipeline.runners.ray_pool import places, share

    bare, one, four = {"CPU": 8.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 3.0, "GPU": 4.0}
    assert share([bare], 1) == 0
    assert share([], 1) == 0
    assert [share([bare, one, four], gpus) for gpus in (0, 1, 2, 9)] == [0, 1, 2, 4]
    assert [places(node, 0) for node in (bare, one, four)] == [8, 8, 3]
    assert [places(node, 1) for node in (bare, one, four)] == [0, 1, 3]
    assert [places(node, 4) for node in (bare, one, four)] == [0, 0, 1]


def test_memory_of_gpus_is_taken_as_it_is_needed() -> None:
    """No GPU is here: what TensorFlow is told of two that it might list."""
    code = (
        "from models.fitting import determinism; determinism._import_tensorflow(); "
        "import tensorflow as tf; told = []; "
        "tf.config.list_physical_devices = lambda kind=None: ['one', 'two']; "
        "tf.config.experimental.set_memory_growth = lambda *given: told.append(given); "
        "determinism.pin(); print(told)"
    )
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[('one', True), ('two', True)]"


def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Freight:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return spread.project(root)


def _uses(running: Pool, freight: Freight, count: int) -> list[Use]:
    found: list[Use] = running.run(
        spread.work(freight, spread.use_gpus, count=count, seconds=0.4), Told()
    )
    return found


def _overlapping(uses: Iterable[Use]) -> list[tuple[Use, Use]]:
    return [(a, b) for a, b in itertools.combinations(uses, 2) if a.overlaps(b)]


def _shared(uses: Iterable[Use]) -> list[tuple[Use, Use]]:
    """Pieces that had the same GPU at the same time."""
    return [(a, b) for a, b in _overlapping(uses) if a.gpus == b.gpus]
