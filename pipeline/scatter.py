"""Named points against what they cost, as SVG: a figure with its interval upwards, on a logarithmic
scale to the right.

What no other point betters in both is joined by a thin line (Pareto's front). Names stand beside
their points, where nothing lies below them; one that finds no such place is led to its point by a
line. Colours are the style sheet's of the page, see `STYLE`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from typing import Literal

from pipeline.axes import SIZES, Axis, held, logarithmic_axis

WIDTH, HEIGHT = 420, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40
LETTER, LINE = 6.8, 14
"""Width of a letter, on the large side, and height of a line of a name."""
RADIUS = {"chosen": 5.5, "plain": 4.0, "hollow": 4.0, "square": 4.0}
ROOM = 1.25
"""How many times beyond the least and the largest cost the scale reaches at the least."""
BEFORE, BEHIND = 0.08, 0.18
"""How far it reaches beyond them besides, for names, as shares of a wide scale."""
MOST_TICKS = 6
"""For which there is room."""
APART = 10.0
"""Between two points that cost nearly the same."""
AWAY = 4.0
"""What a place that is farther from its point counts for, beside the area that a name covers."""
FAR = 16
"""Between a point and its name, from which on a line leads there."""

Kind = Literal["chosen", "plain", "hollow", "square"]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

STYLE = """\
svg.scatter text { paint-order: stroke; stroke: var(--ground); stroke-width: 3px; }
svg.scatter .name { fill: var(--ink); }
svg.scatter .name.chosen { fill: var(--accent); font-weight: 600; }
svg.scatter .mark { fill: var(--plain); stroke: var(--ground); stroke-width: 1; }
svg.scatter .mark.chosen { fill: var(--accent); }
svg.scatter .mark.hollow { fill: var(--ground); stroke: var(--plain); stroke-width: 2; }
svg.scatter .reach { stroke: var(--plain); stroke-width: 1.5; stroke-opacity: .7; }
svg.scatter .reach.chosen { stroke: var(--accent); stroke-opacity: 1; }
svg.scatter .front { fill: none; stroke: var(--accent); stroke-width: 1.25; stroke-opacity: .7; }
svg.scatter .lead { stroke: var(--soft); stroke-width: .75; }
"""
"""What the drawing needs of a page whose style sheet has the colours ground, ink, soft, plain and
accent, and the classes grid, axis and tick."""


@dataclass(frozen=True)
class Point:
    """One that is drawn."""

    name: str
    cost: float
    """Above 0."""
    value: float
    low: float
    high: float
    kind: Kind
    """A filled, a hollow or a square mark; one is chosen."""


def front(points: Sequence[Point], sign: int) -> list[Point]:
    """Those that no other one betters: none is as good and costs less, or costs as much and is
    better. The cheapest first; of equal ones one. sign: 1 where a higher value is better."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one.cost, -sign * one.value, one.name)):
        if not found or sign * point.value > sign * found[-1].value:
            found.append(point)
    return found


def cost_axis(costs: Sequence[float], unit: str = "") -> Axis:
    """A logarithmic axis over what things cost; thousands are k, then comes the unit."""
    low, high = min(costs), max(costs)
    wide = high / low
    scale = logarithmic_axis(low / max(ROOM, wide**BEFORE), high * max(ROOM, wide**BEHIND))
    every = math.ceil(len(scale.ticks) / MOST_TICKS)
    ticks = tuple((at, amount(at, unit)) for at, _ in scale.ticks[::every])
    return replace(scale, ticks=ticks)


def amount(value: float, unit: str = "") -> str:
    """A cost in short: "40k", "1.25M", "0.02"."""
    size, letter = next(((size, letter) for size, letter in SIZES if value >= size), (1.0, ""))
    ending = f"{letter}{unit}"
    return f"{value / size:.3g}" + (f"\N{NO-BREAK SPACE}{ending}" if unit else ending)


def panel(points: Sequence[Point], sign: int, x: Axis, y: Axis, title: str, label: str) -> str:
    """The drawing. title: of the scale to the right; label: what it shows, in words.

    A value beyond the scale lies on its edge, and an arrow says so. Points that cost the same, or
    nearly, stand side by side.
    """
    places = _places(points, x)
    corners = [(places[one], _y(y, one.value)) for one in front(points, sign)]
    joined = "L".join(f"{at:.1f} {height:.1f}" for at, height in corners)
    order = sorted(points, key=lambda one: (one.kind == "chosen", one.cost, one.name))
    placed = [(one, places[one]) for one in order]
    parts = [f'<path class="front" d="M{joined}"/>']
    parts += [_reach(one, at, y) for one, at in placed]
    parts += [_mark(one, at, y) for one, at in placed]
    parts += _names(placed, corners, y)
    return (
        f'<svg class="panel scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{_frame(x, y, title)}{"".join(parts)}</svg>'
    )


def _frame(x: Axis, y: Axis, title: str) -> str:
    base = HEIGHT - BOTTOM
    parts = []
    for at, text in y.ticks:
        height = _y(y, at)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" '
            f'y2="{height:.1f}"/><text class="tick" x="{LEFT - 6}" y="{height + 4:.1f}" '
            f'text-anchor="end">{escape(text)}</text>'
        )
    for at, text in x.ticks:
        place = LEFT + x.share(at) * (WIDTH - LEFT - RIGHT)
        parts.append(
            f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{base}"/>'
            f'<text class="tick" x="{place:.1f}" y="{base + 15}" text-anchor="middle">'
            f"{escape(text)}</text>"
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>'
        f'<text class="tick" x="{middle:g}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(title)}</text>"
    )
    return "".join(parts)


