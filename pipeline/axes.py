"""Axes of drawings: stretches of values with ticks at round ones."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MOST_DIGITS = 6
"""Behind a tick's point."""
LEAST = 1e-290
"""What is nearer together is the same: below it floats lose their digits."""
MINUS = "\N{MINUS SIGN}"
NEAR = 4.0
"""How many times the median distance something may lie away without being cut from a scale."""


@dataclass(frozen=True)
class Axis:
    """A stretch of values with named ticks, linear or logarithmic."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where `value` lies between the ends, 0 to 1, and beyond for values outside."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)


def axis(low: float, high: float, name: Callable[[float], str], ticks: int = 4) -> Axis:
    """A linear axis over round values that holds both ends."""
    values = _round_values(low, high, ticks)
    return Axis(values[0], values[-1], tuple((value, name(value)) for value in values))


def plain_axis(low: float, high: float, ticks: int = 4) -> Axis:
    """The same, its ticks named by just the digits that tell them apart; thousands are k."""
    values = _round_values(low, high, ticks)
    most, step = max(map(abs, values)), values[1] - values[0]
    size, letter = next(((size, letter) for size, letter in SIZES if most >= 10 * size), (1.0, ""))
    digits = max(0, -math.floor(math.log10(step / size) + 1e-9))

    def name(value: float) -> str:
        if not value:
            return "0"
        if digits > MOST_DIGITS or most >= 1e16:
            return f"{value:.2g}".replace("-", MINUS)
        return f"{value / size:,.{digits}f}{letter}".replace("-", MINUS)

    return Axis(values[0], values[-1], tuple((value, name(value)) for value in values))


def logarithmic_axis(low: float, high: float) -> Axis:
    """A logarithmic axis a little wider than its ends, with ticks at 1, 2 and 5 times 10^n."""
    low, high = low / 1.3, high * 1.3
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    ticks = [value for value in every if low <= value <= high]
    if len(ticks) > 5:
        ticks = [value for value in ticks if f"{value:e}".startswith("1.0")]
    return Axis(low, high, tuple((value, f"{value:g}") for value in ticks), logarithmic=True)


def category_axis(values: Sequence[float] | Sequence[str]) -> Axis:
    """Values side by side, whatever their distances; places are 0, 1, 2, …"""
    names = [value if isinstance(value, str) else f"{value:g}" for value in values]
    return Axis(-0.5, len(names) - 0.5, tuple((float(at), name) for at, name in enumerate(names)))


def share_axis(low: float, high: float) -> Axis:
    """An axis of shares, named in per cent; never beyond 100 %."""
    reach = max(high - low, 0.01)
    digits = 0 if reach >= 0.04 else 1

    def name(value: float) -> str:
        return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"

    return axis(max(0.0, low), min(1.0, high), name)


def held(scale: Axis, value: float) -> float:
    """The value, or the end of the scale that it lies beyond."""
    return min(max(value, scale.low), scale.high)


def near(
    intervals: Iterable[tuple[float, float]], centre: float, typical: Iterable[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The intervals (low, high) that a scale around `centre` should hold.

    What lies much farther away than the `typical` ones do would squeeze all others.
    """

    def distance(interval: tuple[float, float]) -> float:
        return max(abs(end - centre) for end in interval)

    limit = NEAR * median(map(distance, typical))
    return [interval for interval in intervals if distance(interval) <= limit]


def _round_values(low: float, high: float, ticks: int) -> list[float]:
    if not high - low > LEAST:
        reach = 0.5 * max(abs(low), abs(high)) if max(abs(low), abs(high)) > LEAST else 0.5
        low, high = low - reach, high + reach
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def _round_step(step: float) -> float:
    """The least of 1, 2, 5 times 10^n that is not less than `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
