"""The report's section about distillation: the student, its teacher, itself without one, and in
8 bits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.readings import Reading
from models.candidate import Record
from models.judging.ledger import Row
from pipeline.axes import Axis, near
from pipeline.scatter import amount
from tasks.reporting import plots
from tasks.reporting.text import axis, count, figure, minus, tidy

STUDENT = "distill"
CONTROL, INT8 = "distill without its teacher", "distill in 8 bits"
"""What the ledger calls what the student is compared with."""
FLOAT = 4
"""Bytes of a number in a network."""


@dataclass(frozen=True)
class Compared:
    """What was distilled, and what it is compared with."""

    ledger: Sequence[Row]
    records: Mapping[str, Record]
    """By stage."""
    facts: Mapping[str, Any]
    """Of the network in 8 bits: enabled, reason, parameters, multiply_adds, bytes, float_bytes."""

    def row(self, name: str) -> Row | None:
        """A candidate's row, where it has figures."""
        return next(
            (row for row in self.ledger if row.candidate == name and row.score is not None), None
        )

    @property
    def teacher(self) -> str:
        """The stage that the student learned from, or a file."""
        return str(self.records[STUDENT].settings.get("teacher", ""))

    @property
    def int8(self) -> bool:
        """Whether there is a network in 8 bits."""
        return bool(self.facts.get("enabled"))


@dataclass(frozen=True)
class Cost:
    """What a network costs."""

    parameters: int
    multiply_adds: int
    size: int
    """Of its numbers, in bytes."""


def costs(compared: Compared) -> dict[str, Cost]:
    """By its name in the ledger what each network costs that is on, in the ledger's order."""
    found = {}
    for row in compared.ledger:
        if row.score is None:
            continue
        size = compared.facts["bytes"] if row.candidate == INT8 else None
        if row.parameters is not None and row.multiply_adds is not None:
            size = size or FLOAT * row.parameters
            found[row.candidate] = Cost(row.parameters, row.multiply_adds, size)
    return found


@dataclass(frozen=True)
class Difference:
    """How much better one is than another, at the least and at the most, whatever the objective's
    direction; and the same as the objective has it, in words."""

    value: float
    low: float
    high: float
    words: str


def taught(compared: Compared, reading: Reading) -> Difference | None:
    """What the teacher gave the student: itself less itself without the teacher."""
    row = compared.row(CONTROL)
    ends = _ends(row)
    # The ledger's difference is the control's to the student.
    return None if ends is None else _difference(-ends[0], -ends[2], -ends[1], reading)


def quantised(compared: Compared, reading: Reading) -> Difference | None:
    """What the network in 8 bits gains or loses against the student."""
    ends = _ends(compared.row(INT8))
    return None if ends is None else _difference(*ends, reading)


def _ends(row: Row | None) -> tuple[float, float, float] | None:
    if row is None or row.difference is None:
        return None
    if row.difference_low is None or row.difference_high is None:
        return None
    return row.difference, row.difference_low, row.difference_high


def _difference(value: float, low: float, high: float, reading: Reading) -> Difference:
    said, least, most = (minus(reading.difference(end)) for end in (value, low, high))
    words = f"{said}{reading.points} ({least} to {most})"
    if reading.sign < 0:
        value, low, high = -value, -high, -low
    return Difference(value, low, high, words)


def section(compared: Compared, reading: Reading, tolerance: float) -> dict[str, Any] | None:
    """What the template draws; None where distill is off. tolerance: of `evaluate`."""
    if not compared.records[STUDENT].enabled:
        return None
    every = costs(compared)
    names = {
        compared.teacher: "teacher",
        STUDENT: "student",
        CONTROL: "without its teacher",
        INT8: "in 8 bits",
    }
    shown = [name for name in names if name and (name in every or name == compared.teacher)]
    rows = {name: compared.row(name) for name in shown}
    scale = _scale([row for row in rows.values() if row], reading)
    return {
        "scale": plots.scale_labels(scale),
        "rows": [
            _line(name, names[name], rows[name], every.get(name), scale, reading) for name in shown
        ],
        "words": [
            *_teacher_words(compared, reading),
            *_int8_words(compared, reading, tolerance),
        ],
    }


def _line(
    name: str, what: str, row: Row | None, cost: Cost | None, scale: Axis, reading: Reading
) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "what": what,
        "name": name if what == "teacher" else "",
        "score": "",
        "plot": "",
        "counts": ["", "", ""],
        "student": name == STUDENT,
        "difference": "",
    }
    if cost is not None:
        counts = [count(cost.parameters), count(cost.multiply_adds)]
        drawn["counts"] = [*counts, amount(cost.size, "B")]
    if row is None or row.score is None or row.score_low is None or row.score_high is None:
        return drawn
    ends = (row.score, row.score_low, row.score_high)
    drawn["score"] = figure(reading, *ends)
    kind = "accent" if name == STUDENT else "plain"
    drawn["plot"] = plots.whiskers([(*ends, kind)], scale, f"{what}: {drawn['score']}")
    apart = _ends(row) if name in (CONTROL, INT8) else None
    if apart is not None:
        value, low, high = (minus(reading.difference(end)) for end in apart)
        drawn["difference"] = f"{value} ({low} to {high})"
    return drawn


def _scale(rows: Sequence[Row], reading: Reading) -> Axis:
    """Around the student's figure."""
    ends = [
        (row.score_low, row.score_high)
        for row in rows
        if row.score_low is not None and row.score_high is not None
    ]
    centre = next((row.score for row in rows if row.candidate == STUDENT), None)
    kept = near(ends, centre or 0.0, ends) if ends else [(0.0, 1.0)]
    return axis(reading, min(low for low, _ in kept), max(high for _, high in kept))


def _teacher_words(compared: Compared, reading: Reading) -> list[str]:
    """What the teacher gave, and what the student is worth beside the candidates before it."""
    words = []
    gain = taught(compared, reading)
    if gain is None:
        words.append(
            "No student was trained without a teacher, so what the teacher gave is not known."
        )
    else:
        verdict = (
            "a gain that is proven"
            if gain.low > 0
            else "a loss that is proven: the labels alone teach it better"
            if gain.high < 0
            else "which proves neither a gain nor a loss"
        )
        words.append(
            f"The teacher changed the student's {reading.title} by {gain.words}: {verdict}."
        )
    row = compared.row(STUDENT)
    if row is not None:
        words.append(f"The ledger says of it: {minus(row.reason)}")
    return words


def _int8_words(compared: Compared, reading: Reading, tolerance: float) -> list[str]:
    """What 8 bits save and cost."""
    if not compared.int8:
        reason = str(compared.facts.get("reason") or "")
        return [f"There is no network in 8 bits: {tidy(reason)}"] if reason else []
    lost, size = quantised(compared, reading), compared.facts
    words = [
        f"In 8 bits the network's file is {amount(size['bytes'], 'B')} rather than "
        f"{amount(size['float_bytes'], 'B')}."
    ]
    student = compared.row(STUDENT)
    if lost is not None and student is not None:
        allowed = reading.allowed(tolerance, student.score or 0.0)
        words.append(
            f"Against the saved network alone that changes the {reading.title} by {lost.words}: at "
            "the most "
            f"{reading.amount(max(0.0, -lost.low))}{reading.points} are lost, where "
            f"{reading.amount(allowed)} would be allowed."
        )
    return words
