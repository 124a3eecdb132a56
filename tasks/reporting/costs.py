"""The report's drawing of what candidates cost: the objective against multiply-adds and size."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from metrics.readings import Reading
from models.judging.ledger import Row
from pipeline import scatter
from pipeline.axes import Axis, near
from pipeline.scatter import Kind, Point
from tasks.reporting.distilled import CONTROL, INT8, Cost
from tasks.reporting.text import axis, capital, tidy

SHORT = {CONTROL: "without teacher", INT8: "8 bits"}
"""Names for which a drawing has no room."""
KINDS: Mapping[str, Kind] = {CONTROL: "hollow", INT8: "square"}


def drawn(
    ledger: Sequence[Row], costs: Mapping[str, Cost], chosen: str, reading: Reading
) -> dict[str, Any] | None:
    """Both panels; None where there is nothing to compare."""
    rows = [row for row in ledger if row.candidate in costs and _known(row)]
    if len(rows) < 2:
        return None
    y = scale(rows, chosen, reading)
    kinds: tuple[tuple[str, str, Callable[[Cost], int]], ...] = (
        ("multiply-adds an example", "", lambda cost: cost.multiply_adds),
        ("size of the network's numbers", "B", lambda cost: cost.size),
    )
    panels = []
    for title, unit, of in kinds:
        points = [_point(row, cost, chosen) for row in rows if (cost := of(costs[row.candidate]))]
        if points:
            x = scatter.cost_axis([point.cost for point in points], unit)
            label = f"{capital(reading.title)} by {title}; {_spoken(points, reading, unit)}"
            # It escapes the names; it knows nothing of templates.
            drawing = scatter.panel(points, reading.sign, x, y, title, label)
            panels.append({"title": capital(title), "panel": Markup(drawing)})
    return {
        "panels": panels,
        "without_teacher": any(row.candidate == CONTROL for row in rows),
        "int8": any(row.candidate == INT8 for row in rows),
    }


def scale(rows: Sequence[Row], chosen: str, reading: Reading) -> Axis:
    """Over all intervals but those so far off the chosen one that they would squeeze the rest."""
    ends = [(row.score_low or 0.0, row.score_high or 0.0) for row in rows]
    centre = next((row.score or 0.0 for row in rows if row.candidate == chosen), ends[0][0])
    kept = near(ends, centre, ends)
    return axis(reading, min(low for low, _ in kept), max(high for _, high in kept))


def _known(row: Row) -> bool:
    return None not in (row.score, row.score_low, row.score_high)


def _point(row: Row, cost: float, chosen: str) -> Point:
    kind: Kind = "chosen" if row.candidate == chosen else KINDS.get(row.candidate, "plain")
    name = SHORT.get(row.candidate, row.candidate)
    return Point(name, cost, row.score or 0.0, row.score_low or 0.0, row.score_high or 0.0, kind)


def _spoken(points: Sequence[Point], reading: Reading, unit: str) -> str:
    """For those who hear the page: all points, the cheapest first."""
    order = sorted(points, key=lambda one: (one.cost, one.name))
    return ", ".join(
        f"{one.name} {tidy(reading.text(one.value))} at {scatter.amount(one.cost, unit)}"
        for one in order
    )