def _places(points: Sequence[Point], x: Axis) -> dict[Point, float]:
    """Where each stands from left to right, none of them on another."""
    groups: list[list[tuple[Point, float]]] = []
    for point in sorted(points, key=lambda one: (one.cost, one.name)):
        at = LEFT + x.share(point.cost) * (WIDTH - LEFT - RIGHT)
        if groups and at - groups[-1][-1][1] < APART:
            groups[-1].append((point, at))
        else:
            groups.append([(point, at)])
    places = {}
    for group in groups:
        middle = sum(at for _, at in group) / len(group)
        for place, (point, _) in enumerate(group):
            places[point] = middle + APART * (place - (len(group) - 1) / 2)
    return places


def _reach(point: Point, at: float, y: Axis) -> str:
    """The interval, as far as it lies on the scale."""
    if point.high < y.low or point.low > y.high:
        return ""
    return (
        f'<line class="reach {point.kind}" x1="{at:.1f}" x2="{at:.1f}" '
        f'y1="{_y(y, point.low):.1f}" y2="{_y(y, point.high):.1f}"/>'
    )


def _mark(point: Point, at: float, y: Axis) -> str:
    height = _y(y, point.value)
    radius, kind = RADIUS[point.kind], f"mark {point.kind}"
    if not y.low <= point.value <= y.high:
        tip = 7 if point.value < y.low else -7
        return f'<path class="{kind}" d="M{at - 5:.1f} {height - tip:.1f}h10l-5 {tip}z"/>'
    if point.kind == "square":
        return (
            f'<rect class="{kind}" x="{at - radius:.1f}" y="{height - radius:.1f}" '
            f'width="{2 * radius:g}" height="{2 * radius:g}"/>'
        )
    return f'<circle class="{kind}" cx="{at:.1f}" cy="{height:.1f}" r="{radius:g}"/>'


def _names(
    points: Sequence[tuple[Point, float]], corners: Sequence[tuple[float, float]], y: Axis
) -> list[str]:
    """Every name where it covers least; the last one, the chosen one's, has the first choice.
    corners: of the line that joins some of the points."""
    taken = [_around(at, _y(y, one.value), 7) for one, at in points]
    taken += [
        (at - 2, _y(y, one.high), at + 2, _y(y, one.low))
        for one, at in points
        if _reach(one, at, y)
    ]
    taken += _along(corners)
    parts = []
    for point, at in reversed(points):
        height = _y(y, point.value)
        boxes = _boxes(at, height, LETTER * len(point.name))
        # The nearest of those that cover about as little.
        best = min(
            enumerate(boxes), key=lambda placed: _covered(placed[1], taken) + AWAY * placed[0]
        )[1]
        taken.append(best)
        parts.append(_name(point, at, height, best))
    return parts


def _along(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """Small boxes along a line."""
    found = []
    for (x1, y1), (x2, y2) in pairwise(corners):
        steps = max(1, round((x2 - x1) / 4))
        for step in range(steps):
            share = (step + 0.5) / steps
            at, height = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
            found.append((at - 2, height - 1.5, at + 2, height + 1.5))
    return found


def _boxes(at: float, height: float, width: float) -> list[Box]:
    """Where a name may stand, the nearest first."""
    found = []
    for away in range(0, 8):
        for turn in (1, -1) if away else (1,):
            top = height + turn * away * LINE - LINE / 2
            for left in (at + 8, at - 8 - width):
                found.append((left, top, left + width, top + LINE))
    # Above and below, in the middle.
    for top in (height - 10 - LINE, height + 10):
        found.insert(2, (at - width / 2, top, at + width / 2, top + LINE))
    return found


def _covered(box: Box, taken: Sequence[Box]) -> float:
    """The area of what a name would cover, and much more where it leaves the panel."""
    left, top, right, bottom = box
    outside = max(0.0, LEFT + 2 - left) + max(0.0, right - (WIDTH - 8))
    outside += max(0.0, TOP - 6 - top) + max(0.0, bottom - (HEIGHT - BOTTOM - 1))
    return 1000 * outside + sum(_shared(box, other) for other in taken)


def _shared(one: Box, two: Box) -> float:
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _name(point: Point, at: float, height: float, box: Box) -> str:
    left, top, right, bottom = box
    near_x, near_y = min(max(at, left), right), min(max(height, top), bottom)
    lead = ""
    if math.hypot(near_x - at, near_y - height) > FAR:
        lead = (
            f'<line class="lead" x1="{at:.1f}" y1="{height:.1f}" x2="{near_x:.1f}" '
            f'y2="{(top + bottom) / 2:.1f}"/>'
        )
    # Anchored at the end that is nearer to the point: letters are narrower than they are taken for.
    anchor, place = ("start", left) if left > at else ("end", right) if right < at else ("", 0.0)
    if not anchor:
        anchor, place = "middle", (left + right) / 2
    return (
        f'{lead}<text class="name {point.kind}" x="{place:.1f}" y="{bottom - 3:.1f}" '
        f'text-anchor="{anchor}">{escape(point.name)}</text>'
    )


def _around(at: float, height: float, reach: float) -> Box:
    return at - reach, height - reach, at + reach, height + reach


def _y(scale: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - scale.share(held(scale, value)) * (HEIGHT - TOP - BOTTOM)
