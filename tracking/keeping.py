"""A run's own side of tracking: it opens the journal, starts the follower, and waits for it.

No tracker is imported here. Without one that is on there is no journal; and a run in which nothing
has to run keeps none, since it has no figure that was not there before.
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pipeline import journal
from pipeline.artifacts import Json
from pipeline.errors import shown
from pipeline.params_file import PARAMS, Params
from tracking.delivery import Progress
from tracking.tracker import FOLDER, Place, lock_hash

log = logging.getLogger("fettle")

KEPT = 20
"""Journals; older ones are removed."""
NAME = re.compile(r"\d{8}-\d{6}-\d+")
"""Of a run: when it began, UTC, and its process."""
OFTEN = 3.0
"""Seconds between two lines while the run waits for the follower."""
LONGEST = 60.0
"""Seconds that it waits at the most; the follower then goes on alone."""
TITLES = {"tensorboard": "TensorBoard", "mlflow": "MLflow", "dvclive": "DVCLive"}
Door = Literal["run", "stage"]


class Kept:
    """The journal of a run; without a tracker that is on there is none."""

    def __init__(self, place: Place, trackers: tuple[str, ...]) -> None:
        self._place = place
        self._trackers = trackers
        self._follower: subprocess.Popen[bytes] | None = None

    def follow(self) -> None:
        """Start the follower, once: something has to run."""
        if self._trackers and self._follower is None:
            try:
                self._follower = start(self._place, self._trackers, subprocess.PIPE)
            except OSError as error:
                log.warning("no tracker is told of this run: %s", error)
                self._trackers = ()

    def end(self, *, wait: bool) -> None:
        """Let the follower hand on what is left and end; say what it could not."""
        if not self._trackers:
            return
        if self._follower is None:
            _remove(self._place.journal)
            return
        assert self._follower.stdin is not None
        self._follower.stdin.close()
        if wait:
            await_end(self._follower, self._place, self._trackers)


@contextmanager
def kept(root: Path, params: Params, door: Door) -> Iterator[Kept]:
    """Keep a journal of the run in the block, for the trackers that are on."""
    trackers = params.run.tracking.on
    place = Place(root, f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}")
    running = _open(place, trackers) if trackers else None
    if running is None:
        yield Kept(place, ())
        return
    keeper, state = Kept(place, trackers), "failed"
    with running, _told_to(place.journal):
        _begin(root, params, door)
        try:
            yield keeper
            state = "finished"
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            journal.tell("run ended", state=state, lock=lock_hash(root))
            _copy(root, place.journal)
            keeper.end(wait=state != "interrupted")


def _open(place: Place, trackers: tuple[str, ...]) -> IO[str] | None:
    """Make the journal's folder; returns the lock that says that the run lasts. None where the disk
    does not let us: a run does without a journal."""
    try:
        _prune(place.journal.parent)
        place.journal.mkdir(parents=True)
        told = {"trackers": list(trackers), "mlflow": shown_uri()}
        Json(place.journal / "run.json").write(told)
        lock = (place.journal / "running.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        log.warning("no tracker is told of this run: %s", error)
        return None
    return lock


@contextmanager
def _told_to(folder: Path) -> Iterator[None]:
    """Let this process, and workers that it starts, tell the journal."""
    os.environ[journal.FOLDER] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(journal.FOLDER, None)
        os.environ.pop(journal.STAGE, None)


def _begin(root: Path, params: Params, door: Door) -> None:
    commit, dirty = _commit(root)
    sections = {name: params[name].model_dump(mode="json") for name in params if name != "run"}
    lock = lock_hash(root)
    journal.tell("run begun", door=door, commit=commit, dirty=dirty, lock=lock, params=sections)


def _commit(root: Path) -> tuple[str | None, bool]:
    """The commit that is checked out, and whether tracked files differ from it. dvc.lock does after
    every run, and has a hash of its own."""
    status = ("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
    head, changes = (_git(root, *arguments) for arguments in (("rev-parse", "HEAD"), status))
    return (head.strip() if head else None), bool(changes and changes.strip())


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            # Reading must not write: the index is another process's to lock.
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _copy(root: Path, folder: Path) -> None:
    """Keep what the tags' hashes are of."""
    for name in ("dvc.lock", PARAMS.name):
        with contextlib.suppress(OSError):
            shutil.copyfile(root / name, folder / name)


