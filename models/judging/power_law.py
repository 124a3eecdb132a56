"""How an error falls with the number of examples, and what more of them would gain.

The error of networks falls like a + b n^-c: a remains whatever the data, c says how steeply it
falls, mostly less than 0.5 (Hestness et al., "Deep learning scaling is predictable, empirically",
2017). Three sizes determine such a curve, and foretell little; so it comes with an interval, and
where it says nothing that is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

EXPONENTS = np.geomspace(0.05, 1.0, 60)
"""The exponents that are tried: measured ones are 0.07 to 0.35, theory has 0.5 and 1."""
ROUNDS = 8
"""Of reweighting, by which a fit that went astray counts less."""
ASTRAY = 1.345
"""Standard deviations from which on an error counts less (Huber, "Robust statistics", 1981)."""
LEAST_SIZES, LEAST_SEEDS = 3, 2
REPLICATES = 500
SEED = 1


@dataclass(frozen=True)
class Curve:
    """`error(n) = floor + scale * (n / most) ** -exponent`."""

    floor: float
    scale: float
    exponent: float
    most: int
    """The largest number of examples that was seen."""

    def error(self, n: float) -> float:
        """What so many examples lead to."""
        return float(self.floor + self.scale * (n / self.most) ** -self.exponent)


@dataclass(frozen=True)
class Gain:
    """How much lower the error would be with so many times the data, foretold."""

    times: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What the sizes that were tried say of larger ones."""

    curve: Curve | None
    gains: tuple[Gain, ...]
    untold: str
    """Why nothing can be foretold, in words; else empty."""


def fit(sizes: Values, errors: Values) -> Curve:
    """The curve nearest to errors `(m,)` at sizes `(m,)`, in parts of the errors themselves.

    Neither floor nor scale is negative. Far errors count less: least squares, reweighted by
    Huber's function.
    """
    most = int(sizes.max())
    # As parts of what is typical for a size, since small errors scatter less than large ones.
    level = np.array([np.median(errors[sizes == size]) for size in sizes.tolist()])
    level = np.maximum(level, 1e-12)
    falls = (sizes / most)[np.newaxis] ** -EXPONENTS[:, np.newaxis]
    huber = np.ones(len(sizes))
    for _ in range(ROUNDS):
        floor, scale = _lines(falls, errors, huber / level**2)
        residuals = (floor[:, np.newaxis] + scale[:, np.newaxis] * falls - errors) / level
        best = int(np.argmin((huber * residuals**2).sum(axis=1)))
        spread = 1.4826 * np.median(np.abs(residuals[best]))
        if spread < 1e-9:
            break
        far = np.abs(residuals[best]) / spread
        huber = np.minimum(1.0, ASTRAY / np.maximum(far, 1e-12))
    return Curve(float(floor[best]), float(scale[best]), float(EXPONENTS[best]), most)


def _lines(falls: Values, errors: Values, weights: Values) -> tuple[Values, Values]:
    """For each row of falls `(e, m)` the floor and scale, not negative, with the least squares."""
    total = weights.sum()
    x, y = (falls * weights).sum(axis=1) / total, (errors * weights).sum() / total
    varied = ((falls - x[:, np.newaxis]) ** 2 * weights).sum(axis=1)
    together = ((falls - x[:, np.newaxis]) * (errors - y) * weights).sum(axis=1)
    scale = np.maximum(together / np.maximum(varied, 1e-300), 0.0)
    floor = y - scale * x
    # Without a floor: the line through the origin.
    through = (falls * errors * weights).sum(axis=1) / (falls**2 * weights).sum(axis=1)
    return np.maximum(floor, 0.0), np.where(floor < 0, through, scale)


def forecast(
    errors: Mapping[int, Sequence[float]], times: Sequence[float], level: float, examples: int
) -> Forecast:
    """What so many times the data would gain, from the errors of all seeds by number of examples.

    Intervals are of the bootstrap over seeds, those of each size by themselves; that the validation
    examples are a sample too, and that the curve may bend, is not in them.
    examples: on which the errors were measured, if they are shares of these; 0: they are not.
    """
    sizes = sorted(errors)
    if len(sizes) < LEAST_SIZES:
        return Forecast(None, (), f"{len(sizes)} sizes were tried, and a curve needs {LEAST_SIZES}")
    if min(len(errors[size]) for size in sizes) < LEAST_SEEDS:
        return Forecast(None, (), "one seed says nothing of how far chance goes")
    last = float(np.mean(errors[sizes[-1]]))
    if examples and last * examples < 5:
        return Forecast(
            None,
            (),
            f"with all rows {last * examples:.1f} of {examples:,} answers are wrong, too few",
        )
    curve = fit(*_points({size: np.array(errors[size]) for size in sizes}))
    drawn = _drawn({size: np.array(errors[size], dtype=np.float64) for size in sizes})
    tail = (1 - level) / 2
    fallen = [float(np.mean(one[sizes[0]]) - np.mean(one[sizes[-1]])) for one in drawn]
    if np.quantile(fallen, tail) <= 0:
        return Forecast(curve, (), "the error did not fall beyond what the seeds differ by")
    curves = [fit(*_points(one)) for one in drawn]
    gains = tuple(_gain(curve, curves, many, tail) for many in times)
    # Beyond the floor nothing falls, however much data there are.
    if min(gain.low for gain in gains) <= 0.01 * last:
        return Forecast(curve, (), "the curve may as well have come to its end")
    return Forecast(curve, gains, "")


def _points(errors: Mapping[int, Values]) -> tuple[Values, Values]:
    sizes = [np.full(len(held), size, dtype=np.float64) for size, held in errors.items()]
    return np.concatenate(sizes), np.concatenate(list(errors.values()))


def _drawn(errors: Mapping[int, Values]) -> list[dict[int, Values]]:
    """Resampled errors. Those of k seeds are moved away from their mean first, by the root of
    k / (k - 1): their own variance is smaller than that of new seeds by that factor, which matters
    where k is three."""
    wider = {
        size: np.maximum(
            held.mean() + (held - held.mean()) * np.sqrt(len(held) / (len(held) - 1)), 0.0
        )
        for size, held in errors.items()
    }
    generator = np.random.default_rng(SEED)
    return [
        {size: held[generator.integers(len(held), size=len(held))] for size, held in wider.items()}
        for _ in range(REPLICATES)
    ]


def _gain(curve: Curve, curves: Sequence[Curve], times: float, tail: float) -> Gain:
    def gained(one: Curve) -> float:
        return one.error(one.most) - one.error(times * one.most)

    value = gained(curve)
    low, high = np.quantile([gained(one) for one in curves], [tail, 1 - tail])
    return Gain(times, value, float(min(low, value)), float(max(high, value)))
