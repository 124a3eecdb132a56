"""What a tracker is, and which there are."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from tracking.events import Event, RunEnded

FOLDER = Path(".fettle")
"""Where local trackers write, below the project's folder."""


def lock_hash(root: Path) -> str | None:
    """SHA-256 of dvc.lock's bytes, in hexadecimal; None where there is none."""
    try:
        return hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    except OSError:
        return None


@dataclass(frozen=True)
class Place:
    """A run and where it happens."""

    root: Path
    """The project's folder."""
    run: str

    @property
    def journal(self) -> Path:
        """The folder of the run's journal."""
        return self.root / FOLDER / "tracking" / self.run

    def unmoved(self, ended: RunEnded) -> bool:
        """Whether what lies below artifacts/ is still what the run left there, by dvc.lock."""
        return ended.state == "finished" and lock_hash(self.root) == ended.lock


class Tracker(Protocol):
    """Takes events to where they are looked at. Opened anew after every failure."""

    resumes: ClassVar[bool]
    """Whether it goes on where the events handed on so far end, as a server does, rather than with
    the first event, as one that writes a run's files anew."""

    def take(self, events: Sequence[Event]) -> None:
        """Hand events on; those of one run may come in any order and again. May raise anything."""


def open_tracker(name: str, place: Place) -> Tracker:
    """The tracker of that name; raises whatever keeps it from its server or disk."""
    if name == "tensorboard":
        from tracking.tensorboard_files import TensorBoardFiles

        return TensorBoardFiles(place)
    if name == "mlflow":
        from tracking.mlflow_runs import MlflowRuns

        return MlflowRuns(place)
    from tracking.dvclive_files import DvcliveFiles

    return DvcliveFiles(place)
