"""What the parts of a split have in common and should not, and how they differ.

The first makes the test too good, the second says that it is about other data than the training:
drift is in `dataset.checks.drift`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset.checks.findings import Finding
from dataset.examples import Examples, Schema
from dataset.partition import Keys

SHARED = 0.01
"""Share of the holdout that may be in the training rows as well, before it is an error."""
REPEATED = 0.5
"""Where fewer of a table's training rows than this are distinct, rows are alike by nature: they
have few columns with few values, and a test row that was seen is no copy."""
SAMPLE = 10_000
"""Examples of a part that are looked at one by one, at the most."""
CHECKS = (
    "shared_rows",
    "near_copies",
    "groups_cross",
    "times_cross",
    "drift",
    "target_drift",
    "unseen",
    "two_samples",
)
"""What findings on parts are called before the colon."""


@dataclass(frozen=True)
class Part:
    """The n examples of one part, and what is known of them beside their features."""

    examples: Examples
    """All of them; of a part that is too large for memory, some that are spread evenly over it."""
    shown: npt.NDArray[np.int64]
    """Places of `examples` in the part."""
    rows: npt.NDArray[np.int64]
    """`(n,)` their places in the raw data."""
    keys: Keys
    """`(n,)` equal for equal features."""
    near: Keys | None
    """`(n,)` equal for near copies of pictures; None where they do not matter."""
    groups: Keys | None
    """`(n,)` equal within a group; None where none are known."""
    times: npt.NDArray[np.int64] | None
    """`(n,)` whole numbers in the order of time; None where it is not known."""

    @property
    def units(self) -> Keys:
        """`(n,)` equal for what is one thing: of a group, else near copies, else copies."""
        if self.groups is not None:
            return self.groups
        return self.keys if self.near is None else self.near


def look(
    train: Part, validation: Part, holdout: Part, schema: Schema, *, parted_by: Sequence[str]
) -> list[Finding]:
    """All findings on the parts, errors first; `parted_by`: columns of time by which they are."""
    from dataset.checks import drift

    parted_by_time = bool(parted_by)
    # Those differ by what the split is.
    rest = tuple(column for column in schema.columns if column.name not in parted_by)
    compared = schema.model_copy(update={"columns": rest})
    found = [
        *_shared(train, validation, holdout, schema),
        *_near(train, validation, holdout),
        *_groups(train, validation, holdout, parted_by_time),
        *([] if parted_by_time else _times(train, validation, holdout)),
        *drift.look(train, validation, holdout, compared, expected=parted_by_time),
    ]
    return sorted(found, key=lambda finding: finding.severity)


def _shared(train: Part, validation: Part, holdout: Part, schema: Schema) -> Iterator[Finding]:
    by_nature = schema.kind == "table" and len(np.unique(train.keys)) < REPEATED * len(train.keys)
    known = np.concatenate([train.keys, validation.keys])
    same = np.isin(holdout.keys, known)
    if same.any():
        bad = same.mean() > SHARED and not by_nature
        yield Finding(
            "shared_rows:holdout",
            "error" if bad else "warning",
            f"{_count(same)} rows of the holdout equal one of train or validation in every "
            f"feature, {_named(holdout, same)}"
            + (", but so do most training rows each other" if by_nature else ""),
            "The test is easier than it should be. Take the copies out, or let split.method "
            "stratified keep them together.",
        )
    same = np.isin(validation.keys, train.keys)
    if same.any():
        yield Finding(
            "shared_rows:validation",
            "warning",
            f"{_count(same)} rows of validation equal one of train in every feature",
            "Choices made on validation favour what was learned by heart.",
        )


def _near(train: Part, validation: Part, holdout: Part) -> Iterator[Finding]:
    if train.near is None or validation.near is None or holdout.near is None:
        return
    known = np.concatenate([train.keys, validation.keys])
    alike = np.isin(holdout.near, np.concatenate([train.near, validation.near]))
    alike &= ~np.isin(holdout.keys, known)
    if alike.any():
        yield Finding(
            "near_copies:holdout",
            "error" if alike.mean() > SHARED else "warning",
            f"{_count(alike)} pictures of the holdout are nearly the same as one of train or "
            f"validation, {_named(holdout, alike)}",
            "The test is easier than it should be. Take them out, or let split.method stratified "
            "keep near copies together.",
        )
    alike = np.isin(validation.near, train.near) & ~np.isin(validation.keys, train.keys)
    if alike.any():
        yield Finding(
            "near_copies:validation",
            "warning",
            f"{_count(alike)} pictures of validation are nearly the same as one of train",
            "Choices made on validation favour what was learned by heart.",
        )


def _groups(
    train: Part, validation: Part, holdout: Part, parted_by_time: bool
) -> Iterator[Finding]:
    if train.groups is None or validation.groups is None or holdout.groups is None:
        return
    crossing = np.isin(holdout.groups, np.concatenate([train.groups, validation.groups]))
    if crossing.any():
        # Over time the same patients come again; that may be what the model is for.
        bad = crossing.mean() > SHARED and not parted_by_time
        count = len(np.unique(holdout.groups[crossing]))
        yield Finding(
            "groups_cross:holdout",
            "error" if bad else "warning",
            f"{count:,} groups of the holdout, {_count(crossing)} of its rows, are in train or "
            "validation as well",
            "The test says nothing of new groups. If it should, let split.method stratified or "
            "random keep groups together.",
        )
    crossing = np.isin(validation.groups, train.groups)
    if crossing.any():
        count = len(np.unique(validation.groups[crossing]))
        yield Finding(
            "groups_cross:validation",
            "warning",
            f"{count:,} groups of validation, {_count(crossing)} of its rows, are in train as well",
            "Choices made on validation say nothing of new groups.",
        )


def _times(train: Part, validation: Part, holdout: Part) -> Iterator[Finding]:
    if train.times is None or validation.times is None or holdout.times is None:
        return
    newest = max(part.times.max() for part in (train, validation) if part.times is not None)
    older = holdout.times <= newest
    if older.any():
        yield Finding(
            "times_cross:holdout",
            "warning",
            f"{_count(older)} rows of the holdout are no later than the last row of train and "
            "validation",
            "The test says nothing of the future. If it should, use split.method time.",
        )


def _count(rows: npt.NDArray[np.bool_]) -> str:
    return f"{rows.sum():,} of {len(rows):,} ({100 * rows.mean():.1f} %)"


def _named(part: Part, rows: npt.NDArray[np.bool_]) -> str:
    places = part.rows[rows][:3] + 1
    return "such as row" + ("s " if len(places) > 1 else " ") + ", ".join(map(str, places.tolist()))
