"""The disk full, at every page that a run writes, and without a free inode at every file it makes.

The project lies in a file system in memory that is filled up to so many pages or inodes. All of
the machine's other folders have room, so that it is the project's own writes that fail.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tests.faults.injection import Fault, Missed, Told, Toy, mounted

PAGE_BYTES = 4096
NEEDED = {"pages": 72, "inodes": 138}
"""About as many as a run of the toy needs."""
NUMBER = 12
"""Of each."""
What = Literal["pages", "inodes"]


def faults(chance: random.Random) -> Iterator[Fault]:
    """Fillings spread over the run, one in each of as many equal stretches."""
    whats: tuple[What, ...] = ("pages", "inodes")
    for what in whats:
        stretch = NEEDED[what] / NUMBER
        for place in range(NUMBER):
            left = int(place * stretch + chance.uniform(0, stretch))
            yield Fault(
                f"no {what} left on the disk",
                f"after {left} {what}",
                filling(what, left),
                words="The disk is full",
            )


def filling(what: What, left: int) -> Any:
    """A run on a disk with so much room."""

    def inject(toy: Toy) -> Told:
        ballast = on_small_disk(toy, what, left)
        record = toy.root.parent / f"{toy.root.name}.events"
        struck = toy.striking(record=str(record))
        told = struck.told()
        if ballast.is_dir():
            shutil.rmtree(ballast)
        else:
            ballast.unlink()
        if told.code == 0 and "disk is full" not in told.output:
            raise Missed("it had room enough")
        return told

    return inject


def on_small_disk(toy: Toy, what: What, left: int) -> Path:
    """Move the project to a disk with so much room; gives what fills it up."""
    aside = toy.root.with_suffix(".aside")
    toy.root.rename(aside)
    toy.root.mkdir()
    toy.until_judged.enter_context(
        mounted("-t", "tmpfs", "-o", "size=64m,nr_inodes=8000", "tmpfs", str(toy.root))
    )
    shutil.copytree(aside, toy.root, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(aside)
    ballast = toy.root / ".ballast"
    if what == "pages":
        room = os.statvfs(toy.root)
        ballast.write_bytes(b"x" * (room.f_bavail * room.f_frsize - left * PAGE_BYTES))
        return ballast
    ballast.mkdir()
    for number in range(os.statvfs(toy.root).f_favail - left):
        (ballast / str(number)).touch()
    return ballast
