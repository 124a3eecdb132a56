"""Pieces for the tests of runners, and a small project in which they run."""

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.runners.freight import Freight
from pipeline.runners.host import SHARED
from pipeline.runners.pool import Hearing, Line, Work

# Not from conftest: pieces would import pytest with it.
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Item:
    place: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What a piece found where it ran."""

    place: int
    pid: int
    folder: str
    text: str
    code: str
    environment: dict[str, str]


def look(item: Item) -> Seen:
    """Piece: read an input, say something, leave a file, and tell where that was."""
    logging.getLogger("fettle.progress").info("piece %d: epoch 2 of 6", item.place)
    logging.getLogger("fettle").info("for the run alone")
    Path(f"artifacts/search/started-{item.place}-{os.getpid()}").touch()
    time.sleep(item.seconds)
    text = Path("artifacts/split/data.txt").read_text()
    Path(f"artifacts/search/left-{item.place}.txt").write_text(f"{text} {item.place}")
    environment = {name: value for name, value in os.environ.items() if name.startswith(SHARED)}
    return Seen(item.place, os.getpid(), os.getcwd(), text, __file__, environment)


class Wrong(Exception):
    """Cannot be made again from its arguments, as some libraries' exceptions cannot."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def fail(item: Item) -> Seen:
    """Piece: raises."""
    raise Wrong("this", "that") if item.place else KeyError("gone")


def die(item: Item) -> Seen:
    """Piece: its process ends, as when memory runs out."""
    os.kill(os.getpid(), 9)
    raise AssertionError


def die_once(item: Item) -> Seen:
    """Piece: the same, but that it goes well the second time."""
    mark = Path(f"artifacts/search/died-{item.place}")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return look(item)


class Told(Hearing):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.began_: list[int] = []
        self.lines: list[tuple[int, str, str]] = []
        self.done: list[int] = []

    def began(self, place: int) -> None:
        self.began_.append(place)

    def said(self, place: int, line: Line) -> None:
        self.lines.append((place, line[0], line[2]))

    def ended(self, place: int, seconds: float) -> None:
        self.done.append(place)


def project(root: Path) -> Freight:
    """A folder with the code that pieces need, one input, and a stage's own folder."""
    (root / "pipeline").symlink_to(ROOT / "pipeline")
    (root / "tests").symlink_to(ROOT / "tests")
    (root / "requirements.lock").symlink_to(ROOT / "requirements.lock")
    (root / "artifacts" / "split").mkdir(parents=True)
    (root / "artifacts" / "search").mkdir()
    (root / "artifacts" / "split" / "data.txt").write_text("an input")
    # These functions too, which no stage of a project would need.
    own = ["tests/__init__.py", "tests/pipeline/__init__.py", "tests/pipeline/spread.py"]
    return Freight(root, [Path("artifacts/split"), *map(Path, own)], "artifacts/search", {})


def hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def work(freight: Freight, function: object = look, count: int = 3, seconds: float = 0.0) -> Work:
    items = [Item(place, seconds) for place in range(count)]
    names = [f"piece {item.place}" for item in items]
    return Work("search", function, items, names, freight)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Use:
    """Which GPUs a piece saw, and from when to when."""

    gpus: str | None
    begun: float
    ended: float

    def overlaps(self, other: "Use") -> bool:
        return self.begun < other.ended and other.begun < self.ended


def use_gpus(item: Item) -> Use:
    """Piece: takes a moment on the GPUs that it sees."""
    begun = time.time()
    time.sleep(item.seconds)
    return Use(os.environ.get("CUDA_VISIBLE_DEVICES"), begun, time.time())
