"""How what a model is shown in use differs from what it was made on: inputs, answers, truth.

A difference has to be beyond chance and large. Chance: over all columns together, by Benjamini and
Hochberg, "Controlling the false discovery rate", J. R. Statist. Soc. B 1995, on p-values of
Kolmogorov and Smirnov's test for numbers and of Pearson's chi-squared test for all else. Size: the
population stability index, whose usual reading is that from 0.1 on something has changed, and from
0.2 or 0.25 on much (Siddiqi, "Credit risk scorecards", 2006).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.checks.drift import BINS, UNSEEN, kolmogorov_smirnov, stability_index
from dataset.checks.findings import Finding
from dataset.examples import Column, Examples, Schema

WARNED = 0.5
"""Share of the bound from which a difference beyond chance is worth a warning."""
QUANTILES = 10
"""Bins of numbers, each with as many training rows as another."""
EXPECTED = 5
"""Rows that a category must be expected to have in both tables, for the chi-squared test to hold;
the rarer ones are one category (Cochran, "Some methods for strengthening the common chi-squared
tests", Biometrics 1954)."""
FEWEST = 2
"""Rows of each side, without which there is nothing to compare."""
_ADVICE = "See where it comes from. If it is to stay, train again on data that have it."

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """How a column differs, in one respect."""

    name: str
    """Of the finding that it may become."""
    chance: float
    """The probability of a difference as large where nothing has changed."""
    index: float
    """The population stability index."""
    evidence: str


def look(train: Examples, logged: Examples, schema: Schema) -> Iterator[Difference]:
    """Differences of the inputs: spread, and share of missing cells, of every column.

    Times are compared in what is missing alone: what is logged comes later than what was trained
    on.
    """
    for column in schema.columns:
        sides = [_present(one.features[column.name], column) for one in (train, logged)]
        counts = (len(train), len(logged))
        yield from missing(column.name, sides[0], sides[1], counts)
        if column.type == "text":
            words = [np.array([len(str(text).split()) for text in side], float) for side in sides]
            yield from spread(f"drift:{column.name}", f"words in {column.name!r}", *words)
        elif column.type != "time":
            yield from spread(f"drift:{column.name}", repr(column.name), *sides)


def spread(name: str, told: str, before: Array, after: Array) -> Iterator[Difference]:
    """How values are spread: numbers as numbers, all else (and a few numbers) by how often they
    come; nothing where a side has next to none."""
    if min(len(before), len(after)) < FEWEST:
        return
    if before.dtype.kind == "f" and len(np.unique(before)) > BINS:
        index = quantile_index(before, after)
        yield Difference(
            name,
            ks_chance(before, after),
            index,
            f"{told} is spread otherwise than in training: population stability index "
            f"{index:.2f}, Kolmogorov-Smirnov distance {kolmogorov_smirnov(before, after):.2f}, "
            f"median {np.median(after):.4g} instead of {np.median(before):.4g}",
        )
        return
    words = [side.astype(str) for side in (before, after)]
    index, _ = stability_index(*words)
    most = _moved(*words)
    yield Difference(
        name,
        chi_squared_chance(*words),
        index,
        f"{told} is spread otherwise than in training: population stability index {index:.2f}, "
        f"most of all {most}",
    )


def missing(
    name: str, before: Array, after: Array, counts: tuple[int, int]
) -> Iterator[Difference]:
    """How many cells hold nothing: `before` and `after` are those that hold something, of so many
    rows."""
    if min(counts) < FEWEST:
        return
    sides = [
        np.repeat(["held", "missing"], [len(side), count - len(side)])
        for side, count in zip((before, after), counts, strict=True)
    ]
    shares = [1 - len(side) / count for side, count in zip((before, after), counts, strict=True)]
    index, _ = stability_index(*sides)
    yield Difference(
        f"missing:{name}",
        chi_squared_chance(*sides),
        index,
        f"{name!r} is missing in {100 * shares[1]:.1f} % of the rows instead of "
        f"{100 * shares[0]:.1f} %",
    )


def judged(differences: Sequence[Difference], psi: float, level: float) -> list[Finding]:
    """Findings on those that are beyond chance and large: errors from the index `psi` on."""
    beyond = benjamini_hochberg(np.array([one.chance for one in differences]), level)
    found = [
        Finding(one.name, "error" if one.index >= psi else "warning", one.evidence, _ADVICE)
        for one, is_beyond in zip(differences, beyond.tolist(), strict=True)
        if is_beyond and one.index >= WARNED * psi
    ]
    return sorted(found, key=lambda finding: finding.severity)


def unseen(train: Examples, logged: Examples, schema: Schema) -> Iterator[Finding]:
    """Categories that training never met, in more rows than the rare ones there let expect.

    What to expect is the share of training rows whose category no other row has (Good, "The
    population frequencies of species", Biometrika 1953).
    """
    for column in schema.columns:
        if column.type != "categorical":
            continue
        before, after = (_present(one.features[column.name], column) for one in (train, logged))
        if min(len(before), len(after)) < FEWEST:
            continue
        known, counts = np.unique(before.astype(str), return_counts=True)
        new = ~np.isin(after.astype(str), known)
        expected = float((counts == 1).sum() / len(before))
        if new.mean() - expected >= UNSEEN and new.sum() >= FEWEST:
            yield Finding(
                f"unseen:{column.name}",
                "error",
                f"{column.name!r} has categories that training never met, in {new.sum():,} of "
                f"{len(new):,} rows, such as {str(after[new][0])!r}",
                "They are all alike to a model. Train again on data that have them.",
            )


def quantile_index(before: Array, after: Array) -> float:
    """The population stability index of numbers, in bins that hold as many training values each.

    A value that is a bound, since many rows have it, is a bin of its own.
    """
    bounds = np.unique(np.quantile(before, np.linspace(0, 1, QUANTILES + 1)[1:-1]))
    sides = [
        np.searchsorted(bounds, side, side="left") + np.searchsorted(bounds, side, side="right")
        for side in (before, after)
    ]
    shares = []
    for side in sides:
        held = np.bincount(side, minlength=2 * len(bounds) + 1).astype(float)
        shares.append(held)
    # A bin that neither has would only add to the smoothing.
    there = (shares[0] + shares[1]) > 0
    before_share, after_share = ((held[there] + 0.5) / (held[there] + 0.5).sum() for held in shares)
    return float(((after_share - before_share) * np.log(after_share / before_share)).sum())


def ks_chance(before: Array, after: Array) -> float:
    """p-value of the two-sample test by Smirnov's limit: too large rather than too small for few
    rows, and where values come more than once."""
    from scipy.special import kolmogorov  # type: ignore[import-untyped]

    n, m = len(before), len(after)
    distance = kolmogorov_smirnov(before.astype(np.float64), after.astype(np.float64))
    return float(kolmogorov(np.sqrt(n * m / (n + m)) * distance))


def chi_squared_chance(before: npt.NDArray[np.str_], after: npt.NDArray[np.str_]) -> float:
    """p-value of Pearson's test that both come from one distribution; 1 where there is but one
    category that is not too rare."""
    from scipy.special import chdtrc

    table = _counts(before, after)
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    rare = (expected < EXPECTED).any(axis=0)
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
        if (expected[:, -1] < EXPECTED).any():
            table, expected = table[:, :-1], expected[:, :-1]
    if table.shape[1] < 2:
        return 1.0
    statistic = ((table - expected) ** 2 / expected).sum()
    return float(chdtrc(table.shape[1] - 1, statistic))


def benjamini_hochberg(chances: npt.NDArray[np.float64], level: float) -> npt.NDArray[np.bool_]:
    """Which of n p-values are beyond chance, where a share `level` of them may be there by chance.

    Step up: all up to the largest rank i whose p-value is at most level * i / n.
    """
    count = len(chances)
    order = np.argsort(chances, kind="stable")
    within = np.flatnonzero(chances[order] <= level * np.arange(1, count + 1) / count)
    beyond = np.zeros(count, dtype=np.bool_)
    if len(within):
        beyond[order[: within[-1] + 1]] = True
    return beyond


def _counts(before: npt.NDArray[np.str_], after: npt.NDArray[np.str_]) -> Array:
    """`(2, k)`: how often each value comes on each side."""
    names, places = np.unique(np.concatenate([before, after]), return_inverse=True)
    return np.stack(
        [
            np.bincount(side, minlength=len(names))
            for side in (places[: len(before)], places[len(before) :])
        ]
    ).astype(np.float64)


def _moved(before: npt.NDArray[np.str_], after: npt.NDArray[np.str_]) -> str:
    names = np.unique(np.concatenate([before, after]))
    counts = _counts(before, after)
    shares = counts / counts.sum(axis=1, keepdims=True)
    place = int(np.abs(shares[1] - shares[0]).argmax())
    return (
        f"{str(names[place])!r} with {100 * shares[1, place]:.1f} % instead of "
        f"{100 * shares[0, place]:.1f} %"
    )


def _present(values: Array, column: Column) -> Array:
    held: Array = values != ""
    if column.type in ("numeric", "time"):
        held = ~np.isnan(values.astype(np.float64))
    return values[held]
