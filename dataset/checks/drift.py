"""How validation and holdout differ from the training rows: column by column, and as a whole.

Thresholds are on how large a difference is, since among many rows any is significant; and it has
to be beyond chance as well, since among few rows any is large. Where rows come in groups, chance is
a matter of the number of groups.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dataset import folds
from dataset.checks import quick_models
from dataset.checks.findings import Finding
from dataset.examples import Column, Examples, Schema

if TYPE_CHECKING:
    from dataset.checks.parts import Part

SAMPLE = 10_000
"""Rows of a part looked at at the most."""
DISTANCE = 0.1
"""Kolmogorov and Smirnov's statistic, the largest distance between two cumulative distributions,
from which a number has drifted; a shift by a quarter of a standard deviation."""
STABLE = 0.1
"""Population stability index from which categories have drifted; below it, by the usual reading,
nothing has changed (Siddiqi, "Credit risk scorecards", 2006)."""
CHANCE = 0.001
"""Probability, over all columns together, of a difference as large by chance."""
UNSEEN = 0.05
"""Share of rows with a category that training never met, from which it is said."""
TOLD = 0.6
"""Area under the curve above which a classifier tells two parts apart, at the interval's lower
end; 0.5 is guessing."""
BINS = 20
"""Categories told apart in the index; the rarer ones are one."""
_Z = 1.959963984540054
_FOLDS = 4

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class _Side:
    """Rows of one part."""

    name: str
    examples: Examples
    units: npt.NDArray[np.uint64]
    """`(n,)` equal within a group, or for copies and near copies."""

    @property
    def count(self) -> int:
        """How many independent units there are."""
        return len(np.unique(self.units))


def look(
    train: "Part", validation: "Part", holdout: "Part", schema: Schema, *, expected: bool
) -> list[Finding]:
    """Findings by column, on the targets, and on the whole. `expected`: parts of other times."""
    known = _side("train", train)
    others = [_side("validation", validation), _side("holdout", holdout)]
    found: list[Finding] = []
    for column in schema.columns:
        if column.type != "text":
            found += _drift(known, others, column, len(schema.columns), expected)
        if column.type == "categorical":
            found += _unseen(train.examples, others, column)
    found += _targets(known, others, schema, expected)
    for other in others if schema.names() else []:
        found += _two_samples(known, other, schema, expected)
    return found


def _side(name: str, part: "Part") -> _Side:
    units = part.units[part.shown]
    if len(part.examples) <= SAMPLE:
        return _Side(name, part.examples, units)
    chosen = np.random.default_rng(0).choice(len(part.examples), SAMPLE, replace=False)
    places = np.sort(chosen).astype(np.int64)
    return _Side(name, part.examples.take(places), units[places])


def _drift(
    train: _Side, others: list[_Side], column: Column, tests: int, expected: bool
) -> Iterator[Finding]:
    told = []
    for other in others:
        values = (train.examples.features[column.name], other.examples.features[column.name])
        told += _difference(values, (train.count, other.count), tests, other.name)
    if told:
        yield Finding(
            f"drift:{column.name}",
            "warning",
            f"{column.name!r} is distributed otherwise than in train: {'; '.join(told)}",
            _advice(expected),
        )


def _difference(
    values: tuple[Array, Array], counts: tuple[int, int], tests: int, part: str
) -> list[str]:
    """A difference in words, or nothing where it is small or could be chance."""
    if values[0].dtype.kind == "f":
        left, right = (numbers.astype(np.float64) for numbers in values)
        distance = kolmogorov_smirnov(left, right)
        if distance < max(DISTANCE, _chance_distance(counts, tests)):
            return []
        middles = [
            f"{np.nanmedian(side):.4g}" if np.isfinite(side).any() else "missing"
            for side in (left, right)
        ]
        return [
            f"in {part} a Kolmogorov-Smirnov distance of {distance:.2f}, "
            f"median {middles[1]} instead of {middles[0]}"
        ]
    index, bins = stability_index(*(side.astype(str) for side in values))
    if index < max(STABLE, _chance_index(counts, bins, tests)):
        return []
    return [f"in {part} a population stability index of {index:.2f}"]


def kolmogorov_smirnov(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """The largest distance between two cumulative distributions; missing counts as the least."""
    left, right = (
        np.sort(np.where(np.isnan(side), -np.inf, side).astype(np.float64)) for side in (one, other)
    )
    every = np.concatenate([left, right])
    below = [np.searchsorted(side, every, side="right") / len(side) for side in (left, right)]
    return float(np.abs(below[0] - below[1]).max())


def stability_index(one: npt.NDArray[np.str_], other: npt.NDArray[np.str_]) -> tuple[float, int]:
    """The population stability index of categories, and among how many bins.

    The sum of (q - p) log(q / p) over the bins, with half a row added to each, so that a category
    which one side lacks does not make it infinite.
    """
    names, counts = np.unique(one, return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][:BINS]
    shares = []
    for side in (one, other):
        held = np.array([(side == name).sum() for name in common.tolist()])
        held = np.append(held, len(side) - held.sum()) + 0.5
        shares.append(held / held.sum())
    index = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    return index, len(shares[0])


def _chance_distance(counts: tuple[int, int], tests: int) -> float:
    """What Kolmogorov-Smirnov's distance reaches by chance (Smirnov's limit)."""
    level = CHANCE / max(tests, 1)
    return math.sqrt(-math.log(level / 2) / 2 * (1 / counts[0] + 1 / counts[1]))


def _chance_index(counts: tuple[int, int], bins: int, tests: int) -> float:
    """What the stability index reaches by chance.

    It is about chi-squared with `bins - 1` degrees of freedom, times the sum of the inverse sizes
    (Yurdakul, "Statistical properties of population stability index", 2018); its quantile by
    Wilson and Hilferty, "The distribution of chi-square", PNAS 1931.
    """
    freedom = bins - 1
    normal = NormalDist().inv_cdf(1 - CHANCE / max(tests, 1))
    part = 2 / (9 * freedom)
    limit = freedom * (1 - part + normal * math.sqrt(part)) ** 3
    return limit * (1 / counts[0] + 1 / counts[1])


def _unseen(train: Examples, others: list[_Side], column: Column) -> Iterator[Finding]:
    known = np.unique(train.features[column.name].astype(str))
    if len(known) > len(train) // 2:
        # An id: said when it was read.
        return
    told = []
    for other in others:
        values = other.examples.features[column.name].astype(str)
        new = ~np.isin(values, known) & (values != "")
        if new.mean() >= UNSEEN:
            told.append(
                f"{new.sum():,} of {len(new):,} rows of {other.name}, such as "
                f"{str(values[new][0])!r}"
            )
    if told:
        yield Finding(
            f"unseen:{column.name}",
            "warning",
            f"{column.name!r} has categories that training never met: {'; '.join(told)}",
            "They are all alike to a model. If it is an id, add it to ingest.ignore.",
        )


def _targets(
    train: _Side, others: list[_Side], schema: Schema, expected: bool
) -> Iterator[Finding]:
    for place, name in enumerate(schema.targets):
        told = []
        for other in others:
            sides = [side.examples.targets for side in (train, other)]
            if schema.task != "classification":
                sides = [targets[:, place] for targets in sides]
            if schema.task == "multilabel":
                sides = [np.where(values > 0, "1", "0") for values in sides]
            counts = (train.count, other.count)
            told += _difference((sides[0], sides[1]), counts, len(schema.targets), other.name)
        if told:
            yield Finding(
                f"target_drift:{name}",
                "warning",
                f"the target {name!r} is distributed otherwise than in train: {'; '.join(told)}",
                _advice(expected),
            )


def _two_samples(train: _Side, other: _Side, schema: Schema, expected: bool) -> Iterator[Finding]:
    """Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017."""
    if min(train.count, other.count) < 2 * _FOLDS:
        return
    both = _together(train.examples, other.examples)
    codes = np.repeat([0, 1], [len(train.examples), len(other.examples)])
    units = np.concatenate([train.units, other.units])
    fold = folds.deal(units, codes, _FOLDS, seed=0).fold
    chances = quick_models.probabilities(both, schema, codes, fold)[:, 1]
    area = _area(chances, codes)
    low, high = _interval(area, train.count, other.count)
    if low > TOLD:
        yield Finding(
            f"two_samples:{other.name}",
            "warning",
            f"a small model tells rows of {other.name} from rows of train, out of fold, with an "
            f"area under the curve of {area:.2f} ({low:.2f} to {high:.2f}; 0.5 is guessing)",
            _advice(expected),
        )


def _together(one: Examples, other: Examples) -> Examples:
    return Examples(
        {
            name: np.concatenate([values, other.features[name]])
            for name, values in one.features.items()
        },
        np.concatenate([one.targets, other.targets]),
        np.concatenate([one.rows, other.rows]),
    )


def _area(chances: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> float:
    """Area under the receiver operating characteristic, by ranks."""
    positive = int(codes.sum())
    pairs = positive * (len(codes) - positive)
    return float(
        (quick_models.mean_ranks(chances)[codes == 1].sum() - positive * (positive + 1) / 2) / pairs
    )


def _interval(area: float, negatives: int, positives: int) -> tuple[float, float]:
    """At 95 %, by Hanley and McNeil, "The meaning and use of the area under a ROC curve",
    Radiology 1982; the counts are of independent units."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (positives - 1) * (one - area**2) + (negatives - 1) * (two - area**2)
    ) / (negatives * positives)
    reach = _Z * math.sqrt(max(variance, 0.0))
    return max(area - reach, 0.0), min(area + reach, 1.0)


def _advice(expected: bool) -> str:
    if expected:
        return "Parts of other times may well differ; what is learned has to last beyond that."
    return "The test is about other data than the training. Is that meant?"
