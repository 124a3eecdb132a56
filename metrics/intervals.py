"""Intervals around figures: the bootstrap over examples, and over seeds where there are several.

All candidates are drawn with the same examples, so subtracting one candidate's draws from another's
is the paired bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13
and 15). Where examples come in groups, groups are drawn: one patient's rows tell little more than
one row does (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).

A candidate trained with several seeds stands for its recipe: its figure is the mean over the seeds,
and a resampling moves that as well. Three seeds are too few to be drawn from themselves: intervals
come out a third too narrow and worse. So the mean is moved by a draw from the t distribution of its
error, with one degree of freedom less than there are seeds (Student, "The probable error of a
mean", Biometrika 1908). Candidates with equally many seeds are moved alike, so theirs are pairs
too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from metrics.classification import Figure, Predictions, Truth
from metrics.weighted import Values, Weights, even

BLOCK = 1 << 22
"""Weights held in memory at once, 8 bytes each."""
_EXAMPLES, _SEEDS = 0, 1
"""Names of the two streams of random numbers."""


@dataclass(frozen=True)
class Interval:
    """An estimate and where the true value plausibly lies, in the figure's own unit."""

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> "Interval":
        """The same without what the figure cannot be."""
        return Interval(self.value, max(self.low, least), min(self.high, most))

    def rounded(self, digits: int = 6) -> dict[str, float]:
        """{"value", "low", "high"}, each rounded."""
        return {
            "value": round(self.value, digits),
            "low": round(self.low, digits),
            "high": round(self.high, digits),
        }


@dataclass(frozen=True)
class Sample:
    """A figure on the examples as they are, `(...)`, and on every resampling, `(r, ...)`."""

    value: Values
    draws: Values


