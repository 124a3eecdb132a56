"""Folders that cannot be written, and single files that cannot be read or written.

For root the modes of files do not hold, so that folders are mounted read-only, files are made
immutable, and what is about reading runs without that right.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
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
    """A run that may not read one file of the project, as its mode says: root without the
    capabilities by which modes do not hold for it."""

    def inject(toy: Toy) -> Told:
        powers = "-dac_override,-dac_read_search"
        bound = ("setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}")
        if os.geteuid() or not shutil.which("setpriv"):
            raise Skipped("a run by a user of fewer rights needs root and setpriv")
        whole = toy.root / path
        whole.chmod(0)
        try:
            return replace(toy, prefix=bound).told()
        finally:
            whole.chmod(0o644)

    return inject
