"""How a fault is injected, and how what came after it is judged.

A fault is a name, a place and a function that disturbs a copy of the toy project. It has survived
if what was disturbed ended in words instead of a traceback, nothing half-written was taken for a
result, and the next run ends with the bytes of a run that was left in peace: dvc.lock, every
artifact and every object in DVC's cache.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pipeline import server
from pipeline.artifacts import leftovers
from tests.conftest import VENV, Checkout, kill_group

STRIKE = Path(__file__).parent / "strike"
PATIENCE_SECONDS = 300
"""How long a run of the toy may take before it counts as hanging."""
UNTRACKED = ("timing.json", "timing.html")
Verdict = Literal["survived", "lost", "missed", "skipped"]
Event = tuple[str, str, str]
"""Kind of process, stage, and what of the stage."""


class Skipped(Exception):
    """The fault cannot be injected on this machine; says why."""


class Missed(Exception):
    """The run was over before the fault came."""


class Lost(Exception):
    """What should have held did not; says what."""


@dataclass(frozen=True)
class Told:
    """How a command ended, and what it printed."""

    code: int
    output: str


@dataclass(frozen=True)
class Toy(Checkout):
    """A copy of the toy project, whose commands can be given a strike."""

    struck: dict[str, Any] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """What a command is started by: setpriv, for one."""
    until_judged: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What is undone when all has been judged: mounts, for one."""

    @property
    def environment(self) -> dict[str, str]:
        """As of any checkout, and where to strike."""
        plain = super().environment
        if not self.struck:
            return plain
        return plain | {"PYTHONPATH": str(STRIKE), "STRIKE": json.dumps(self.struck)}

    def striking(self, **told: Any) -> "Toy":
        """The same project, in which the next commands are struck as told."""
        mark = self.root.parent / f"{self.root.name}.{uuid.uuid4().hex}.struck"
        return replace(self, struck={"root": str(self.root), "struck": str(mark), **told})

    @property
    def was_struck(self) -> str:
        """What happened when the strike came; empty where it did not come."""
        mark = Path(self.struck["struck"])
        return mark.read_text() if mark.exists() else ""

    def begin(self, door: str = "run") -> subprocess.Popen[str]:
        """Start a run by one of the doors."""
        command = ("./fettle", "run") if door == "run" else (str(VENV / "bin" / "dvc"), "repro")
        return self.start(*self.prefix, *command)

    def end(self, process: subprocess.Popen[str]) -> Told:
        """Wait for a command; raises Lost where it hangs."""
        try:
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise Lost("it hangs") from None
        return Told(process.returncode, output)

    def told(self, door: str = "run") -> Told:
        """Run by one of the doors, to its end."""
        return self.end(self.begin(door))


@dataclass(frozen=True)
class Fault:
    """One way to disturb a run."""

    kind: str
    """The row of the table."""
    where: str
    inject: Callable[[Toy], Told | None]
    """Disturbs; gives what the disturbed command said, where there was one."""
    codes: frozenset[int] = frozenset({0, 4})
    """What the disturbed command may exit with."""
    words: str = ""
    """What it must say unless it exits with 0."""
    done: bool = False
    """Whether the project has been run before, so that all results are in place."""
    own_server: bool = False
    """Whether the project has a Prefect server of its own."""


@dataclass(frozen=True)
class Outcome:
    """What became of a fault."""

    kind: str
    where: str
    verdict: Verdict
    why: str
    code: int | None
    output: str = ""


