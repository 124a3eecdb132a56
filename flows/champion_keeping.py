"""Where champions are kept: a folder that DVC tracks, and what git says of the checkout."""

import hashlib
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.champion_decisions import LOG, Tracked, named
from pipeline.artifacts import replacing
from pipeline.errors import EnvironmentFault, InputError
from pipeline.memory import busy

FOLDER = Path("artifacts/champion")
TRACKED = Path("artifacts/champion.dvc")
MADE_BY = ("dvc.lock", "dvc.yaml", "params.yaml", "data/schema.yaml")
"""What belongs to a champion's commit, besides what DVC tracks below data/."""


class Keeping:
    """DVC's side of the checkout at `root`."""

    def __init__(self, root: Path) -> None:
        from dvc.repo import Repo

        # Its progress bars and hints would go between our own lines.
        for name in ("dvc", "dvc_data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.root = root
        self._repo: Any = Repo(str(root))

    def there_is_one(self) -> bool:
        """Whether a champion is tracked."""
        return (self.root / TRACKED).is_file()

    def fetch(self) -> None:
        """Have the champion's folder in place: from the cache, else from a remote.

        Raises InputError where it was changed by hand, EnvironmentFault where it is nowhere.
        """
        with self._unlocked():
            out = self._out()
            if out.exists and not out.changed_checksum():
                if out.changed_cache():
                    # In its place, and nowhere else.
                    self._repo.commit(str(self.root / TRACKED), force=True)
                return
            if out.exists:
                raise InputError(
                    f"{FOLDER} is not what {TRACKED} says: it was changed by hand, or git changed "
                    f"the latter.\nTo have it as it was: {_dvc('checkout --force')} {TRACKED}"
                )
            self._check_out()

    def add(self) -> Tracked:
        """Track the folder as it is now."""
        with self._unlocked():
            [stage] = self._repo.add(str(self.root / FOLDER))
            out = stage.outs[0]
            return Tracked(
                md5=out.hash_info.value, size=out.meta.size or 0, nfiles=out.meta.nfiles or 0
            )

    def told(self) -> str:
        """What DVC's file says of the folder, whatever lies in its place; "": there is none."""
        return (self.root / TRACKED).read_text("utf-8") if self.there_is_one() else ""

    def in_place(self) -> bool:
        """Whether what lies in its place is what is tracked."""
        with self._unlocked():
            out = self._out()
            return bool(out.exists and not out.changed_checksum())

    def put_back(self, told: str, name: str) -> None:
        """Have an earlier folder tracked, and then in place; `told`: as `told()` gave it, `name`:
        what it is called.

        Raises EnvironmentFault where DVC is busy, or the folder is nowhere: it is tracked by then.
        """
        _write(self.root / TRACKED, told)
        # Where the folder was not touched, it need not wait for a DVC that is busy.
        if not self.in_place():
            with self._unlocked():
                self._check_out(name)

    def require_made(self) -> str:
        """What DVC calls the rows of the development part; raises InputError where the promotion
        part or the chosen model is not what the last run left."""
        with self._unlocked():
            split, evaluate = (
                self._repo.stage.load_one(name=name) for name in ("split", "evaluate")
            )
            looked_at = [
                *split.outs,
                *evaluate.outs,
                *(one for one in evaluate.deps if one.def_path.startswith("artifacts/")),
            ]
            for one in looked_at:
                if not one.hash_info or not one.exists or one.changed_checksum():
                    raise InputError(
                        f"{one.def_path} is not what dvc.lock says, so there is no telling which "
                        "model was made on which rows.\nRun first: ./fettle run"
                    )
            [rows] = [out for out in split.outs if out.def_path.endswith("/development")]
            return str(rows.hash_info.value)

    def cached(self, folder: str, name: str) -> Path | None:
        """The file `name` of a folder as DVC calls it, in the cache; None where it is not there."""
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        cache = self._repo.cache.local
        try:
            tree = Tree.load(cache, HashInfo("md5", folder))
        except FileNotFoundError:
            return None
        for key, _, held in tree:
            if key == (name,):
                path = Path(cache.oid_to_path(held.value))
                return path if path.is_file() else None
        return None

    def _out(self) -> Any:
        [stage] = self._repo.stage.load_all(str(self.root / TRACKED))
        return stage.outs[0]

    def _check_out(self, name: str = "the champion") -> None:
        """From the cache, else from a remote, whatever lies in its place."""
        from dvc.exceptions import CheckoutError, DvcException
        from dvc.lock import LockError

        target = str(self.root / TRACKED)
        try:
            self._repo.checkout([target], force=True)
            return
        except CheckoutError:
            pass
        try:
            self._repo.pull([target], force=True)
        except LockError:
            raise
        except DvcException as error:
            said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
            raise EnvironmentFault(
                f"{name} is not in DVC's cache, and no remote gave it: {said}.\n"
                f"Where it was made: {_dvc('push')} {TRACKED}; then here: {_dvc('pull')} {TRACKED}"
            ) from None

    @contextmanager
    def _unlocked(self) -> Iterator[None]:
        """Says in the project's words that another process holds DVC's lock."""
        from dvc.lock import LockError

        try:
            yield
        except LockError as error:
            raise busy("champion", error) from None


def as_told(tracked: Tracked) -> str:
    """What DVC's file says of a folder."""
    return (
        f"outs:\n- md5: {tracked.md5}\n  size: {tracked.size}\n  nfiles: {tracked.nfiles}\n"
        f"  hash: md5\n  path: {FOLDER.name}\n"
    )


def _dvc(command: str) -> str:
    return f"./.venv/bin/dvc {command}"


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def md5(path: Path) -> str:
    """As DVC names a file's content."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def git(root: Path, *arguments: str) -> str | None:
    """What git says; None where there is no git or it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def commit_of(root: Path) -> tuple[str | None, tuple[str, ...]]:
    """The checkout's commit, and tracked files that differ from it, but for the champion's own."""
    head = git(root, "rev-parse", "HEAD")
    listed = git(root, "diff", "--name-only", "-z", "--relative", "HEAD")
    changed = [] if listed is None else [name for name in listed.split("\0") if name]
    own = {TRACKED.as_posix(), LOG.as_posix()}
    return (None if head is None else head.strip()), tuple(
        name for name in changed if name not in own
    )


def commit(root: Path, message: str, number: int | None) -> list[str]:
    """Commit what a decision changed and what made the model; `number`: of a champion to be tagged.

    Nothing else is committed, whatever is staged. Returns what was done, a line each; raises
    EnvironmentFault where git refuses.
    """
    asked = [TRACKED.as_posix(), LOG.as_posix(), *MADE_BY, "data"]
    listed = _done(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", *asked)
    paths = [entry[3:] for entry in listed.split("\0") if entry and _belongs(entry[3:])]
    said = []
    if paths:
        _done(root, "add", "--", *paths)
        _done(root, "commit", "--quiet", f"--message={message}", "--", *paths)
        said.append(f"committed: {', '.join(sorted(paths))}")
    if number is not None:
        _done(root, "tag", named(number))
        said.append(f"tagged: {named(number)}")
    _, rest = commit_of(root)
    if rest:
        said.append(f"not committed, and so not in the tag: {', '.join(rest)}")
    return said


def _belongs(name: str) -> bool:
    path = Path(name)
    if path.parts[0] != "data":
        return True
    return path.suffix == ".dvc" or path.name == ".gitignore" or name in MADE_BY


def _done(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise EnvironmentFault(
            f"git {arguments[0]}: {said}\nThe decision stands, and is written to {LOG}; commit it "
            "by hand once git is at peace."
        )
    return done.stdout