def start(place: Place, trackers: Sequence[str], stdin: int) -> "subprocess.Popen[bytes]":
    """Start a follower, in a session of its own: a Ctrl-C in the terminal is meant for the run."""
    own = (journal.FOLDER, journal.STAGE)
    environment = {name: value for name, value in os.environ.items() if name not in own}
    with (place.journal / "follower.log").open("ab") as printed:
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "tracking.follow", place.run, *trackers],
            cwd=place.root,
            env=environment,
            stdin=stdin,
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )


def await_end(follower: "subprocess.Popen[bytes]", place: Place, trackers: Sequence[str]) -> None:
    """Wait for the follower, but not for ever, and say what it could not hand on."""
    began = time.monotonic()
    try:
        while True:
            try:
                follower.wait(timeout=OFTEN)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() - began > LONGEST:
                    log.info("tracking goes on in the background; see ./fettle track")
                    return
                log.info("telling the trackers what is left (Ctrl-C: that goes on by itself)")
    except KeyboardInterrupt:
        log.info("tracking goes on in the background; see ./fettle track")
        return
    for line in not_told(place, trackers):
        log.warning("%s", line)


def not_told(place: Place, trackers: Sequence[str]) -> Iterator[str]:
    """A line for each tracker that was not told everything."""
    for name in trackers:
        progress = Progress.read(place.journal, name)
        if not progress.whole:
            yield shown(
                f"{TITLES[name]}: {progress.left} events were not handed on "
                f"({progress.error or 'the follower was ended'}); they are kept in "
                f"{place.journal.relative_to(place.root)}. Later: ./fettle track {place.run}"
            )


def runs(root: Path) -> list[Place]:
    """Those whose journals are kept, the oldest first."""
    folder = root / FOLDER / "tracking"
    if not folder.is_dir():
        return []
    return [Place(root, path.name) for path in sorted(folder.iterdir()) if _is_journal(path)]


def lasts(place: Place) -> bool:
    """Whether the run, or a follower of it, is still at work."""
    for name in ("running.lock", "follower.lock"):
        try:
            with (place.journal / name).open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


def _is_journal(path: Path) -> bool:
    named = NAME.fullmatch(path.name) is not None
    return named and not path.is_symlink() and (path / "run.json").is_file()


def _prune(folder: Path) -> None:
    """Remove all but the last journals, this one to come, and those that are being written."""
    if not folder.is_dir() or folder.is_symlink():
        return
    root = folder.parent.parent
    for place in runs(root)[: -(KEPT - 1)]:
        if not lasts(place):
            _remove(place.journal)


def _remove(path: Path) -> None:
    """One journal's folder; what a link points to stays."""
    if _is_journal(path):
        shutil.rmtree(path, ignore_errors=True)


def shown_uri() -> str:
    """Where MLflow is, without what a URL holds before its host: a password, perhaps."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{FOLDER}/mlflow.db"
    return re.sub(r"//[^/@]*@", "//", uri)


def where(params: Params, root: Path) -> Iterator[str]:
    """A line for each tracker that is on: how to look at it."""
    folder = ".venv/bin" if (root / ".venv").exists() else str(Path(sys.prefix) / "bin")
    commands = {
        "tensorboard": f"{folder}/tensorboard --logdir {FOLDER}/tensorboard --host 127.0.0.1",
        "mlflow": f"{folder}/mlflow ui --backend-store-uri {shown_uri()} --host 127.0.0.1",
        "dvclive": f"{FOLDER}/dvclive",
    }
    if shown_uri().startswith("http"):
        commands["mlflow"] = shown_uri()
    for name in params.run.tracking.on:
        yield f"{TITLES[name]}: {commands[name]}"
