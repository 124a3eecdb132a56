"""The report's drawing of many settings at once: an axis for each, a line for each trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from pipeline.axes import Axis

STEP, HEIGHT = 108, 250
"""Between two axes; of the drawing."""
TOP, BOTTOM, SIDE = 30, 34, 40
NAMES = 90
"""Right of the last axis, for the names of its ticks."""
ABSENT = 20
"""How far below an axis lines pass whose setting was not active."""
LETTERS = 12
"""Of a tick's name."""

Kind = Literal["accent", "plain", "faint", "train"]


@dataclass(frozen=True)
class Line:
    """One trial: where it meets each axis, None where it does not."""

    places: tuple[float | None, ...]
    kind: Kind


def parallel(axes: Sequence[tuple[str, Axis]], lines: Sequence[Line], label: str) -> Markup:
    """Titled axes side by side, and lines from the first to the last; later ones lie on top."""
    width = SIDE + STEP * (len(axes) - 1) + NAMES
    parts = [_line(line, axes) for line in lines]
    for place, (title, axis) in enumerate(axes):
        parts.append(_axis(SIDE + STEP * place, title, axis))
    if any(None in line.places for line in lines):
        parts.append(
            f'<text class="tick" x="4" y="{HEIGHT - BOTTOM + ABSENT + 4}">not varied</text>'
        )
    return Markup(
        f'<svg class="parallel" viewBox="0 0 {width} {HEIGHT}" width="{width}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _line(line: Line, axes: Sequence[tuple[str, Axis]]) -> str:
    points = [
        f"{SIDE + STEP * place} {_y(axis, value):.1f}"
        for place, ((_, axis), value) in enumerate(zip(axes, line.places, strict=True))
    ]
    return f'<path class="curve {line.kind}" d="M{"L".join(points)}"/>'


def _axis(x: int, title: str, axis: Axis) -> str:
    ticks = "".join(
        f'<text class="tick" x="{x + 5}" y="{_y(axis, at) + 4:.1f}">{escape(_short(name))}</text>'
        for at, name in axis.ticks
    )
    return (
        f'<line class="axis" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>{ticks}'
        f'<text class="tick" x="{x}" y="16" text-anchor="middle">{escape(title)}</text>'
    )


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"


def _y(axis: Axis, value: float | None) -> float:
    if value is None:
        return HEIGHT - BOTTOM + ABSENT
    share = min(max(axis.share(value), 0.0), 1.0)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