@dataclass(frozen=True)
class Bootstrap:
    """How often to resample, how sure to be (0 to 1), and the seed of all draws."""

    replicates: int
    level: float
    seed: int
    units: npt.NDArray[np.int64] | None = field(default=None, compare=False)
    """`(n,)` from 0 on, equal for examples of one group; None: each is one of its own."""

    def among(self, units: npt.NDArray[Any] | None) -> "Bootstrap":
        """The same for examples of which those with equal `units`, `(n,)`, belong together."""
        if units is None or len(np.unique(units)) == len(units):
            return replace(self, units=None)
        return replace(self, units=np.unique(units, return_inverse=True)[1].reshape(-1))

    def sample(
        self,
        figures: Mapping[str, Figure],
        predictions: Predictions,
        truth: Truth,
        importance: npt.NDArray[np.floating] | None,
    ) -> dict[str, Sample]:
        """Each figure, on the examples and on all resamplings of them.

        predictions: `(seeds, n, k)`; truth: `(n, ...)`, as the figures take both. importance:
        `(n,)`, how much each example counts wherever it is drawn; None: all alike. Draws depend on
        n, the number of seeds and this object alone. Raises ValueError where the shapes disagree.
        Draws of a mean over seeds may lie beyond what the figure can be; see `share` and `within`.
        """
        if predictions.ndim != 3 or predictions.shape[1] != len(truth) or not len(truth):
            raise ValueError(
                "predictions must be (seeds, n, k) for a truth of n, at least one; "
                f"got {predictions.shape} for {len(truth)}"
            )
        n = len(truth)
        if self.units is not None and len(self.units) != n:
            raise ValueError(f"units are of {len(self.units)} examples, the truth is of {n}")
        every = _important(even(n), importance)
        whole = {
            name: np.mean(_per_seed(figure, predictions, truth, every), axis=0)[0]
            for name, figure in figures.items()
        }
        shares = self._seed_shares(len(predictions))
        parts: dict[str, list[Values]] = {name: [] for name in figures}
        for rows, counts in self._weights(n):
            weights = _important(counts, importance)
            for name, figure in figures.items():
                by_seed = _per_seed(figure, predictions, truth, weights)
                parts[name].append(_mean_over_seeds(by_seed, shares[:, rows]))
        return {name: Sample(whole[name], np.concatenate(parts[name])) for name in figures}

    def interval(self, value: float, draws: Values) -> Interval:
        """The percentile interval of draws `(r,)`; NaN without a draw that measured anything.

        It is widened to hold the value: draws of a figure that noise can only raise, as the
        calibration error, may all lie above it.
        """
        known = draws[~np.isnan(draws)]
        if not known.size:
            return Interval(float(value), float("nan"), float("nan"))
        tail = (1 - self.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return Interval(float(value), float(min(low, value)), float(max(high, value)))

    def share(self, value: float, draws: Values, trials: float) -> Interval:
        """The interval of a share among `trials` examples, such as accuracy or a recall; of
        examples that differ in importance `trials` is their `effective` number.

        Where all or none are right, every resampling says the same, and the percentile interval
        would claim certainty; then the open end is the exact one (Clopper and Pearson, 1934).
        """
        interval = self.interval(value, draws).within(0.0, 1.0)
        if self.units is not None:
            trials = min(trials, float(self.units.max() + 1))
        doubt = ((1 - self.level) / 2) ** (1 / trials)
        if value == 1.0:
            return Interval(1.0, min(interval.low, doubt), 1.0)
        if value == 0.0:
            return Interval(0.0, 0.0, max(interval.high, 1 - doubt))
        return interval

    def difference(self, candidate: Sample, reference: Sample) -> Interval:
        """The paired interval of candidate - reference, both sampled by this object on the same
        examples."""
        return self.interval(
            float(candidate.value - reference.value), candidate.draws - reference.draws
        )

    def _weights(self, n: int) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
        """How often each resampling holds each of n examples, in blocks of resamplings."""
        generator = np.random.default_rng([self.seed, _EXAMPLES])
        step = max(1, BLOCK // n)
        units = n if self.units is None else int(self.units.max()) + 1
        for start in range(0, self.replicates, step):
            size = min(step, self.replicates - start)
            drawn = generator.integers(0, units, size=(size, units))
            drawn += units * np.arange(size)[:, np.newaxis]
            counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
            yield (
                slice(start, start + size),
                counts if self.units is None else counts[:, self.units],
            )

    def _seed_shares(self, number: int) -> Values:
        """`(number, r)`: the share of each seed in each resampling, together 1.

        A share may be negative. Of figures with the standard deviation s over the seeds, their
        mean weighed by these shares is the plain one plus t s / sqrt(number).
        """
        if number == 1:
            return np.ones((1, self.replicates))
        freedom = number - 1
        generator = np.random.default_rng([self.seed, _SEEDS, number])
        moves = generator.standard_normal((self.replicates, number))
        moves -= moves.mean(axis=1, keepdims=True)
        heavier = np.sqrt(freedom / generator.chisquare(freedom, size=(self.replicates, 1)))
        shares: Values = 1 / number + moves * heavier / np.sqrt(number * freedom)
        return shares.T


def effective(n: int, importance: npt.NDArray[np.floating] | None) -> float:
    """How many examples of equal importance tell as much as these n: the sum of importances,
    squared, over the sum of their squares (Kish, "Survey Sampling", 1965)."""
    if importance is None:
        return float(n)
    exact = importance.astype(np.float64)
    squares = float((exact**2).sum())
    return float(exact.sum()) ** 2 / squares if squares else 0.0


def _important(
    counts: npt.NDArray[np.int64], importance: npt.NDArray[np.floating] | None
) -> Weights:
    """Weights `(r, n)` of how often each example is drawn, times how much it counts."""
    return counts if importance is None else counts * importance.astype(np.float64)


def _per_seed(figure: Figure, predictions: Predictions, truth: Truth, weights: Weights) -> Values:
    """The figure of each seed: `(seeds, r, ...)`."""
    return np.stack([figure(one, truth, weights) for one in predictions])


def _mean_over_seeds(by_seed: Values, shares: Values) -> Values:
    """`(r, ...)` from `(seeds, r, ...)` and the seeds' shares `(seeds, r)`."""
    spread = shares.reshape(shares.shape + (1,) * (by_seed.ndim - 2))
    mean: Values = (by_seed * spread).sum(axis=0)
    return mean
