"""Ways in which data lie, looked for before anything is trained.

Each check looks at the typed examples and gives findings: what, where, the evidence, how bad, and
what to do. An error stops the run until it is mended or waved through by its name in params.yaml;
a warning is shown. Thresholds are round numbers chosen to be quiet on clean data; each says why.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.examples import Column, Examples, Schema
from models.partition import content_keys
from pipeline.errors import InputError

SENTINELS = (-99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
"""Numbers that often stand for "not known"."""
ISOLATED = 5.0
"""A zero is suspect where the next value is so many usual steps between values away."""
MOSTLY = 0.6
"""Zeros in more of the cells than this are the usual value (amounts that are mostly nought)."""
PERFECT = 0.99
"""Balanced accuracy, out of fold, above which one column knows the target too well."""
SAMPLE = 10_000
"""Rows looked at by the check for leaks, which is a classifier for every column."""


@dataclass(frozen=True)
class Finding:
    """One thing found."""

    name: str
    """As params.yaml's `ingest.allow` takes it: the check, and the column if there is one."""
    severity: Literal["error", "warning"]
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}. {self.advice}"


def look(examples: Examples, schema: Schema) -> list[Finding]:
    """All findings, errors first, then in the order of the checks and columns."""
    found = [*_copies(examples)]
    for column in schema.columns:
        values = examples.features[column.name]
        if column.type == "numeric":
            found += [*_constant(column, values), *_hidden(column, values.astype(np.float64))]
        else:
            found += [
                *_constant(column, values),
                *_mixed(column, values),
                *_identifier(column, values),
            ]
    found += _leaks(examples, schema.columns)
    return sorted(found, key=lambda finding: finding.severity)


def require(findings: Sequence[Finding], allowed: Sequence[str], source: str) -> None:
    """Raise InputError where an error is not among the `allowed` names; `source` is for people."""
    stopping = [
        finding
        for finding in findings
        if finding.severity == "error" and finding.name not in allowed
    ]
    if stopping:
        told = "\n".join(f"  {finding}" for finding in stopping)
        names = ", ".join(f'"{finding.name}"' for finding in stopping)
        raise InputError(
            f"{source}: these data would teach a network the wrong thing.\n{told}\n"
            f"To go on all the same, put into params.yaml: ingest.allow: [{names}]"
        )


def _copies(examples: Examples) -> Iterator[Finding]:
    """Equal features with different labels: at least one of them is wrong, or a feature lacks."""
    labels: dict[int, set[str]] = {}
    keys = content_keys(examples).tolist()
    for key, label in zip(keys, examples.labels.tolist(), strict=True):
        labels.setdefault(key, set()).add(label)
    rows = sum(len(labels[key]) > 1 for key in keys)
    if rows:
        yield Finding(
            "contradictions",
            "warning",
            f"{rows:,} of {len(keys):,} rows equal another one but for the target",
            "Look at them: wrong labels, or a feature that would tell them apart is not there.",
        )


def _constant(column: Column, values: npt.NDArray[np.generic]) -> Iterator[Finding]:
    if len(_distinct(values)) == 1:
        yield Finding(
            f"constant:{column.name}",
            "warning",
            f"{column.name!r} has the same value wherever it is not missing",
            "It can teach nothing; add it to ingest.ignore.",
        )


def _hidden(column: Column, values: npt.NDArray[np.float64]) -> Iterator[Finding]:
    """Zeros or sentinels that stand far from all other values."""
    present = values[np.isfinite(values)]
    zeros = int((present == 0).sum())
    rest = np.unique(present[present != 0])
    if zeros and len(rest) > 10 and rest[0] > 0 and zeros <= MOSTLY * len(present):
        step = float(np.median(np.diff(rest)))
        if rest[0] >= ISOLATED * step:
            yield _as_hidden(column, 0.0, zeros, float(rest[0]), "is the least otherwise")
    distinct, counts = np.unique(present, return_counts=True)
    for sentinel in SENTINELS:
        others = distinct[~np.isin(distinct, SENTINELS)]
        count = int(counts[distinct == sentinel].sum())
        if count < 2 or len(others) < 2:
            continue
        width = others[-1] - others[0]
        if sentinel < others[0] - width or sentinel > others[-1] + width:
            nearest = others[0] if sentinel < others[0] else others[-1]
            yield _as_hidden(column, sentinel, count, float(nearest), "is the nearest otherwise")