class Lab:
    """A folder with the toy project, fresh and run, and what an undisturbed run of it leaves."""

    def __init__(self, folder: Path, fresh: Path, api_url: str) -> None:
        """`fresh`: the toy project, before its first run."""
        self.folder, self.fresh, self.api_url = folder, fresh, api_url
        # Some faults run as another user.
        folder.chmod(0o755)
        self.done = folder / "done"
        shutil.copytree(fresh, self.done, symlinks=True)
        undisturbed = Toy(self.done, self.api_url)
        undisturbed.fettle("run")
        self.lock, self.artifacts = undisturbed.lock, contents(self.done)
        self._one = threading.Lock()

    def events(self) -> dict[Event, int]:
        """How many times a run writes, by where it is."""
        record = self.folder / "events"
        toy = self._copy(self.fresh, self.api_url)
        toy.striking(record=str(record)).fettle("run")
        counts: dict[Event, int] = {}
        for line in record.read_text().splitlines():
            kind, stage, place, *_ = line.split("\t")
            counts[kind, stage, place] = counts.get((kind, stage, place), 0) + 1
        shutil.rmtree(toy.root)
        return counts

    def _copy(self, template: Path, api_url: str | None) -> Toy:
        root = self.folder / f"toy-{uuid.uuid4().hex[:8]}"
        shutil.copytree(template, root, symlinks=True)
        return Toy(root, api_url)

    def attempt(self, fault: Fault) -> Outcome:
        """Inject a fault and judge what came after."""
        toy = self._copy(
            self.done if fault.done else self.fresh, None if fault.own_server else self.api_url
        )
        told: Told | None = None
        try:
            told = fault.inject(toy)
            if told is not None:
                require_words(told, fault)
            self.require_same_bytes(toy)
        except Skipped as reason:
            return Outcome(fault.kind, fault.where, "skipped", str(reason), None)
        except Missed as reason:
            return Outcome(fault.kind, fault.where, "missed", str(reason), None)
        except (Lost, AssertionError, OSError) as reason:
            said = told.output if told else ""
            code = told.code if told else None
            return Outcome(fault.kind, fault.where, "lost", str(reason) or repr(reason), code, said)
        finally:
            if fault.own_server:
                server.stop(toy.root)
            toy.until_judged.close()
            shutil.rmtree(toy.root, ignore_errors=True)
        return Outcome(fault.kind, fault.where, "survived", "", told.code if told else None)

    def require_same_bytes(self, toy: Toy) -> None:
        """Run once more; raises Lost unless all ends as in an undisturbed run."""
        after = toy.told()
        if after.code:
            raise Lost(f"the next run ends with {after.code}: {tail(after.output)}")
        if "Traceback" in after.output:
            raise Lost(f"the next run prints a traceback: {tail(after.output)}")
        if toy.lock != self.lock:
            raise Lost("the next run ends with another dvc.lock")
        found = contents(toy.root)
        if found != self.artifacts:
            differing = sorted(
                name
                for name in found.keys() | self.artifacts.keys()
                if found.get(name) != self.artifacts.get(name)
            )
            raise Lost(f"after the next run artifacts differ: {', '.join(differing)}")
        if spoiled_objects(toy.root):
            # Nobody has asked for it yet, since the result itself was in place.
            shutil.rmtree(toy.root / "artifacts")
            again = toy.told()
            if again.code or toy.lock != self.lock or contents(toy.root) != self.artifacts:
                raise Lost(f"a spoiled object was fetched: {tail(again.output)}")
        if spoiled := spoiled_objects(toy.root):
            raise Lost(f"after the next run DVC's cache is spoiled: {', '.join(spoiled)}")
        with self._one:
            if status := dvc_status(toy.root):
                raise Lost(f"after the next run dvc status says {status}")


def require_words(told: Told, fault: Fault) -> None:
    """Raise Lost unless a disturbed command ended as it may."""
    if "Traceback" in told.output:
        raise Lost(f"a traceback: {tail(told.output)}")
    if told.code not in fault.codes:
        raise Lost(f"exit code {told.code}: {tail(told.output)}")
    if told.code > 0 and not any(word in told.output for word in ("fettle: ", "ERROR: ")):
        raise Lost(f"exit code {told.code} without a word: {tail(told.output)}")
    if told.code > 0 and fault.words not in told.output:
        raise Lost(f"it does not say {fault.words!r}: {tail(told.output)}")


def tail(output: str) -> str:
    """The last lines, in one."""
    return " | ".join(line for line in output.splitlines()[-4:] if line)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below artifacts/ that DVC tracks, or would if it were there."""
    top = root / "artifacts"
    # Beside the outputs, and hidden: nobody takes them for any, and they go when their stage runs.
    half = {path for folder in top.iterdir() for path in leftovers(folder)} if top.exists() else ()
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and path.name not in UNTRACKED and path not in half
    }


def spoiled_objects(root: Path) -> list[str]:
    """Objects in DVC's cache that are not what their names say."""
    top = root / ".dvc" / "cache" / "files" / "md5"
    return [
        path.relative_to(top).as_posix()
        for path in sorted(top.rglob("*"))
        # What a kill leaves of copying there is no object, and is never taken for one.
        if path.is_file()
        and path.suffix != ".tmp"
        and hashlib.md5(path.read_bytes()).hexdigest()
        != "".join(path.relative_to(top).parts).removesuffix(".dir")
    ]


def dvc_status(root: Path) -> dict[str, Any]:
    """What `dvc status` would say; empty where all is up to date."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        status: dict[str, Any] = repo.status()
    return status


def chosen(
    chance: random.Random, events: dict[Event, int], number: int
) -> Iterator[dict[str, Any]]:
    """Moments of a run, spread over all its places and random within each, as strikes are told."""
    places = sorted(events)
    chance.shuffle(places)
    for place in range(number):
        at = places[place % len(places)]
        yield {
            "at": list(at),
            "event": chance.randint(1, events[at]),
            # Half of them between two writes, not at one.
            "delay": chance.choice([0.0, round(chance.uniform(0.001, 0.03), 3)]),
        }


def named(told: dict[str, Any]) -> str:
    """A strike's place in words."""
    kind, stage, place = told["at"]
    later = f" + {1000 * told['delay']:.0f} ms" if told["delay"] else ""
    return f"{stage} {place}, write {told['event']} of the {kind}{later}"


def signalled(told: Told, signal_number: int = signal.SIGKILL) -> bool:
    """Whether a command was ended by a signal."""
    return told.code == -signal_number


@contextlib.contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    """A file system at the last of the arguments; raises Skipped where mounting is not allowed."""
    command = ["mount", *arguments]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        raise Skipped("mounting needs root")
    try:
        yield
    finally:
        # Processes that are ending may still hold a file there.
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)
