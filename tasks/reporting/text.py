"""How the report writes figures, and the axes that it draws them on."""

import re
from collections.abc import Sequence

from metrics.readings import Reading, significant
from pipeline import axes
from pipeline.axes import Axis


def percent(share: float, digits: int = 1) -> str:
    """A share in per cent."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(value: float) -> str:
    """A whole number with its thousands parted."""
    return f"{value:,.0f}"


def many(number: int, thing: str) -> str:
    """A count of things: "1 fit", "2 fits"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def minus(text: str) -> str:
    """Hyphens before digits as minus signs."""
    return re.sub(r"(?<![\w])-(?=\d)", "\N{MINUS SIGN}", text)


def tidy(text: str) -> str:
    """A figure's text that no line ends in, with real minus signs."""
    return minus(text).replace(" %", "\N{NO-BREAK SPACE}%")


def listed(names: Sequence[str], most: int) -> str:
    """Names in a row, so many at the most."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def capital(title: str) -> str:
    """A title as it begins a line; names in it stay as they are."""
    return title[:1].upper() + title[1:]


def heading(reading: Reading) -> str:
    """The title and the unit that the cells below it leave out."""
    return capital(reading.title) + (f", {reading.unit}" if reading.unit else "")


def bare(reading: Reading, value: float) -> str:
    """The value without its unit, a share in per cent."""
    return percent(value) if reading.share else minus(significant(value))


def figure(reading: Reading, value: float, low: float, high: float) -> str:
    """The value with its interval, without its unit."""
    return f"{bare(reading, value)} ({minus(reading.span(low, high))})"


def axis(reading: Reading, low: float, high: float) -> Axis:
    """An axis for a figure."""
    return axes.share_axis(low, high) if reading.share else axes.plain_axis(low, high)
