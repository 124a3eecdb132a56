"""What was decided about champions, in the order of time: artifacts/champion.jsonl, in git."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from models.judging.champion import Figures
from pipeline.artifacts import replacing
from pipeline.errors import InputError

LOG = Path("artifacts/champion.jsonl")
BEGUN = Path(".fettle/champion.json")
"""A decision that is being carried out: written before the champion's folder changes, removed when
the decision is in the log."""
Outcome = Literal["first", "promoted", "kept", "refused", "appointed", "rolled back", "same"]
"""`refused`: there was no comparison; `same`: the champion met itself, which is not written
down."""


class Tracked(BaseModel):
    """A folder as DVC knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    md5: str
    size: int
    nfiles: int


class Decision(BaseModel):
    """One decision: a line of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str
    """UTC, to the second."""
    outcome: Outcome
    reason: str
    notes: tuple[str, ...]
    """How the two models differ in what they take and tell."""
    champion: int
    """Number of the one in use from now on."""
    before: int | None
    """Number of the one before, None where there was none."""
    candidate: str
    """The challenger's, or of the one that is put back."""
    commit: str | None
    changed: tuple[str, ...]
    """Tracked files that were not committed."""
    lock: str
    """The MD5 sum of dvc.lock."""
    objective: str
    rows: int | None
    """That were compared on."""
    left_out: int | None
    """Of the promotion part, since one of the models knew them."""
    champion_figure: Figures | None
    challenger_figure: Figures | None
    difference: Figures | None
    """Challenger - champion, in the objective's own unit."""
    tracked: Tracked | None
    """The folder of the one in use from now on, where it is another one than before."""

    @property
    def took_over(self) -> bool:
        """Whether the model in use is another one than before."""
        return self.tracked is not None

    def line(self) -> str:
        """For people, in one line."""
        words = {
            "first": f"{named(self.champion)} is the first",
            "promoted": f"{named(self.champion)} takes the place of {named(self.before or 0)}",
            "kept": f"{named(self.champion)} is kept",
            "refused": f"{named(self.champion)} is kept, there was no comparison",
            "appointed": f"{named(self.champion)} was appointed",
            "rolled back": f"{named(self.champion)} is put back",
            "same": f"{named(self.champion)} is the chosen model already",
        }
        return f"{words[self.outcome]}: {self.reason}"


class Begun(Decision):
    """A decision that is being carried out."""

    replaced: str | None = None
    """What DVC's file says of the folder that a rollback takes out of use."""

    def decision(self) -> Decision:
        """As it is written to the log."""
        return Decision(**self.model_dump(exclude={"replaced"}))


def named(number: int) -> str:
    """What a champion is called, in git as well."""
    return f"champion-{number:04d}"


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(root: Path) -> list[Decision]:
    """All decisions, the oldest first; raises InputError where a line is no decision."""
    path = root / LOG
    if not path.is_file():
        return []
    decisions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            decisions.append(Decision.model_validate_json(line))
        except ValidationError:
            raise InputError(
                f"{LOG}, line {number}: it is no decision.\n"
                f"Mend it, or take it from git: git checkout -- {LOG}"
            ) from None
    return decisions


def begin(root: Path, decision: Decision, replaced: str | None = None) -> None:
    """Write down that a decision is about to be carried out; `replaced`: see `Begun`."""
    begun = Begun(**decision.model_dump(), replaced=replaced)
    with replacing(root / BEGUN) as temporary:
        temporary.write_text(begun.model_dump_json(), encoding="utf-8")


def begun(root: Path) -> Begun | None:
    """The decision that a killed process left half carried out; None where there is none."""
    try:
        return Begun.model_validate_json((root / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def forget(root: Path) -> None:
    """Nothing is being carried out any more."""
    (root / BEGUN).unlink(missing_ok=True)


def append(root: Path, decision: Decision) -> None:
    """Write a decision behind the others, in one step."""
    path = root / LOG
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    with replacing(path) as temporary:
        temporary.write_text(before + decision.model_dump_json() + "\n", encoding="utf-8")
