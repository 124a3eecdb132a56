"""The report's drawings: SVG written by hand, coloured by the page's style sheet.

So they follow light, dark and print, their text is text, and their bytes depend on the figures
alone. Panels are drawn 320 units wide, which a phone shows about one to one.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from pipeline.axes import Axis, held

Point = tuple[float, float]

WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 10, 36
LINE = 14
"""Height of a line of a tick's name, which may have two."""
DIVERGED = 12
"""How far inside the panel's bad end trials without a figure are marked."""


def whiskers(
    intervals: Sequence[tuple[float, float, float, str]], scale: Axis, label: str
) -> Markup:
    """Intervals (value, low, high, CSS class) below each other on one scale, as wide as its cell.

    What lies beyond the scale is cut, and an arrow says so. Of differences zero is drawn darker.
    """
    height = 10 + 10 * len(intervals)
    parts = [
        f'<line class="{"axis" if tick == 0 > scale.low else "grid"}" '
        f'x1="{_percent(scale, tick)}" x2="{_percent(scale, tick)}" y1="0" y2="{height}"/>'
        for tick, _ in scale.ticks
    ]
    for place, (value, low, high, kind) in enumerate(intervals):
        y = 10 + 10 * place
        if low <= scale.high and high >= scale.low:
            parts.append(
                f'<line class="{kind}" x1="{_percent(scale, low)}" x2="{_percent(scale, high)}" '
                f'y1="{y}" y2="{y}"/>'
            )
        if scale.low <= value <= scale.high:
            parts.append(f'<circle class="{kind}" cx="{_percent(scale, value)}" cy="{y}" r="4"/>')
        if low < scale.low:
            parts.append(f'<path class="{kind} tip" d="M8 {y - 4}v8l-7 -4z"/>')
        if high > scale.high:
            parts.append(f'<path class="{kind} tip far" d="M-8 {y - 4}v8l7 -4z"/>')
    return Markup(
        f'<svg class="whiskers" width="100%" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def scale_labels(scale: Axis) -> Markup:
    """The scale's first and last tick, to stand above a column of whiskers."""
    ends = (scale.ticks[0], scale.ticks[-1])
    first, last = (f"<span>{escape(name)}</span>" for _, name in ends)
    return Markup(f'<span class="scale" aria-hidden="true">{first}{last}</span>')


def curves_panel(
    train: Sequence[Point],
    validation: Sequence[Point],
    others: Sequence[Sequence[Point]],
    x: Axis,
    y: Axis,
    best: tuple[Point, str] | None,
    label: str,
) -> Markup:
    """One candidate's curves, the other candidates' validation curves faint behind them."""
    parts = [_path(points, x, y, "faint") for points in others]
    parts += [_path(train, x, y, "train"), _path(validation, x, y, "accent")]
    if best is not None:
        point, name = best
        parts.append(_mark(point, x, y, name))
    return _panel(parts, x, y, "epoch", label)


def trials_panel(
    tried: Sequence[Point],
    best: Point | None,
    diverged: Sequence[float],
    x: Axis,
    y: Axis,
    sign: int,
    name: str,
    label: str,
) -> Markup:
    """One varied value of the search against the result; crosses are trials that came to nothing,
    at the bottom, or at the top where `sign` is -1: lower is better. The best one may lack it."""
    parts = [_dot(point, x, y, "plain", 3.5) for point in tried if point != best]
    for value in diverged:
        at = _x(x, value)
        height = HEIGHT - BOTTOM - DIVERGED if sign > 0 else TOP + DIVERGED
        parts.append(f'<path class="cross" d="M{at - 4:.1f} {height - 4}l8 8m0-8l-8 8"/>')
    if best is not None:
        parts.append(_dot(best, x, y, "accent", 5))
    return _panel(parts, x, y, name, label)


def steps_panel(
    points: Sequence[Point], steps: Sequence[Point], x: Axis, y: Axis, name: str, label: str
) -> Markup:
    """Dots, and a line that keeps the height of one of `steps` until the next."""
    corners = [steps[0]]
    for (_, before), (at, height) in pairwise(steps):
        corners += [(at, before), (at, height)]
    parts = [_path(corners, x, y, "accent")]
    parts += [_dot(point, x, y, "plain", 3) for point in points]
    return _panel(parts, x, y, name, label)


def line_panel(
    points: Sequence[Point], marked: Sequence[Point], x: Axis, y: Axis, name: str, label: str
) -> Markup:
    """One line, and dots on it."""
    parts = [_path(points, x, y, "train"), *(_dot(point, x, y, "accent", 5) for point in marked)]
    return _panel(parts, x, y, name, label)


def bar(share: float, label: str) -> Markup:
    """A share from 0 to 1 as a bar, as wide as its cell."""
    return Markup(
        f'<svg class="whiskers" width="100%" height="14" role="img" '
        f'aria-label="{escape(label)}: {100 * share:.0f} %">'
        f'<rect class="bar" width="{100 * share:.1f}%" height="14"/></svg>'
    )


def calibration_panel(
    bins: Mapping[str, Sequence[Mapping[str, float]]], x: Axis, y: Axis, label: str
) -> Markup:
    """Accuracy by confidence; the area of a dot says how many examples it holds.

    bins: of chosen and baseline, each with examples, confidence, accuracy, and low and high, the
    interval of the accuracy, which is drawn for chosen.
    """
    parts = [_path([(x.low, x.low), (x.high, x.high)], x, y, "ideal")]
    most = max(one["examples"] for held in bins.values() for one in held)
    for name in ("baseline", "chosen"):
        held = bins.get(name, ())
        points = [(one["confidence"], one["accuracy"]) for one in held]
        kind = "accent" if name == "chosen" else "plain"
        parts.append(_path(points, x, y, "accent" if name == "chosen" else "train"))
        if name == "chosen":
            parts += [
                f'<line class="doubt" x1="{_x(x, one["confidence"]):.1f}" '
                f'x2="{_x(x, one["confidence"]):.1f}" y1="{_y(y, max(one["low"], y.low)):.1f}" '
                f'y2="{_y(y, one["high"]):.1f}"/>'
                for one in held
            ]
        parts += [
            _dot(point, x, y, kind, 1.5 + 4.5 * math.sqrt(one["examples"] / most))
            for point, one in zip(points, held, strict=True)
        ]
    return _panel(parts, x, y, "confidence", label)


def learning_panel(
    seeds: Sequence[Point],
    means: Sequence[Point],
    curve: Sequence[Point],
    foretold: Sequence[tuple[float, float, float, float]],
    x: Axis,
    y: Axis,
    label: str,
) -> Markup:
    """Errors by the number of training examples: of seeds, their means, the curve through them, and
    what it foretells, (examples, error, low, high)."""
    parts = [_path(curve, x, y, "train")]
    parts += [_dot(point, x, y, "plain", 2.5) for point in seeds]
    for at, value, low, high in foretold:
        parts.append(
            f'<line class="doubt" x1="{_x(x, at):.1f}" x2="{_x(x, at):.1f}" '
            f'y1="{_y(y, held(y, low)):.1f}" y2="{_y(y, held(y, high)):.1f}"/>'
        )
        parts.append(_dot((at, held(y, value)), x, y, "plain", 4))
    parts += [_path(means, x, y, "accent"), *(_dot(point, x, y, "accent", 4) for point in means)]
    return _panel(parts, x, y, "training examples", label)


WAY_OFFSETS = {"scratch": -5.0, "frozen": 0.0, "tuned": 5.0}
"""To the side, so that intervals at one place are told apart."""


def ways_panel(
    lines: Mapping[str, Sequence[tuple[float, float, float, float]]],
    x: Axis,
    y: Axis,
    name: str,
    label: str,
) -> Markup:
    """A line with intervals for each way to train, by its points (place, value, low, high).

    Ways differ in their marks and dashes as well as in their colours. Values beyond the panel are
    drawn on its edge.
    """
    parts = []
    for way, points in lines.items():
        aside = WAY_OFFSETS[way]
        places = [(_x(x, at) + aside, _y(y, held(y, value))) for at, value, _, _ in points]
        parts += [
            f'<line class="way {way}" x1="{across:.1f}" x2="{across:.1f}" '
            f'y1="{_y(y, held(y, low)):.1f}" y2="{_y(y, held(y, high)):.1f}"/>'
            for (across, _), (_, _, low, high) in zip(places, points, strict=True)
        ]
        corners = "L".join(f"{across:.1f} {height:.1f}" for across, height in places)
        if len(places) > 1:
            parts.append(f'<path class="way line {way}" d="M{corners}"/>')
        parts += [_way_mark(way, across, height) for across, height in places]
    return _panel(parts, x, y, name, label)


def way_key(way: str) -> Markup:
    """How a way is drawn, for the key."""
    return Markup(
        '<svg class="sample" width="34" height="12" role="img" aria-hidden="true">'
        f'<path class="way line {way}" d="M0 6L34 6"/>{_way_mark(way, 17, 6)}</svg>'
    )


def _way_mark(way: str, across: float, height: float) -> str:
    if way == "scratch":
        return (
            f'<rect class="way mark {way}" x="{across - 3.5:.1f}" y="{height - 3.5:.1f}" '
            'width="7" height="7"/>'
        )
    if way == "frozen":
        return (
            f'<path class="way mark {way}" d="M{across - 4.5:.1f} {height + 3.5:.1f}h9l-4.5 -8z"/>'
        )
    return f'<circle class="way mark {way}" cx="{across:.1f}" cy="{height:.1f}" r="4"/>'


def scatter_panel(points: Sequence[Point], x: Axis, y: Axis, name: str, label: str) -> Markup:
    """Predicted (upwards) against actual values; on the dotted line both are equal.

    What lies beyond the panel is drawn on its edge.
    """
    ends = max(x.low, y.low), min(x.high, y.high)
    parts = [_path([(end, end) for end in ends], x, y, "ideal")]
    # One path of dots without length, whose round ends are drawn: hundreds of circles are long.
    dots = [f"M{_x(x, held(x, one)):.1f} {_y(y, held(y, two)):.1f}h0" for one, two in points]
    parts.append(f'<path class="dots" d="{"".join(dots)}"/>')
    return _panel(parts, x, y, name, label)


def _panel(parts: Sequence[str], x: Axis, y: Axis, name: str, label: str) -> Markup:
    grid = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(y, at):.1f}" '
        f'y2="{_y(y, at):.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{_y(y, at) + 4:.1f}" text-anchor="end">'
        f"{escape(text)}</text>"
        for at, text in y.ticks
    ]
    ticks = [
        f'<text class="tick" x="{_x(x, at):.1f}" y="{HEIGHT - BOTTOM + 15 + LINE * row}" '
        f'text-anchor="middle">{escape(line)}</text>'
        for at, text in x.ticks
        for row, line in enumerate(text.split("\n"))
    ]
    height = HEIGHT + LINE * max((text.count("\n") for _, text in x.ticks), default=0)
    base = HEIGHT - BOTTOM
    frame = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    title = (
        f'<text class="tick" x="{middle:g}" y="{height - 5}" text-anchor="middle">'
        f"{escape(name)}</text>"
    )
    return Markup(
        f'<svg class="panel" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(label)}">{"".join([*grid, *ticks, frame, title, *parts])}</svg>'
    )


