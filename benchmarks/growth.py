"""What more rows and more trials cost: time and memory, and whether any of it grows faster.

    python -m benchmarks.growth rows 1000 10000 100000 1000000 10000000
    python -m benchmarks.growth trials 10 30 100 300 1000
    python -m benchmarks.growth draw

The first takes tables of 30 columns from ingest to the baseline (one epoch, one seed, one worker),
as `benchmarks.streaming` does. The second is a whole run with a search of so many trials of one
epoch on a few rows, two at a time, so that nearly all of the time is what the search costs beside
training: proposals, rounds, kept pieces, task runs, tables and report. Each size is put into
benchmarks/growth.json as soon as it is there; the last draws docs/growth.svg from it.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, call, clone
from benchmarks.speed import made
from benchmarks.streaming import GIB, configure, watched, write_parts
from pipeline.axes import Axis, logarithmic_axis
from pipeline.scatter import amount

RESULTS = ROOT / "benchmarks" / "growth.json"
CHART = ROOT / "docs" / "growth.svg"
FEW = 400
"""Rows of the table that many trials are made on."""
LEAST_SPAN = 10.0
"""Of an axis, the highest over the lowest."""
SECONDS, MEMORY = "seconds", "peak GiB"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 360, 260, 56, 40, 24, 96
COLOURS = ("#0b6e99", "#b3541e", "#4f7942", "#7a4f9a", "#8a8a2c")


def rows(count: int) -> dict[str, float]:
    """Seconds of every stage up to the baseline, and the peak of all processes."""
    with clone() as root:
        write_parts(root / "data" / "big", count)
        call(root, "./fettle", "init", "data/big", "--target", "y", "--yes")
        configure(root)
        figures, peak = {}, 0
        for stage in ("ingest", "split", "baseline"):
            seconds, held, _ = watched(["./fettle", "stage", stage], root)
            figures[stage], peak = seconds, max(peak, held)
    return {**figures, MEMORY: peak / GIB}


def many(root: Path, trials: int) -> None:
    """Set up a run that is hardly more than a search of so many trials."""
    from ruamel.yaml import YAML

    yaml, path = YAML(), root / "params.yaml"
    content = yaml.load(path)
    content["run"]["workers"] = 2
    content["recipe"] |= {"epochs": 1, "width": 8, "depth": 1, "batch_size": 128}
    content["baseline"] |= {"seeds": [1], "shares": []}
    content["search"] |= {
        "method": "random",
        "budget": {"trials": trials, "epochs": None, "minutes": None},
        "space": {
            "learning_rate": {"float": [0.0003, 0.01], "log": True},
            "dropout": {"float": [0.05, 0.3]},
            "width": {"choice": [8, 12, 16]},
        },
        "set": {},
        "retrain": 1,
        "seeds": [1],
        "hopeless": True,
    }
    for stage in ("regularize", "finetune", "distill"):
        content[stage]["enabled"] = False
    yaml.dump(content, path)


def trials(count: int) -> dict[str, float]:
    """Seconds of the search, of what follows it and of the whole run, and the peak."""
    with clone() as root:
        table = root / "data" / "few.csv"
        made(table, FEW)
        call(root, "./fettle", "init", "data/few.csv", "--target", "label", "--yes")
        many(root, count)
        whole, peak, _ = watched(["./fettle", "run"], root)
        spent = {
            path.parent.name: json.loads(path.read_text(encoding="utf-8"))
            for path in root.glob("artifacts/*/timing.json")
        }
        fits = spent["search"]["spans"].get("fit", 0.0)
    return {
        "search": spent["search"]["seconds"],
        "its fits, over two workers": fits,
        "evaluate and report": spent["evaluate"]["seconds"] + spent["report"]["seconds"],
        "the whole run": whole,
        MEMORY: peak / GIB,
    }


KINDS: Mapping[str, Callable[[int], dict[str, float]]] = {"rows": rows, "trials": trials}


def measure(kind: str, sizes: Sequence[int]) -> None:
    """Measure every size, print what was found and how fast it grew, and keep it."""
    for size in sizes:
        found = KINDS[kind](size)
        kept = _kept()
        kept.setdefault(kind, {})[str(size)] = found
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        told = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
        print(f"{size:,} {kind}: {told}", flush=True)
    for name, exponent in exponents(_kept()[kind]).items():
        print(f"{name}: grows as {kind} to the power of {exponent:.2f} at the largest sizes")


def exponents(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Of each figure, the slope between the two largest sizes on logarithmic scales: 1 is as fast
    as the sizes themselves, 2 their square. Nothing where there is but one size."""
    sizes = sorted(map(int, found))[-2:]
    if len(sizes) < 2:
        return {}
    small, large = (found[str(size)] for size in sizes)
    reach = math.log(sizes[1] / sizes[0])
    return {name: math.log(large[name] / small[name]) / reach for name in large if small[name] > 0}


