"""What a machine that works for a run does: it keeps worker processes, and files for them.

Used by the run itself (`processes.py`), by every Dask worker and by every Ray actor. To clusters
this module is sent as it is, since their workers may lack the project: so it imports nothing of
it but `gpus.py`, which is sent as well, and what it hands back is tuples of plain values.

A piece never runs in a cluster's own process, but in one that is started for the run, in a folder
that holds the run's very code, with the run's environment variables. So nothing that a worker
imported, set or was started with long ago can show in a result.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.runners.gpus import VISIBLE, claim, release, shares

SHARED = (
    "TF_",
    "KERAS_",
    "XLA_",
    "ONEDNN_",
    "DNNL_",
    "OPENBLAS_",
    "MKL_",
    "OMP_",
    "KMP_",
    "NUMEXPR_",
    "NPY_",
    "PYTHON",
    "FETTLE_",
)
"""Beginnings of the environment variables that results may follow from. A worker process has those
of the run and no others: schedulers set some of their own, such as OMP_NUM_THREADS."""
JOURNAL = "FETTLE_JOURNAL"
"""As `pipeline.journal` has it."""
MAIN = "FETTLE_MAIN"
"""Environment variable of a worker process: the name of the module that the run was started by."""
FOLDER = "FETTLE_WORKER_FOLDER"
"""Environment variable of a worker: where it keeps files; default: below the temporary folder."""
MOST = 20 * 2**30
"""Bytes that are kept there; beyond them what was not used for longest is removed."""
BUSY = 1.0
"""Seconds between two looks for a GPU that nobody works on."""
IDLE = 120.0
"""Seconds after which a cluster's worker process without work ends; the next piece starts one."""
PARTING = 5.0
"""Seconds that a host which is closed waits for pieces whose processes it has ended."""

Said = Callable[[tuple[str, int, str, float]], None]
"""Told of a log line of a piece: logger, level, message, when."""
Manifest = Mapping[str, str]
"""Content hashes by path below the project's folder."""


@dataclass(frozen=True)
class Terms:
    """What a run asks of whoever works for it."""

    run: str
    """A name that no other run has."""
    root: str
    """The project's folder on the run's machine."""
    token: str
    """File below it that holds the run's name: who sees it there sees the same folder. Empty for
    the run's own machine, which need not be asked."""
    paths: tuple[str, ...]
    """Where its own machine finds modules."""
    environment: Mapping[str, str]
    """Variables that begin like `SHARED`."""
    versions: Mapping[str, str]
    """Of the packages, by name, that must be installed."""
    python: str
    avx2: bool
    """Whether its arithmetic is held to AVX2."""
    vendor: str
    """Of its CPU."""
    gpus: int
    """That each worker process has to itself, where there are any; 0: all see all."""


@dataclass(frozen=True)
class Order:
    """A piece, as a host is handed it."""

    payload: bytes
    """Stage, function and item, pickled: to be opened in the worker process alone."""
    stamps: Mapping[str, tuple[int, int]]
    """Size and time of change in ns of the files of earlier stages that it may read."""
    out: str
    """Folder, below the project's, that it may read and write."""
    manifest: Manifest | None = None
    """All files that it may read and the code, for hosts that do not see the run's folder."""


class Lost(Exception):
    """A worker process ended before its piece did."""


