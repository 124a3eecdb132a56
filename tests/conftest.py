"""Shared parts of the tests: throwaway projects, real processes, a real Prefect server."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from pipeline.closure import closure

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
VENV = Path(sys.prefix)


@dataclass(frozen=True)
class Checkout:
    """A project in a folder of its own, used as a user would: by its commands."""

    root: Path
    api_url: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """No activated .venv, no Prefect or DVC of the user's, no telemetry."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT", "DVC", "FETTLE", "VIRTUAL_ENV", "PYTHON"))
        }
        path = [part for part in os.environ["PATH"].split(":") if str(VENV) not in part]
        kept |= {"PATH": ":".join(path), "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
        return kept | ({"PREFECT_API_URL": self.api_url} if self.api_url else {})

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the checkout, in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, expect: int = 0) -> str:
        """Run a command; returns stdout and stderr together after checking its exit code."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == expect, output
        if expect:
            assert "Traceback" not in output
        return output

    def fettle(self, *arguments: str, expect: int = 0) -> str:
        """Run ./fettle."""
        return self.run("./fettle", *arguments, expect=expect)

    def dvc(self, *arguments: str, expect: int = 0) -> str:
        """Run DVC by its path: the .venv is not activated."""
        return self.run(str(VENV / "bin" / "dvc"), *arguments, expect=expect)

    def git(self, *arguments: str) -> str:
        """Run git."""
        return self.run(
            "git", "-c", "user.name=test", "-c", "user.email=test@localhost", *arguments
        )

    @property
    def lock(self) -> bytes:
        """The bytes of dvc.lock."""
        return (self.root / "dvc.lock").read_bytes()

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file; `old` must be in it."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))

    def wait_for(self, path: str, seconds: float = 180) -> None:
        """Wait until a file is there."""
        deadline = time.monotonic() + seconds
        while not (self.root / path).exists():
            assert time.monotonic() < deadline, f"{path} never came"
            time.sleep(0.05)


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a process of ours and everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def copy_code(target: Path) -> None:
    """The pipeline's own files, without tasks, models and params."""
    target.mkdir(parents=True)
    for name in ("pipeline", "flows", "tracking"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("fettle", "requirements.lock", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, target / name)
    (target / "docs").mkdir()
    (target / "data").mkdir()
    (target / ".venv").symlink_to(VENV)
    with (target / ".gitignore").open("a") as ignored:
        ignored.write(".venv\n.searching\n")


def make_repository(checkout: Checkout) -> None:
    """Make the folder a git and DVC repository with everything committed."""
    checkout.git("init", "--quiet", "--initial-branch=main")
    checkout.dvc("init", "--quiet")
    checkout.fettle("render")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message=start")


def make_toy(target: Path) -> None:
    """Nine trivial stages in a committed repository, to be copied."""
    copy_code(target)
    for path in closure("models.judging.evaluation", ROOT):
        if not (target / path).exists():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target / path)
    for path in (ROOT / "tests" / "toy").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            place = target / path.relative_to(ROOT / "tests" / "toy")
            place.parent.mkdir(exist_ok=True)
            shutil.copy(path, place)
    make_repository(Checkout(target))


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that is called in this process lets its lines go to a stderr that ends with its
    test; the next test's would meet a closed file."""
    log = logging.getLogger("fettle")
    before = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.level, log.propagate = before


@pytest.fixture(scope="session")
def toy_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project, once for all tests."""
    template = tmp_path_factory.mktemp("template") / "toy"
    make_toy(template)
    return template


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server for all tests; yields its API address."""
    from pipeline import server

    root = tmp_path_factory.mktemp("server")
    try:
        yield server.start(root).api_url
    finally:
        server.stop(root)


@pytest.fixture
def clone(tmp_path: Path, toy_template: Path, prefect_server: str) -> Callable[[str], Checkout]:
    """Makes fresh copies of the toy project that use the tests' Prefect server."""

    def make(name: str = "clone") -> Checkout:
        shutil.copytree(toy_template, tmp_path / name, symlinks=True)
        return Checkout(tmp_path / name, prefect_server)

    return make


@pytest.fixture
def toy(clone: Callable[[str], Checkout]) -> Checkout:
    """One fresh copy of the toy project."""
    return clone("toy")
