"""A Ray cluster that is there already, and one that goes away. Real ones, on 127.0.0.1."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.runners import ray_pool
from pipeline.runners.freight import Freight
from pipeline.runners.ray_pool import LONELY, RayPool
from tests.pipeline import spread
from tests.pipeline.spread import Told
from tests.pipeline.test_runners import opened, wait_until

pytestmark = [
    pytest.mark.doors,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]


@dataclass(frozen=True)
class Head:
    """A node that somebody started."""

    process: subprocess.Popen[bytes]
    address: str
    environment: dict[str, str]
    """Of whoever is to find the token."""

    def end(self) -> None:
        """End it by its processes, since it has no time to say goodbye."""
        family = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self.process.wait()


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    """A node that asks for a token, as `ray start` does where one lies in the home folder."""
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("a" * 64)
    port = free_port()
    environment = surroundings(home) | LONELY
    options = ("--port", str(port), "--num-cpus", "2", "--include-dashboard", "false", "--block")
    store = ("--object-store-memory", str(ray_pool.MEMORY), "--disable-usage-stats")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("ray")), "start", "--head", *options, *store],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    made = Head(process, f"127.0.0.1:{port}", environment)
    try:
        wait_until(lambda: answers(port))
        yield made
    finally:
        if process.poll() is None:
            made.end()


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a user with that home folder, whom this process has told Ray nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"HOME": str(home)}


def free_port() -> int:
    """One below those that Ray gives to its workers, hardly one that another process tries too."""
    for port in random.Random(os.getpid()).sample(range(6000, 9900), 100):
        with suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


RUN = """
import sys
from pathlib import Path
from pipeline.errors import EnvironmentFault
from pipeline.runners import ray_pool
from tests.pipeline import spread
from tests.pipeline.test_runners import opened

ray_pool.PATIENCE = 3.0
freight = spread.Freight(Path.cwd(), [Path(p) for p in sys.argv[3:]], 'artifacts/search', {})
try:
    with opened("ray", Path.cwd(), sys.argv[1]) as pool:
        found = pool.run(spread.work(freight, seconds=float(sys.argv[2])), spread.Told())
        print("places", *[seen.place for seen in found])
except EnvironmentFault as fault:
    print(fault)
"""


def run(head: Head, freight: Freight, seconds: float) -> "subprocess.Popen[str]":
    """A run of three pieces in a process of its own: Ray may end whoever waits for its cluster."""
    told = [head.address, str(seconds), *map(str, freight.reads)]
    return subprocess.Popen(
        [sys.executable, "-B", "-c", RUN, *told],
        cwd=freight.root,
        env=head.environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_cluster_that_asks_for_a_token_is_shown_it(head: Head, freight: Freight) -> None:
    running = run(head, freight, 0.0)
    output, _ = running.communicate(timeout=120)
    assert (running.returncode, output) == (0, "places 0 1 2\n")


def test_a_cluster_that_goes_away_in_mid_run_is_said(head: Head, freight: Freight) -> None:
    running = run(head, freight, 600.0)
    wait_until(lambda: list((freight.root / "artifacts/search").glob("started-*")))
    head.end()
    output, _ = running.communicate(timeout=120)
    assert output.startswith(f"The Ray cluster does not answer: {head.address}")
    assert "Finished stages and pieces are kept" in output
    assert running.returncode == 0


def test_whoever_carries_a_piece_when_the_run_ends_still_finds_ray_there(
    freight: Freight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called after its end, Ray would start another node, and a minute later end this process."""
    carried = RayPool._run
    after: list[bool] = []

    def late(self: RayPool, *told: Any) -> tuple[Any, ...]:
        try:
            return carried(self, *told)
        finally:
            time.sleep(0.5)
            after.append(self._ray.is_initialized())

    monkeypatch.setattr(RayPool, "_run", late)

    class Stop(Told):
        def said(self, place: int, line: Any) -> None:
            raise InterruptedError

    with pytest.raises(InterruptedError), opened("ray", freight.root) as running:
        running.run(spread.work(freight, seconds=60.0), Stop())
    assert after == [True, True]
    import ray

    with pytest.raises(Exception, match="has not been started"):
        ray.put(1)
    assert not ray.is_initialized()


def test_a_node_of_the_runs_own_leaves_no_token_at_home(freight: Freight, tmp_path: Path) -> None:
    code = RUN.replace("sys.argv[1])", "None)")
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, "", "0", *map(str, freight.reads)],
        check=False,
        cwd=freight.root,
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "places 0 1 2\n", done.stderr
    assert "auth" not in done.stderr
    assert not (tmp_path / ".ray").exists()