class Seat:
    """One worker process, started when it is first needed; it ends when this process does, even
    by `kill -9`."""

    def __init__(
        self, terms: Terms, folder: str, environment: Mapping[str, str], idle: float, share: str
    ) -> None:
        self.folder = folder
        self.share = share
        """The GPUs that it sees; "": whatever there is."""
        self.claimed: list[int] = []
        self.held: list[int] = []
        """The lock by which others see that the folder is in use, see `_made_folder`."""
        self.laid: dict[str, str] = {}
        """What lies in the folder, where it is not the run's own: content hashes by path."""
        self.told: dict[str, int] = {}
        """Bytes of its journal that were handed on, by file."""
        self._paths = [folder, *terms.paths]
        self._environment = dict(environment)
        self._idle = idle
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._ended = False
        self._guard = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether it can be handed a piece."""
        return not self._ended and (self._process is None or self._process.poll() is None)

    def run(self, payload: bytes, said: Said) -> bytes:
        """The piece's answer, pickled; raises Lost where the process ends first."""
        line = self._sit()
        try:
            line.send_bytes(payload)
            while (message := line.recv_bytes())[:1] == b"L":
                said(pickle.loads(message[1:]))  # noqa: S301 - of our own process
        except (EOFError, OSError):
            raise Lost(self._how()) from None
        return message[1:]

    def kill(self) -> None:
        """End the process at once; whoever waits for its answer learns that it is lost."""
        with self._guard:
            self._ended = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def close(self) -> None:
        """End the process and forget it; nobody may be waiting for an answer."""
        self.kill()
        if self._line is not None:
            self._line.close()

    def _sit(self) -> Connection:
        with self._guard:
            if self._ended:
                raise Lost("ended")
            if self._line is not None:
                return self._line
            code = (
                f"import sys; sys.path[:0] = {self._paths!r}; "
                "from pipeline.runners.seat import main; main(int(sys.argv[1]), float(sys.argv[2]))"
            )
            ours, theirs = socket.socketpair()
            self._line = Connection(ours.detach())
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-B", "-c", code, str(theirs.fileno()), str(self._idle)],
                    cwd=self.folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # What a Ctrl-C means for workers, the run decides.
                    process_group=0,
                )
            return self._line

    def _how(self) -> str:
        """How it ended, in words."""
        self.kill()
        code = self._process.returncode if self._process else 0
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"exit code {code}"


