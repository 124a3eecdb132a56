"""DVC as the pipeline's one memory: is a stage current, can it be restored, keep what it made.

Where a remote is named, what cannot be restored here is looked for there before it is run.
The sequence is DVC's own (dvc/stage/__init__.py: reproduce, run): what one door leaves in
dvc.lock, cache and run cache the other finds. While a body runs, its inputs are held for reading
and its outputs for writing in DVC's read-write lock, so that a `dvc repro` started meanwhile is
refused as busy; the repository's own lock is free, as it is while DVC runs a command.
"""

import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from pipeline import mend
from pipeline.errors import EnvironmentFault
from pipeline.mend import LOCK
from pipeline.remote import Remote
from pipeline.render import DVC_YAML

log = logging.getLogger("fettle")

PATIENCE = 600.0
"""Seconds that a finished stage waits for the repository's lock, until its result is given up."""


class Found(Enum):
    """What the memory did for a stage."""

    CURRENT = "current"
    """Nothing changed; the outputs are in place."""
    RESTORED = "restored"
    """The outputs of an earlier run with the same inputs were checked out."""
    FETCHED = "fetched"
    """The same, of a run elsewhere: they came from the remote."""
    RAN = "ran"
    """The body ran and its outputs were committed."""


class Memory:
    """The DVC repository at `root`, and if named the remote that others share their runs in."""

    def __init__(self, root: Path, remote: str | None = None) -> None:
        """Raises InputError where DVC has no remote of that name."""
        from dvc.repo import Repo

        # Its progress bars and hints would go between the lines of the run.
        logging.getLogger("dvc").setLevel(logging.ERROR)
        mend.dvc_lock(root)
        mend.rwlock(root)
        try:
            self.repo: Any = Repo(str(root))
        except sqlite3.DatabaseError as error:
            if _is_in_the_way(error):
                raise _unusable(error) from None
            mend.hashes(root)
            self.repo = Repo(str(root))
        self.remote = None if remote is None else Remote(self.repo, remote)
        self._root = root
        self._parsed: tuple[list[tuple[int, int] | None], Any] | None = None

    def recall_or_run(self, name: str, body: Callable[[], None]) -> Found:
        """Leave the outputs of stage `name` in place, running `body` only where it must.

        Raises EnvironmentFault where DVC's locks are held by another process.
        """
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        try:
            with lock_repo(self.repo):
                stage = self._load(name)
                if not stage.changed():
                    self._note(stage)
                    return Found.CURRENT
                _say_changed_data(stage)
                if self._restore(stage):
                    self._keep(stage)
                    return Found.RESTORED
                if self._fetch(name) and self._restore(stage):
                    self._keep(stage)
                    return Found.FETCHED
                self._make_room(stage)
                self._run_unlocked(stage, body)
                self._keep(stage)
                return Found.RAN
        except LockError as error:
            raise busy(name, error) from None
        except sqlite3.DatabaseError as error:
            if _is_in_the_way(error):
                raise _unusable(error) from None
            mend.hashes(self._root)
            raise EnvironmentFault(
                f"{name}: DVC's table of hashes was damaged ({error}); it is removed.\n"
                "Run again: finished stages are kept."
            ) from None

    def words(self, found: Found) -> str:
        """What the memory did, for people."""
        if found is Found.FETCHED and self.remote is not None:
            return f"fetched from {self.remote.name}"
        return found.value

    def push(self, names: Iterable[str]) -> None:
        """Hand the data, the results of these stages and the memory of them to the remote.

        A remote that does not answer is said, and is no error. Raises EnvironmentFault as
        `recall_or_run`.
        """
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        if self.remote is None:
            return
        # DVC read the lock file before the run wrote it.
        self.repo._reset()
        try:
            with lock_repo(self.repo):
                self.remote.push([self._load(name) for name in names])
        except LockError as error:
            raise busy("push", error) from None

    def _load(self, name: str) -> Any:
        """A new DVC stage; dvc.yaml and dvc.lock are parsed again only when they changed.

        Called in the repository's lock. DVC itself parses both for every stage, in pure Python.
        """
        from dvc.dvcfile import load_file

        now = [_stamp(self._root / path) for path in (DVC_YAML, LOCK)]
        if self._parsed is None or self._parsed[0] != now:
            self._parsed = now, load_file(self.repo, str(self._root / DVC_YAML)).stages
        return self._parsed[1][name]

    def _restore(self, stage: Any) -> bool:
        from dvc.stage.cache import RunCacheNotFoundError

        if any(not dependency.exists for dependency in stage.deps):
            return False
        asked = self._load(stage.name)
        asked.save_deps()
        mend.remembered(self.repo, asked)
        try:
            self._make_room(stage)
            self.repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            return False
        return True

    def _fetch(self, name: str) -> bool:
        """Whether the remote had the results, which are in the cache then."""
        if self.remote is None:
            return False
        # Anew, as dvc.lock has it: looking for it here wrote the inputs' hashes into the other.
        stage = self._load(name)
        if any(not dependency.exists for dependency in stage.deps):
            return False
        return self.remote.fetch(stage)

    def _make_room(self, stage: Any) -> None:
        # Refused where another process is at work at the stage, so before all else.
        stage.remove_outs()
        mend.leftovers(self._root, stage)

    def _run_unlocked(self, stage: Any, body: Callable[[], None]) -> None:
        from dvc.lock import LockError
        from dvc.rwlock import rwlock

        with rwlock(
            self.repo.tmp_dir,
            self.repo.fs,
            # DVC's own words for this process, lest it block itself when it asks again.
            " ".join(sys.argv),
            [dependency.fs_path for dependency in stage.deps],
            [output.fs_path for output in stage.outs],
            self.repo.config["core"].get("hardlink_lock", False),
        ):
            self.repo.lock.unlock()
            try:
                body()
            except BaseException:
                # Its caller unlocks it; what went wrong in the body says more than who holds it.
                with suppress(LockError):
                    self.repo.lock.lock()
                raise
            self._lock_again(stage.name)

    def _lock_again(self, name: str) -> None:
        """Lock the repository for a result that is there and must not be lost because somebody
        else is at it, a push for instance, for longer than DVC waits.

        Raises DVC's LockError after `PATIENCE`.
        """
        from dvc.lock import LockError

        begun = time.monotonic()
        while True:
            try:
                self.repo.lock.lock()
                return
            except LockError:
                if time.monotonic() - begun > PATIENCE:
                    raise
                log.info("%s: waiting for another process that is working in this repository", name)

    def _note(self, stage: Any) -> None:
        """Write what dvc.lock says of a current stage anew, where it is not what it should be:
        DVC compares hashes, and would keep a wrong size for ever."""
        from dvc.stage.serialize import to_single_stage_lockfile

        before = to_single_stage_lockfile(stage)
        stage.save(run_cache=False)
        if to_single_stage_lockfile(stage) != before:
            stage.dump(update_pipeline=False)

    def _keep(self, stage: Any) -> None:
        stage.save()
        stage.commit()
        stage.dump(update_pipeline=False)


def _say_changed_data(stage: Any) -> None:
    """A change of the user's own files is not to be survived, but to be noticed."""
    for dependency in stage.deps:
        path = dependency.def_path
        if path and path.startswith("data/") and dependency.hash_info and dependency.status():
            log.warning("%s: %s is not what it was in the last run", stage.name, path)


def _is_in_the_way(error: sqlite3.DatabaseError) -> bool:
    """Whether a database is locked, without room or out of reach, rather than damaged."""
    return isinstance(error, sqlite3.OperationalError)


def _unusable(error: Exception) -> EnvironmentFault:
    return EnvironmentFault(
        f"DVC's table of hashes cannot be used ({error}).\n"
        "Is the disk full, or another process at it? Then run again: finished stages are kept."
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """What a write changes; None where there is no such file."""
    if not path.exists():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def busy(name: str, error: Exception) -> EnvironmentFault:
    """The message for a repository or stage that another process holds."""
    return EnvironmentFault(
        f"{name}: another process is working in this repository.\n{error}\n"
        "Wait for it to end, or stop it, and run again."
    )
