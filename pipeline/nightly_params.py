"""The part of section `run` that says when the pipeline runs by itself, and what a night does."""

import re
from itertools import islice
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from pipeline import cron
from pipeline.params import Section

KINDS = ("cron", "interval", "rrule")
LONGEST_MINUTES = 527_040
"""Of an interval: a leap year."""
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
"""Of an rrule."""
SHORTEST_SECONDS = 60
"""Between two runs of an rrule."""


class ScheduleParams(Section):
    """When: exactly one of cron, interval and rrule, in a time zone."""

    cron: str | None = None
    """Five fields: minute, hour, day of the month, month, day of the week."""
    interval: int | None = Field(None, ge=1, le=LONGEST_MINUTES)
    """Minutes, counted from the first of January 2020 in the time zone."""
    rrule: str | None = None
    """A recurrence rule (RFC 5545) that does not end."""
    timezone: str
    """As IANA names it."""

    @model_validator(mode="before")
    @classmethod
    def _a_mapping(cls, given: object) -> object:
        if isinstance(given, str):
            raise ValueError('give a mapping such as {cron: "0 3 * * *", timezone: UTC}')
        return given

    @model_validator(mode="after")
    def _one_that_goes_on(self) -> Self:
        given = [name for name in KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"takes exactly one of {', '.join(KINDS)}, got {' and '.join(given) or 'none'}"
            )
        _check_timezone(self.timezone)
        if self.cron is not None:
            cron.check(self.cron)
        if self.rrule is not None:
            _check_rule(self.rrule)
        return self

    def __str__(self) -> str:
        """In words, for a terminal."""
        if self.interval is not None:
            return f"every {self.interval} minutes"
        return f"{self.cron or self.rrule} ({self.timezone})"


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"timezone: {name[:80]!r} is none; give a name such as UTC or Europe/Berlin"
        ) from None


def _check_rule(text: str) -> None:
    # Only where there is one: every command reads params.yaml.
    from dateutil import rrule  # type: ignore[import-untyped]

    frequency = re.search(r"\bFREQ\s*=\s*(\w+)", text, re.IGNORECASE)
    if frequency is None or frequency[1].upper() not in FREQUENCIES:
        raise ValueError(f"rrule needs a FREQ of {', '.join(FREQUENCIES)}; else take an interval")
    if re.search(r"\b(COUNT|UNTIL)\s*=", text, re.IGNORECASE):
        raise ValueError("rrule ends, by COUNT or UNTIL; a schedule has to go on")
    try:
        rule = rrule.rrulestr(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"rrule cannot be read ({error}); such as FREQ=DAILY;BYHOUR=3") from None
    if not isinstance(rule, rrule.rrule):
        raise ValueError("rrule must be one rule, without exceptions and single dates")
    times = list(islice(rule, 2))
    if len(times) < 2:
        raise ValueError("rrule names a day that never comes")
    if (times[1] - times[0]).total_seconds() < SHORTEST_SECONDS:
        raise ValueError("rrule comes more often than once a minute")


def _below_data(text: str) -> str:
    path = PurePosixPath(text)
    if len(path.parts) < 2 or path.parts[0] != "data" or ".." in path.parts:
        raise ValueError("must lie below data/")
    return text


def _dvc_file(text: str) -> str:
    if not text.endswith(".dvc"):
        raise ValueError("must be a .dvc file")
    return _below_data(text)


DvcFile = Annotated[str, AfterValidator(_dvc_file)]
Place = Annotated[str, AfterValidator(_below_data)]


class FetchParams(Section):
    """Where new data come from, before a night looks at what has to run."""

    update: tuple[DvcFile, ...]
    """Imports, each of which is brought to what its source holds now."""
    pull: tuple[DvcFile, ...]
    """Data that are pulled from DVC's remote where they are not what their .dvc file says."""
    copy_from: dict[Place, str]
    """A file or folder below data/, and where it is copied from where that changed."""


def _branch_template(text: str) -> str:
    if not is_branch(branch_name(text, "2026-11-27", "0300")):
        raise ValueError("is no branch's name, in which {date} and {time} may stand")
    return text


def branch_name(template: str, date: str, time: str) -> str:
    """The branch of a night, `date` as 2026-11-27 and `time` as 0300."""
    return template.replace("{date}", date).replace("{time}", time)


def is_branch(name: str) -> bool:
    """Whether git takes it as a branch's name (git-check-ref-format), kept to plain letters."""
    parts = name.split("/")
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", name) is not None
    ends = any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
    return plain and not ends and ".." not in name


class NightlyParams(Section):
    """What a night does, and when it does nothing."""

    fetch: FetchParams
    overlap: Literal["skip", "wait"]
    """Of a night that begins while another run is at work in this checkout."""
    missed: Literal["skip", "run_once"]
    """Of nights whose time passed while the machine or the server was off; run_once: the last."""
    late: int = Field(ge=1, le=1440)
    """Minutes after its time from which a night counts as missed."""
    commit: bool
    """Whether a night's result is committed, on a branch of its own."""
    branch: Annotated[str, AfterValidator(_branch_template)]
    """That branch's name; {date} and {time} are those at which the night began, UTC."""
    push: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None
    """The git remote that the branch is pushed to; null: none."""


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLOCK = re.compile(r"[a-z0-9-]+/[A-Za-z0-9_-]+")


def is_variable(notify: str) -> bool:
    """Whether `run.notify` names an environment variable, rather than a block."""
    return _VARIABLE.fullmatch(notify) is not None


def require_no_address(notify: str | None) -> None:
    """Raise ValueError, which does not repeat it, where `run.notify` is no name."""
    if notify is not None and not is_variable(notify) and not _BLOCK.fullmatch(notify):
        raise ValueError(
            "notify takes a name, since an address may hold a secret: of the environment variable "
            "that has it, or of a Prefect block as TYPE/NAME, such as slack-webhook/team"
        )