@dataclass
class Host:
    """Worker processes of one machine for one run, and the files they need."""

    terms: Terms
    idle: float = 0.0
    """Seconds until an idle worker process ends; 0: never."""
    _free: list[Seat] = field(default_factory=list)
    _busy: dict[str, Seat] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)
    _checked: tuple[str, str] | None = None
    _seen: bool | None = None
    _made: int = 0
    _shares: tuple[str, ...] | None = None
    """Of this machine's GPUs, see `gpus.shares`."""
    _closed: bool = False
    _swept: bool = False
    """Whether folders that nobody uses any more were looked for."""

    def __post_init__(self) -> None:
        self._guard: Any = threading.Condition()

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock, which cannot travel."""
        return {name: value for name, value in self.__dict__.items() if name != "_guard"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._guard = threading.Condition()

    def seats(self, asked: int) -> int:
        """How many pieces can run at once where `asked` are wished: no more than have GPUs."""
        return min(asked, len(self._shared())) if any(self._shared()) else asked

    def carry(self, key: str, order: Order, said: Said) -> tuple[Any, ...]:
        """Run a piece; returns what became of it.

        ("done", answer, files, gone, journal): the pickled answer, and from another machine the
        content of files by path, the paths of files that are gone, and lines of the journal.
        ("lost", why): its process ended. ("unfit", message): this machine cannot work for the run.
        ("away",): the files have to be handed over first, see `lacking`.
        """
        if self._checked is None:
            self._checked = self._fitness()
        unfit, warning = self._checked
        if unfit:
            return ("unfit", unfit)
        if warning:
            said(("fettle.progress", 30, warning, time.time()))
            self._checked = ("", "")
        home = self._is_home(order)
        if not home and (order.manifest is None or self.lacking(order.manifest)):
            return ("away",)
        if not home and not self._swept:
            self._swept = True
            _sweep(self._folder())
        try:
            seat = self._take(key, home=home)
        except Lost as lost:
            return ("lost", str(lost))
        try:
            if not home:
                assert order.manifest is not None
                self._lay(seat, order.manifest)
                # A stage makes its folder before it hands out pieces; empty, it is in no manifest.
                (Path(seat.folder) / order.out).mkdir(parents=True, exist_ok=True)
            answer = seat.run(order.payload, said)
            found = ({}, [], {}) if home else self._harvest(seat, order)
        except Lost as lost:
            self._drop(key)
            return ("lost", str(lost))
        except BaseException:
            self._drop(key)
            raise
        self._give(key)
        return ("done", answer, *found)

    def cancel(self, key: str) -> None:
        """End the worker process that runs this piece, if there is one."""
        with self._guard:
            seat = self._busy.get(key)
            self._refused.add(key)
        if seat is not None:
            seat.kill()

    def close(self) -> None:
        """End all worker processes, and forget their folders: those of pieces under way too, if
        they are dropped within `PARTING`, since this process may be ended next."""
        with self._guard:
            self._closed = True
            free, self._free = self._free, []
            busy = list(self._busy.values())
            self._guard.notify_all()
        for seat in free:
            self._forget(seat)
        for seat in busy:
            # Whoever waits for it drops it.
            seat.kill()
        with self._guard:
            self._guard.wait_for(lambda: not self._busy, PARTING)

    def _take(self, key: str, *, home: bool) -> Seat:
        with self._guard:
            seat = None
            while seat is None:
                if self._closed:
                    raise Lost("ended")
                seat = self._fitting(home=home)
                if seat is None:
                    # Whoever has the GPUs may be another run, which does not say when it is done.
                    self._guard.wait(BUSY)
            self._busy[key] = seat
            refused = key in self._refused
        if refused:
            seat.kill()
        return seat

    def _fitting(self, *, home: bool) -> Seat | None:
        """A seat that is free, or a new one; None while there is no GPU for it."""
        for seat in self._free[::-1]:
            if not seat.alive or (seat.folder == self.terms.root) != home:
                self._free.remove(seat)
                self._forget(seat)
            elif (claimed := claim(seat.share, self._folder)) is not None:
                self._free.remove(seat)
                seat.claimed = claimed
                return seat
        for share in self._shared():
            if (claimed := claim(share, self._folder)) is not None:
                seat = self._start(home=home, share=share)
                seat.claimed = claimed
                return seat
        return None

    def _shared(self) -> tuple[str, ...]:
        if self._shares is None:
            self._shares = tuple(shares(self.terms.gpus))
        return self._shares

    def _give(self, key: str) -> None:
        with self._guard:
            if not self._closed:
                seat = self._busy.pop(key)
                release(seat.claimed)
                self._free.append(seat)
                self._guard.notify_all()
                return
        self._drop(key)

    def _drop(self, key: str) -> None:
        # Its files may be many: nobody but `close` waits for that.
        self._forget(self._busy[key])
        with self._guard:
            del self._busy[key]
            self._guard.notify_all()

    def _forget(self, seat: Seat) -> None:
        seat.close()
        release(seat.claimed)
        if seat.folder != self.terms.root:
            shutil.rmtree(seat.folder, ignore_errors=True)
        release(seat.held)

    def _start(self, *, home: bool, share: str) -> Seat:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(SHARED)
        } | dict(self.terms.environment)
        if share:
            environment[VISIBLE] = share
        if home:
            return Seat(self.terms, self.terms.root, environment, self.idle, share)
        self._made += 1
        name = f"{self.terms.run}-{os.getpid()}-{self._made}@{socket.gethostname()}"
        folder, held = _made_folder(self._folder() / name)
        if JOURNAL in environment:
            environment[JOURNAL] = str(folder / ".journal")
            (folder / ".journal").mkdir()
        seat = Seat(self.terms, str(folder), environment, self.idle, share)
        seat.held = held
        return seat

    def _is_home(self, order: Order) -> bool:
        """Whether this machine sees the run's own folder, and in it what the run sees."""
        if not self.terms.token:
            return True
        root = Path(self.terms.root)
        if self._seen is None:
            try:
                self._seen = (root / self.terms.token).read_text() == self.terms.run
            except OSError:
                self._seen = False
        return self._seen and all(_stamp(root / p) == was for p, was in order.stamps.items())

    def _fitness(self) -> tuple[str, str]:
        """Why this machine cannot work for the run, and what should be said if it can; or ""."""
        if not self.terms.token:
            return "", ""
        me = f"The worker on {socket.gethostname()}"
        python = sys.version.split()[0]
        if python != self.terms.python:
            return f"{me} runs Python {python}, the run {self.terms.python}.", ""
        missing = []
        for name, version in self.terms.versions.items():
            try:
                found = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found = "nothing"
            if found != version:
                missing.append(f"{name} {found} instead of {version}")
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            return f"{me} has {', '.join(missing[:3])}{more}.", ""
        avx2, vendor = cpu()
        if self.terms.avx2 and not avx2:
            return f"{me} has a CPU without AVX2, to which the run's arithmetic is held.", ""
        if vendor != self.terms.vendor:
            words = f"{me} has a CPU of {vendor}, the run one of {self.terms.vendor}"
            return "", f"{words}: dvc.lock can come out different though nothing is wrong"
        return "", ""

    # What follows is for machines that do not see the run's folder.

    def lacking(self, manifest: Manifest) -> list[str]:
        """Content hashes that are not here yet, each once, in the manifest's order."""
        store = self._store()
        return [mark for mark in dict.fromkeys(manifest.values()) if not (store / mark).exists()]

    def keep(self, mark: str, part: bytes, *, first: bool, last: bool) -> bool:
        """Keep a part of a file's content; False where the whole has another hash than it should.

        Parts of one content come in their order, one after the other.
        """
        growing = self._store() / f".{mark}-{os.getpid()}"
        with growing.open("wb" if first else "ab") as file:
            file.write(part)
        if not last:
            return True
        whole = content_hash(growing) == mark
        if whole:
            growing.chmod(0o444)
            growing.replace(self._store() / mark)
            _prune(self._store(), MOST)
        else:
            growing.unlink()
        return whole

    def _folder(self) -> Path:
        own = os.environ.get(FOLDER) or f"{tempfile.gettempdir()}/fettle-{os.getuid()}"
        folder = Path(own)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user; set {FOLDER}")
        return folder

    def _store(self) -> Path:
        store = self._folder() / "content"
        store.mkdir(exist_ok=True)
        return store

    def _lay(self, seat: Seat, manifest: Manifest) -> None:
        """Let the seat's folder hold these files and no others."""
        folder, store = Path(seat.folder), self._store()
        for path in seat.laid.keys() - manifest.keys():
            (folder / path).unlink(missing_ok=True)
        for path, mark in manifest.items():
            if seat.laid.get(path) == mark:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            # A copy: a piece that wrote into a link would change what is kept.
            shutil.copyfile(store / mark, target)
            with contextlib.suppress(OSError):
                os.utime(store / mark)
        seat.laid = dict(manifest)

    def _harvest(
        self, seat: Seat, order: Order
    ) -> tuple[dict[str, bytes], list[str], dict[str, bytes]]:
        """What the piece left: files that are new or changed, files that are gone, journal."""
        folder = Path(seat.folder)
        there = {
            path.relative_to(folder).as_posix(): path
            for path in sorted((folder / order.out).rglob("*"))
            if path.is_file()
        }
        files = {}
        for name, path in there.items():
            mark = content_hash(path)
            if seat.laid.get(name) != mark:
                files[name] = path.read_bytes()
                seat.laid[name] = mark
                # A later piece may read it, and it need not come here again.
                self.keep(mark, files[name], first=True, last=True)
        before = [name for name in seat.laid if name.startswith(f"{order.out}/")]
        gone = [name for name in before if name not in there]
        for name in gone:
            del seat.laid[name]
        lines = {}
        for path in sorted((folder / ".journal").glob("*.jsonl")):
            content = path.read_bytes()[seat.told.get(path.name, 0) :]
            seat.told[path.name] = seat.told.get(path.name, 0) + len(content)
            lines[path.name] = content
        return files, gone, lines


