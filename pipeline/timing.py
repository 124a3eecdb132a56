"""What the clock said, on a page of its own beside the report, untracked.

Wall-clock figures differ between two runs of the same inputs, so no cached output holds them.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import scatter
from pipeline.artifacts import Page
from pipeline.axes import Axis
from pipeline.graph import Node
from pipeline.scatter import Point

PAGE = Path("artifacts/report/timing.html")
ANSWER = re.compile(r"latency (.+) (\d+)")
"""Spans of what something takes for one answer, where so many are asked for at once."""

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What the clock said</title>
<style>
:root { color-scheme: light dark;
  --ground: #fff; --ink: #1b2430; --soft: #576375; --line: #dde2ea; --plain: #66738a;
  --accent: #0b62c4; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #11161d; --ink: #e6eaf0; --soft: #a5b0bf; --line: #2c3541; --plain: #93a0b4;
  --accent: #6cb2ff; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--ground); color: var(--ink); }
h2 { margin-top: 2.5rem; font-size: 1.25rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { max-width: 46rem; }
.box { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right }
th:first-child, td:first-child { text-align: left }
.panels { display: grid; gap: 1rem 1.5rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
svg { display: block; width: 100%; height: auto; max-width: 30rem; overflow: visible; }
svg text { font-family: inherit; fill: var(--soft); font-size: 12px; }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--plain); }
"""
_STAGES = """</style>
<h1>What the clock said</h1>
<p>Seconds of each stage's last run on this machine. Time in pieces and fits is added up over the
workers, so it may exceed the stage's own.</p>
<div class="box"><table>
<tr><th>Stage</th><th>Stage, s</th><th>Pieces, s</th><th>Fits, s</th></tr>
"""
_ANSWERS = """<h2>What an answer takes</h2>
<p>Milliseconds for one example, by the clock of this machine when candidates were last compared on
it: the median of several runs, once warm. A model takes raw values, its encoder included; a network
in 8 bits takes encoded values, one example after the other. Other work on the machine makes all of
them slower.</p>
"""


@dataclass(frozen=True)
class Figure:
    """What something is worth, with its interval, and how that is written."""

    value: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Worth:
    """What those are worth whose answers were timed, by the names they have there."""

    title: str
    """Of the figures."""
    sign: int
    """1 where higher is better, -1 where lower is."""
    axis: Axis
    figures: Mapping[str, Figure]
    chosen: str


def read(node: Node, root: Path) -> dict[str, Any] | None:
    """The stage's timing.json: `seconds` and `spans` (seconds by name); None where none is left."""
    path = root / "artifacts" / node.name / "timing.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def write_page(nodes: list[Node], root: Path, worth: Worth | None) -> None:
    """Write the page from every stage's timing.json; `worth` is what answers are drawn against."""
    timings = [(node.name, read(node, root)) for node in nodes]
    rows = []
    total = 0.0
    for name, timing in timings:
        seconds = timing["seconds"] if timing else None
        total += seconds or 0.0
        spans = timing["spans"] if timing else {}
        cells = [_cell(x) for x in (seconds, spans.get("piece"), spans.get("fit"))]
        rows.append(_row([name, *cells]))
    rows.append(f"<tr><th>together</th><th>{total:.1f}</th><th></th><th></th></tr>\n")
    told = answers(timing["spans"] for _, timing in timings if timing)
    page = [_HEAD, scatter.STYLE, _STAGES, *rows, "</table></div>\n", _answers(told, worth)]
    Page(root / PAGE).write("".join(page) + "</html>\n")


def answers(spans: Iterable[Mapping[str, float]]) -> dict[int, dict[str, float]]:
    """Milliseconds an answer by name, by how many are asked for at once, the fewest first."""
    found: dict[int, dict[str, float]] = {}
    for held in spans:
        for span, seconds in held.items():
            said = ANSWER.fullmatch(span)
            if said and seconds > 0:
                found.setdefault(int(said[2]), {})[said[1]] = 1000 * seconds
    return dict(sorted(found.items()))


def _answers(told: Mapping[int, Mapping[str, float]], worth: Worth | None) -> str:
    """Chart and table of what answers take; nothing where none was timed."""
    if not told:
        return ""
    panels = "".join(_panel(batch, taken, worth) for batch, taken in told.items()) if worth else ""
    return f'{_ANSWERS}<div class="panels">{panels}</div>\n{_table(told, worth)}'


def _panel(batch: int, taken: Mapping[str, float], worth: Worth) -> str:
    points = [
        Point(
            name,
            milliseconds,
            held.value,
            held.low,
            held.high,
            "chosen" if name == worth.chosen else "plain",
        )
        for name, milliseconds in taken.items()
        if (held := worth.figures.get(name))
    ]
    if not points:
        return ""
    x = scatter.cost_axis([point.cost for point in points])
    spoken = ", ".join(
        f"{point.name} {worth.figures[point.name].text} at {point.cost:.3g} ms"
        for point in sorted(points, key=lambda one: one.cost)
    )
    label = f"{worth.title} by milliseconds an example, {_asked(batch)}: {spoken}"
    title = "milliseconds an example"
    drawing = scatter.panel(points, worth.sign, x, worth.axis, title, label)
    heading = f"{worth.title}, {_asked(batch)}"
    return f"<figure style='margin:0'><h3>{html.escape(heading)}</h3>{drawing}</figure>"


def _table(told: Mapping[int, Mapping[str, float]], worth: Worth | None) -> str:
    names = sorted({name for taken in told.values() for name in taken})
    order = list(worth.figures) if worth else []
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    heads = ["", *([worth.title] if worth else []), *(f"{_asked(batch)}, ms" for batch in told)]
    rows = [
        [
            name,
            *([worth.figures[name].text if name in worth.figures else "–"] if worth else []),
            *(f"{taken[name]:.3g}" if name in taken else "–" for taken in told.values()),
        ]
        for name in names
    ]
    return (
        f'<div class="box"><table>{_row(heads, "th")}'
        + "".join(_row(row) for row in rows)
        + "</table></div>\n"
    )


def _asked(batch: int) -> str:
    return "one at a time" if batch == 1 else f"{batch} at once"


def _row(cells: Sequence[str], tag: str = "td") -> str:
    inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inside}</tr>\n"


def _cell(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f}"
