"""How figures are written for people: shares in per cent, everything else in its unit."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

DECIMALS = 6
"""Of figures in files, where the scale is known: shares, and what has no unit of the data."""


class Reading(BaseModel):
    """How one figure reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    """As it stands in a sentence: "accuracy", "recall of 'ill'"."""
    sign: Literal[1, -1]
    """1 where higher is better, -1 where lower is."""
    share: bool
    """From 0 to 1 in files, and written in per cent."""
    unit: str
    """What one of it is: "nats", a target's name, or "" where it has none."""

    @property
    def bounds(self) -> tuple[float, float]:
        """What the figure can be at the least and at the most: shares 0 and 1, losses and errors
        not less than 0, and R² not more than 1."""
        if self.share:
            return 0.0, 1.0
        return (0.0, math.inf) if self.sign == -1 else (-math.inf, 1.0)

    def text(self, value: float) -> str:
        """The value: "93.2 %", or four significant digits and the unit."""
        if self.share:
            return f"{100 * value:.1f} %"
        return f"{significant(value)} {self.unit}".rstrip()

    def span(self, low: float, high: float) -> str:
        """Both ends, without the unit: "90.1 to 95.0"."""
        if self.share:
            return f"{100 * low:.1f} to {100 * high:.1f}"
        return f"{significant(low)} to {significant(high)}"

    def difference(self, value: float) -> str:
        """A difference, signed, without its unit: of shares in percentage points, never "-0.00"."""
        if self.share and math.isfinite(value):
            return f"{round(100 * value, 2) + 0.0:+.2f}"
        return significant(value, sign="+")

    def amount(self, value: float) -> str:
        """A size without sign and unit, on the scale of `difference`."""
        return self.difference(abs(value)).lstrip("+")

    @property
    def points(self) -> str:
        """The unit of a difference, with a blank before it: " percentage points", or ""."""
        if self.share:
            return " percentage points"
        return f" {self.unit}" if self.unit else ""

    def allowed(self, tolerance: float, incumbent: float) -> float:
        """How much worse than the incumbent's value is let pass.

        The tolerance itself where the figure has no unit; a figure in a unit has any scale, so
        there it is a part of the incumbent's value.
        """
        return tolerance * abs(incumbent) if self.unit else tolerance

    def rounded(self, value: float, scale: float) -> float:
        """The value as files hold it: six decimals, or where the unit is the data's own seven
        significant digits of a figure as large as `scale`."""
        if self.unit in ("", "nats") or not scale or not math.isfinite(scale):
            return round(value, DECIMALS)
        return round(value, DECIMALS - math.floor(math.log10(abs(scale))))


def significant(value: float, digits: int = 4, sign: Literal["", "+"] = "") -> str:
    """The value with four significant digits, and all digits before the point."""
    if not math.isfinite(value):
        return "not known"
    if not value:
        return "0"
    place = math.floor(math.log10(abs(value)))
    if not -5 <= place < 15:
        return f"{value:{sign}.{digits - 1}e}"
    return f"{value:{sign},.{max(0, digits - 1 - place)}f}"