def _as_hidden(column: Column, value: float, count: int, nearest: float, how: str) -> Finding:
    return Finding(
        f"hidden_missing:{column.name}",
        "warning",
        f"{column.name!r} is {value:g} in {count:,} rows, and {nearest:g} {how}",
        "Does it mean that the value is not known? Then leave those cells blank in the file.",
    )


def _mixed(column: Column, values: npt.NDArray[np.generic]) -> Iterator[Finding]:
    """A column of numbers that a few texts have made a column of categories."""
    present = [text for text in values.tolist() if text != ""]
    texts = [text for text in present if not _is_number(text)]
    if present and texts and len(texts) < len(present) / 2:
        commonest, count = Counter(texts).most_common(1)[0]
        yield Finding(
            f"mixed_types:{column.name}",
            "warning",
            f"{column.name!r} holds {len(present) - len(texts):,} numbers and {len(texts):,} "
            f"texts, {commonest!r} {count:,} times",
            "If the texts mean a missing value, add them to ingest.missing; it is read as text "
            "until then.",
        )


def _identifier(column: Column, values: npt.NDArray[np.generic]) -> Iterator[Finding]:
    distinct = len(_distinct(values))
    if distinct > max(50, len(values) // 2):
        yield Finding(
            f"identifier:{column.name}",
            "warning",
            f"{column.name!r} has {distinct:,} distinct texts in {len(values):,} rows",
            "An id or free text, perhaps; if so, add it to ingest.ignore.",
        )


def _leaks(examples: Examples, columns: Sequence[Column]) -> Iterator[Finding]:
    """Columns that alone tell the target, by a small decision tree, out of fold."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    counts = Counter(examples.labels.tolist())
    common = np.isin(examples.labels.astype(str), [name for name, n in counts.items() if n >= 10])
    places = np.flatnonzero(common)
    if len(places) > SAMPLE:
        places = np.sort(np.random.default_rng(0).choice(places, SAMPLE, replace=False))
    labels = examples.labels[places].astype(str)
    if min(Counter(labels.tolist()).values(), default=0) < 3 or len(set(labels.tolist())) < 2:
        return
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    for column in columns:
        values = _as_numbers(column, examples.features[column.name][places])
        tree = DecisionTreeClassifier(max_leaf_nodes=64, random_state=0)
        guessed = cross_val_predict(tree, values.reshape(-1, 1), labels, cv=folds)
        score = float(balanced_accuracy_score(labels, guessed))
        if score >= PERFECT:
            yield Finding(
                f"leak:{column.name}",
                "error",
                f"{column.name!r} alone tells the target with a balanced accuracy of "
                f"{100 * score:.1f} % (three folds, {len(places):,} rows)",
                "Is it known before the target is? If not, add it to ingest.ignore.",
            )


def _as_numbers(column: Column, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Numbers as they are, categories by their place in the alphabet; missing below them all."""
    if column.type == "numeric":
        numbers = values.astype(np.float64)
        lowest = np.nanmin(numbers) if np.isfinite(numbers).any() else 0.0
        return np.where(np.isnan(numbers), lowest - 1, numbers)
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)


def _distinct(values: npt.NDArray[np.generic]) -> set[object]:
    """The values but for missing ones."""
    missing = np.isnan(values.astype(np.float64)) if values.dtype.kind == "f" else values == ""
    return set(values[~missing].tolist())


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