def _path(points: Sequence[Point], x: Axis, y: Axis, kind: str) -> str:
    """A line through the points, cut where it leaves the panel at the top or the bottom."""
    pieces = []
    for first, second in pairwise(points):
        cut = _within(first, second, y)
        if cut is not None:
            (x1, y1), (x2, y2) = cut
            pieces.append(f"M{_x(x, x1):.1f} {_y(y, y1):.1f}L{_x(x, x2):.1f} {_y(y, y2):.1f}")
    return f'<path class="curve {kind}" d="{_joined(pieces)}"/>' if pieces else ""


def _joined(pieces: Sequence[str]) -> str:
    """Pieces that begin where the last one ended go on without lifting the pen."""
    text, end = "", None
    for piece in pieces:
        start, stop = piece[1:].split("L")
        text += f"L{stop}" if start == end else piece
        end = stop
    return text


def _within(first: Point, second: Point, y: Axis) -> tuple[Point, Point] | None:
    """The part of a segment between the ends of the y axis, None where there is none."""
    (x1, y1), (x2, y2) = first, second
    if max(y1, y2) < y.low or min(y1, y2) > y.high:
        return None

    def cut(x_in: float, y_in: float, x_on: float, y_on: float) -> Point:
        edge = min(max(y_in, y.low), y.high)
        if edge == y_in:
            return x_in, y_in
        return x_in + (x_on - x_in) * (edge - y_in) / (y_on - y_in), edge

    return cut(x1, y1, x2, y2), cut(x2, y2, x1, y1)


def _mark(point: Point, x: Axis, y: Axis, name: str) -> str:
    """A dot, and what it says in the right corner that a learning curve leaves free."""
    middle = (y.low + y.high) / 2
    height = HEIGHT - BOTTOM - 10 if point[1] > middle else TOP + 16
    return (
        _dot(point, x, y, "accent", 3.5) + f'<text class="note" x="{WIDTH - RIGHT}" '
        f'y="{height}" text-anchor="end">{escape(name)}</text>'
    )


def _dot(point: Point, x: Axis, y: Axis, kind: str, radius: float) -> str:
    return (
        f'<circle class="{kind}" cx="{_x(x, point[0]):.1f}" cy="{_y(y, point[1]):.1f}" '
        f'r="{radius:.1f}"/>'
    )


def _x(scale: Axis, value: float) -> float:
    return LEFT + scale.share(value) * (WIDTH - LEFT - RIGHT)


def _y(scale: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - scale.share(value) * (HEIGHT - TOP - BOTTOM)


def _percent(scale: Axis, value: float) -> str:
    """A place on the scale, 2 to 98 % of the width so that dots are whole."""
    return f"{2 + 96 * min(max(scale.share(value), 0.0), 1.0):.2f}%"
