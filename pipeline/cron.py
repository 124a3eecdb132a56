"""Cron expressions, read strictly: five fields, the part of cron that everyone means by it.

Prefect brings a parser that takes more, and a second to import; every command reads params.yaml.
What is accepted here is accepted there.
"""

from collections.abc import Callable
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class _Field:
    """One of the five: its name, its lowest and highest value, and what its values are called."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of the week", 0, 7, DAYS),
)


def check(expression: str) -> None:
    """Raise ValueError, in words, where `expression` is no cron expression of five fields, or names
    a day that no month has."""
    texts = expression.split()
    if len(texts) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise ValueError(f"cron has {len(FIELDS)} fields, {names}; {len(texts)} were given")
    _, _, days, months, weekdays = (
        _values(field, text) for field, text in zip(FIELDS, texts, strict=True)
    )
    every_weekday = len(weekdays - {7}) == len(DAYS)
    longest = max(MONTH_LENGTHS[month - 1] for month in months)
    if every_weekday and min(days) > longest:
        raise ValueError(f"cron: no such month has a day {min(days)}, so it would never run")


def _values(field: _Field, text: str) -> set[int]:
    """What a field stands for: a list of *, numbers and ranges, each perhaps with a step."""
    found: set[int] = set()
    for part in text.lower().split(","):
        whole, slash, step_text = part.partition("/")
        step = _number(field, step_text) if slash else 1
        if not 1 <= step <= field.high:
            raise _wrong(field, part, f"a step is from 1 to {field.high}")
        low, high = _ends(field, whole, part, open_ended=bool(slash))
        found |= set(range(low, high + 1, step))
    return found


def _ends(field: _Field, whole: str, part: str, *, open_ended: bool) -> tuple[int, int]:
    if whole == "*":
        return field.low, field.high
    first, dash, last = whole.partition("-")
    read: Callable[[str], int] = lambda text: _number(field, text)  # noqa: E731
    low = read(first)
    high = read(last) if dash else (field.high if open_ended else low)
    if not field.low <= low <= high <= field.high:
        raise _wrong(field, part, f"it goes from {field.low} to {field.high}")
    return low, high


def _number(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise _wrong(field, text, "it takes *, numbers, ranges, lists and steps")
    return int(text)


def _wrong(field: _Field, text: str, allowed: str) -> ValueError:
    return ValueError(f"cron: {text[:40]!r} is no {field.name}: {allowed}")
