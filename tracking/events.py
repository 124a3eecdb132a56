"""What a journal says, typed: lines of JSON to events.

A run has stages and a stage has fits. Every event names its stage, and every event of a fit its
fit, so that they can be told in any order, and twice.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

MOST = 1 << 17
"""Bytes of each file that are read at once."""
NOWHERE = "fits"
"""Stage of a fit that was begun outside of any."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    time: float
    """Seconds since 1970, UTC."""


class RunBegun(_Event):
    """The pipeline begins, or through DVC's door one stage."""

    event: Literal["run begun"]
    door: Literal["run", "stage"]
    """Through DVC's door the stage's own result comes into dvc.lock only after the end."""
    commit: str | None
    dirty: bool
    """Whether files that git tracks differ from the commit, dvc.lock aside."""
    lock: str | None
    """SHA-256 of dvc.lock; None: there is none."""
    params: dict[str, Any]
    """All sections of params.yaml but `run`."""


class RunEnded(_Event):
    """The end, whatever it was like."""

    event: Literal["run ended"]
    state: Literal["finished", "failed", "interrupted", "killed"]
    lock: str | None = None


class _OfStage(_Event):
    stage: Annotated[str, BeforeValidator(lambda stage: stage or NOWHERE)]


class StageBegun(_OfStage):
    """A stage has to run."""

    event: Literal["stage begun"]
    description: str
    params: dict[str, Any]
    declared: dict[str, int]


class StageEnded(_OfStage):
    """Its outputs are in place, or it failed."""

    event: Literal["stage ended"]
    found: str
    """ran, current, restored, fetched or failed."""
    description: str = ""
    params: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    counted: dict[str, int] = {}
    seconds: float | None = None
    reason: str = ""


class _OfFit(_OfStage):
    fit: str
    """No other fit of the run has it."""


class FitBegun(_OfFit):
    """A fit begins."""

    event: Literal["fit begun"]
    name: str
    settings: dict[str, Any]
    seed: int
    examples: int
    parameters: int


class EpochEnded(_OfFit):
    """An epoch has ended."""

    event: Literal["epoch"]
    epoch: int
    loss: float
    accuracy: float | None
    val_loss: float
    val_accuracy: float | None
    learning_rate: float

    def figures(self) -> dict[str, float]:
        """Those that there are, by name."""
        names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class FitEnded(_OfFit):
    """A fit has ended; the figures are those of the weights that are kept."""

    event: Literal["fit ended"]
    how: str
    """whole, stopped, diverged, out of time or failed."""
    val_loss: float | None = None
    val_accuracy: float | None = None

    def figures(self) -> dict[str, float]:
        """Those that there are, by name."""
        found = {"final_val_loss": self.val_loss, "final_val_accuracy": self.val_accuracy}
        return {name: value for name, value in found.items() if value is not None}


Event = RunBegun | RunEnded | StageBegun | StageEnded | FitBegun | EpochEnded | FitEnded
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def read(folder: Path, offsets: Mapping[str, int]) -> tuple[list[Event], dict[str, int]]:
    """Events behind the offsets, in bytes by file name, in the order of time, and the new offsets.

    A line that has no end yet is left for the next time, and one that says nothing known passed
    over. There may be more: nothing is left where no offset moved.
    """
    events: list[Event] = []
    moved = dict(offsets)
    for path in sorted(folder.glob("*.jsonl")):
        lines, moved[path.name] = _lines(path, offsets.get(path.name, 0))
        events.extend(_events(path.stem, lines))
    return sorted(events, key=lambda event: event.time), moved


def left(folder: Path, offsets: Mapping[str, int]) -> int:
    """How many lines lie behind the offsets."""
    return sum(
        path.read_bytes()[offsets.get(path.name, 0) :].count(b"\n")
        for path in folder.glob("*.jsonl")
    )


def _lines(path: Path, offset: int) -> tuple[list[bytes], int]:
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read(MOST)
        while len(content) >= MOST and b"\n" not in content and (more := file.read(MOST)):
            # A line that is longer, such as figures of a thousand classes.
            content += more
    whole = content.rfind(b"\n") + 1
    return content[:whole].splitlines(), offset + whole


def _events(process: str, lines: Iterable[bytes]) -> Iterator[Event]:
    for line in lines:
        try:
            told = json.loads(line)
            if "fit" in told:
                # Processes count their fits each for itself.
                told["fit"] = f"{process}:{told['fit']}"
            yield _EVENT.validate_python(told)
        except (ValueError, TypeError, ValidationError):
            continue


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by their path, joined with points; lists are values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{before}{name}"
        found |= flat(value, f"{path}.") if isinstance(value, dict) and value else {path: value}
    return found


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among nested values, by their path."""
    found = flat(values)
    return {name: float(value) for name, value in found.items() if type(value) in (int, float)}


def word(value: Any) -> str:
    """A setting as a tracker shows it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def file_name(text: str) -> str:
    """Words for people as the name of one file or folder."""
    return re.sub(r"[^\w.,=+-]+", "-", text).strip("-.")[:100] or "unnamed"


class Names:
    """A folder's name for every fit of a run: as it is called, numbered where that repeats."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[tuple[str, str]] = set()

    def of(self, event: FitBegun | EpochEnded | FitEnded) -> str:
        """The same for every event of one fit, and no other fit's of the stage."""
        if event.fit not in self._names:
            plain = file_name(event.name if isinstance(event, FitBegun) else event.fit)
            tries = (plain if place == 1 else f"{plain}-{place}" for place in range(1, 1 << 30))
            name = next(one for one in tries if (event.stage, one) not in self._taken)
            self._names[event.fit] = name
            self._taken.add((event.stage, name))
        return self._names[event.fit]
