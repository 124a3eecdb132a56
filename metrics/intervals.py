"""Intervals around figures: the bootstrap over examples, and over seeds where there are several.

A candidate trained with several seeds stands for its recipe: its figure is the mean over the
seeds, and a resampling draws seeds as well as examples. All candidates are drawn with the same
examples, and candidates with equally many seeds with the same seeds, so subtracting one
candidate's draws from another's is the paired bootstrap (Efron and Tibshirani, "An Introduction
to the Bootstrap", 1993, chapters 13 and 15).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
        """
        if predictions.ndim != 3 or predictions.shape[1] != len(truth) or not len(truth):
            raise ValueError(
                "predictions must be (seeds, n, k) for a truth of n, at least one; "
                f"got {predictions.shape} for {len(truth)}"
            )
        n = len(truth)
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
        interval = self.interval(value, draws)
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
        for start in range(0, self.replicates, step):
            size = min(step, self.replicates - start)
            drawn = generator.integers(0, n, size=(size, n))
            drawn += n * np.arange(size)[:, np.newaxis]
            counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
            yield slice(start, start + size), counts

    def _seed_shares(self, number: int) -> Values:
        """`(number, r)`: the share of each seed in each resampling."""
        if number == 1:
            return np.ones((1, self.replicates))
        generator = np.random.default_rng([self.seed, _SEEDS, number])
        drawn = generator.integers(0, number, size=(self.replicates, number))
        counts = [(drawn == seed).sum(axis=1) for seed in range(number)]
        return np.stack(counts).astype(np.float64) / number


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