def cpu() -> tuple[bool, str]:
    """Whether this machine's CPU has AVX2, and its vendor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False, "unknown"
    told = {name.strip(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    return "avx2" in told.get("flags", "").split(), told.get("vendor_id", "unknown")


def content_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _prune(folder: Path, most: int) -> None:
    """Remove what was not used for longest, until no more than `most` bytes are left."""
    kept = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            kept.append((state.st_mtime, state.st_size, path))
    size = 0
    for _, held, path in sorted(kept, key=lambda one: one[0], reverse=True):
        size += held
        if size > most:
            path.unlink(missing_ok=True)


def _made_folder(folder: Path) -> tuple[Path, list[int]]:
    """A new folder for a seat, and the lock on it, which the system takes back when this process
    ends, by `kill -9` too."""
    new = folder.with_name(f".{folder.name}")
    new.mkdir()
    held = _locked(new)
    # With its name only now, so that nobody takes it for one that was left.
    new.rename(folder)
    return folder, held


def _locked(folder: Path) -> list[int]:
    """The lock on a folder of this user; none where another process has it, or there is no such
    folder, or its file system has no such locks."""
    held: list[int] = []
    try:
        held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        if os.fstat(held[0]).st_uid != os.getuid():
            raise PermissionError(folder)
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        release(held)
    return held


def _sweep(folder: Path) -> None:
    """Remove the folders of seats whose host was killed.

    Of this machine alone: a folder that is shared may show another's and not its locks. A lock
    rather than the number in the name, which the system gives to another process one day.
    """
    mine = re.compile(rf"[0-9a-f]{{12}}-\d+-\d+@{re.escape(socket.gethostname())}")
    for path in folder.iterdir():
        if mine.fullmatch(path.name) and (held := _locked(path)):
            shutil.rmtree(path, ignore_errors=True)
            release(held)
