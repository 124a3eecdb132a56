"""What the user said to `fettle init`, and how to say it again."""

import shlex
from dataclasses import dataclass

from dataset.target import Task


@dataclass(frozen=True)
class Wishes:
    """Everything on init's command line; what is not given is None or empty."""

    path: str
    """A file, a folder, or the URL of a database, as it was typed."""
    target: tuple[str, ...]
    task: Task | None
    ignore: tuple[str, ...]
    group: str | None
    time: tuple[str, ...]
    part: str | None
    test: str | None
    validation: str | None
    """Files of these parts, as they were typed."""
    query: str | None
    weight: str | None
    missing: tuple[tuple[str, str], ...]
    """Columns, each with a value that means that nothing is known."""
    allow: tuple[str, ...]
    size: tuple[int, int] | None
    """Height and width of pictures."""
    minutes: float | None
    """That a run may take, about; None: what suits the data."""
    pretrained: tuple[str, ...]
    """Weights, models and data sets to transfer from, as they were typed."""
    teacher: str | None
    """A model to distil from, likewise."""
    unlabelled: str | None
    """Examples without targets, likewise."""
    yes: bool
    """Never ask; take the likeliest target, and what is safe of what is proposed."""

    def again(self, *more: str) -> str:
        """The same command with `more` words, as a shell takes it."""
        one = {
            "--task": self.task,
            "--group": self.group,
            "--part": self.part,
            "--test": self.test,
            "--validation": self.validation,
            "--query": self.query,
            "--teacher": self.teacher,
            "--unlabelled": self.unlabelled,
            "--weight": self.weight,
            "--minutes": None if self.minutes is None else f"{self.minutes:g}",
        }
        several = {
            "--target": self.target,
            "--ignore": self.ignore,
            "--time": self.time,
            "--missing": [f"{column}={value}" for column, value in self.missing],
            "--allow": self.allow,
            "--pretrained": self.pretrained,
        }
        words = ["./fettle", "init", _without_password(self.path)]
        for flag, values in several.items():
            words += [word for value in values for word in (flag, value)]
        for flag, value in one.items():
            words += [] if value is None else [flag, str(value)]
        words += [] if self.size is None else ["--size", *map(str, self.size)]
        words += ["--yes"] if self.yes else []
        return " ".join([*map(shlex.quote, words), *map(shlex.quote, more)])


def _without_password(path: str) -> str:
    """A database's URL as it may be shown; other paths as they are."""
    if "://" not in path:
        return path
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(path).render_as_string(hide_password=True)
    except ArgumentError:
        return path
