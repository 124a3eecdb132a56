"""Folders that cannot be written, and single files that cannot be read or written.

For root the modes of files do not hold, so that folders are mounted read-only, files are made
immutable, and what is about reading runs as another user.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.injection import Fault, Skipped, Told, Toy, mounted

FOLDERS = ("artifacts", ".fettle", ".fettle/pieces", ".dvc", ".dvc/cache", ".dvc/tmp", ".")
UNWRITABLE = ("dvc.lock", "artifacts/split/text/text.txt", ".dvc/tmp/rwlock")
UNREADABLE = (
    "params.yaml",
    "dvc.yaml",
    "dvc.lock",
    "tasks/split.py",
    "artifacts/split/text/text.txt",
    ".dvc/config",
    "requirements.lock",
)
NOBODY = 65534
CODES = frozenset({0, 3, 4})


def faults(chance: random.Random) -> Iterator[Fault]:
    """Folders, then files to be written, then files to be read."""
    for folder in FOLDERS:
        yield Fault("a read-only folder", folder, read_only(folder), CODES, "read-only")
    for path in UNWRITABLE:
        yield Fault(
            "a file that cannot be written", path, immutable(path), CODES, "Permission", done=True
        )
    for path in UNREADABLE:
        yield Fault("a file that cannot be read", path, unreadable(path), CODES, path, done=True)


def read_only(folder: str) -> Any:
    """A run whose folder cannot be written."""

    def inject(toy: Toy) -> Told:
        path = str(toy.root / folder)
        os.makedirs(path, exist_ok=True)
        with mounted("--bind", path, path):
            subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
            return toy.told()

    return inject


def immutable(path: str) -> Any:
    """A run that has to write a file that even root cannot."""

    def inject(toy: Toy) -> Told:
        whole = toy.root / path
        if subprocess.run(["chattr", "+i", whole], check=False, capture_output=True).returncode:
            raise Skipped("this file system knows no immutable files, or they need root")
        toy.replace("params.yaml", "word: halves", "word: thirds")
        try:
            return toy.told()
        finally:
            subprocess.run(["chattr", "-i", whole], check=True)
            toy.replace("params.yaml", "word: thirds", "word: halves")

    return inject


def unreadable(path: str) -> Any:
    """A run by a user who may not read one file of the project, though all else is theirs."""

    def inject(toy: Toy) -> Told:
        if os.geteuid() or not shutil.which("setpriv"):
            raise Skipped("running as another user needs root and setpriv")
        (toy.root / path).chmod(0o600)
        give(toy.root, NOBODY, but=toy.root / path)
        home = f"HOME={toy.root}"
        own = f"XDG_CACHE_HOME={toy.root}/.cache"
        user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        other = Toy(toy.root, toy.api_url, prefix=("setpriv", *user, "env", home, own))
        try:
            return other.told()
        finally:
            give(toy.root, 0)
            (toy.root / path).chmod(0o644)

    return inject


def give(root: Path, user: int, but: Path | None = None) -> None:
    """Make everything the user's, but for one file, which stays root's."""
    for path in [root, *root.rglob("*")]:
        if path != but and not path.is_symlink():
            os.chown(path, user, user)