def _kept() -> dict[str, dict[str, dict[str, float]]]:
    if not RESULTS.exists():
        return {}
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return content


def drawing(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Seconds and memory of each kind over its sizes, all scales logarithmic, as one SVG."""
    panels = []
    for row, (kind, sizes) in enumerate(sorted(found.items())):
        names = list(next(iter(sizes.values())))
        seconds = [name for name in names if name != MEMORY]
        for column, (title, shown) in enumerate(((SECONDS, seconds), (MEMORY, [MEMORY]))):
            place = f"translate({column * WIDTH} {row * HEIGHT})"
            panels.append(f'<g transform="{place}">{_panel(kind, sizes, title, shown)}</g>')
    height = HEIGHT * len(found)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {height}" '
        'font-family="sans-serif" font-size="11" role="img" '
        'aria-label="Time and memory over rows and over trials">'
        f'<rect width="{2 * WIDTH}" height="{height}" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(
    kind: str, found: Mapping[str, Mapping[str, float]], title: str, names: Sequence[str]
) -> str:
    sizes = sorted(map(int, found))
    lines = {name: [(size, max(found[str(size)][name], 1e-3)) for size in sizes] for name in names}
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max(values)
    # What hardly grows should look like it, and have a tick beside it.
    wider = math.sqrt(max(1.0, LEAST_SPAN / (high / low)))
    x, y = logarithmic_axis(sizes[0], sizes[-1]), logarithmic_axis(low / wider, high * wider)
    parts = [f'<text x="{LEFT}" y="14" font-weight="600">{escape(title)} by {kind}</text>']
    for at, _ in x.ticks:
        parts.append(_tick(_x(x, at), HEIGHT - BOTTOM + 16, "middle", amount(at)))
    for at, _ in y.ticks:
        height = _y(y, at)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}" '
            'stroke="#ddd"/>' + _tick(LEFT - 6, height + 4, "end", amount(at))
        )
    ends = _apart([_y(y, line[-1][1]) for line in lines.values()])
    for (name, line), colour, end in zip(lines.items(), COLOURS, ends, strict=False):
        corners = "L".join(f"{_x(x, at):.1f} {_y(y, value):.1f}" for at, value in line)
        parts.append(f'<path d="M{corners}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{_x(x, at):.1f}" cy="{_y(y, value):.1f}" r="3" fill="{colour}"/>'
            for at, value in line
        ]
        parts.append(
            f'<text x="{WIDTH - RIGHT + 6}" y="{end + 4:.1f}" fill="{colour}">'
            f"{escape(name.split(',')[0])}</text>"
        )
    return "".join(parts)


def _apart(heights: Sequence[float], least: float = 13.0) -> list[float]:
    """The heights, moved down where two names would lie on each other."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    moved = list(heights)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + least)
    return moved


def _tick(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#555">{text}</text>'


def _x(scale: Axis, value: float) -> float:
    return LEFT + scale.share(value) * (WIDTH - LEFT - RIGHT)


def _y(scale: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - scale.share(value) * (HEIGHT - BOTTOM - TOP)


def main() -> None:
    """What the arguments say."""
    what, *sizes = sys.argv[1:] or [""]
    if what == "draw":
        CHART.write_text(drawing(_kept()), encoding="utf-8")
    elif what in KINDS and sizes and all(size.isdigit() for size in sizes):
        measure(what, [int(size) for size in sizes])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
