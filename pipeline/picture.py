"""The DAG as a picture: an SVG that is legible in a README, in a report and on a phone.

The stages stand below each other in story order. A dependency on the stage right above is an
arrow between the two; every other result runs down a rail of its own on the left, and a dot marks
each stage that takes it from there. So no two results share a line, however many there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from textwrap import wrap
from xml.etree import ElementTree

Stages = Sequence[tuple[str, Sequence[str]]]

WIDTH = 360
"""Of the whole picture, in user units; a phone shows one to one."""
LANE = 15
PADDING = 12
GAP = 26
NAME_SIZE, LABEL_SIZE = 15, 12
LINE = 16
LETTER = 0.54
"""Mean width of a sans-serif letter, as a share of its size."""

# Rails are legible on white and on black; boxes bring their own ground, so text always is.
STYLE = """\
.dag{--box:#fff;--edge:#7a8699;--text:#1c2430;--soft:#566174;--rail:#7587a3}
@media (prefers-color-scheme:dark){.dag{--box:#1b222d;--edge:#7c899e;--text:#e8ecf2;--soft:#a9b4c4}}
.dag text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.dag .box{fill:var(--box);stroke:var(--edge)}
.dag .name{font-size:15px;font-weight:600;fill:var(--text)}
.dag .label{font-size:12px;fill:var(--soft)}
.dag .rail{fill:none;stroke:var(--rail);stroke-width:1.5}
.dag .tip{fill:var(--rail)}
"""


@dataclass(frozen=True)
class _Box:
    """One stage's place."""

    name: str
    label: tuple[str, ...]
    left: float
    top: float

    @property
    def height(self) -> float:
        return 2 * PADDING + NAME_SIZE + LINE * len(self.label)

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def entry(self) -> float:
        """Where lines from rails arrive."""
        return self.top + PADDING + 2

    @property
    def exit(self) -> float:
        """Where the line to its own rail leaves."""
        return self.bottom - PADDING + 2


def draw(stages: Stages, labels: Mapping[str, str]) -> str:
    """The SVG of a DAG.

    stages: each with the names of the stages it depends on, in an order in which every stage
    comes after those. labels: an optional second line by name, wrapped where it is long.
    Raises ValueError for a dependency that does not come before.
    """
    _require_order(stages)
    rails = _rails(stages)
    lanes = _lanes(rails)
    left = 2 + LANE * (max(lanes.values(), default=-1) + 1) + (LANE if lanes else 0)
    boxes = _place([name for name, _ in stages], labels, left)
    at = {name: left - LANE * (lane + 1) - 4 for name, lane in lanes.items()}
    parts = [_between(boxes[above], boxes[below]) for above, below in _steps(stages)]
    parts += [_rail(boxes[name], boxes[takers[-1]], at[name]) for name, takers in rails.items()]
    for box in boxes.values():
        taken = [at[name] for name, takers in rails.items() if box.name in takers]
        parts += [_entrance(box, taken)] if taken else []
    parts += [_box(boxes[name], needs) for name, needs in stages]
    height = max((box.bottom for box in boxes.values()), default=0) + 2
    spoken = ". ".join(
        f"{name} reads {', '.join(needs)}" if needs else f"{name} reads the raw data"
        for name, needs in stages
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="dag" role="img" '
        f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}">\n'
        f"<title>The stages and what they read</title>\n<desc>{escape(spoken)}.</desc>\n"
        f"<style>\n{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def read(picture: str) -> list[tuple[str, list[str]]]:
    """The stages of a picture that `draw` made, with what they depend on: so that it can be drawn
    again with other labels. Raises ValueError where the text is no such picture."""
    try:
        groups = ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}g")
        return [
            (group.attrib["data-stage"], group.attrib["data-needs"].split()) for group in groups
        ]
    except (ElementTree.ParseError, KeyError) as error:
        raise ValueError(f"not a picture of stages: {error}") from None


def _require_order(stages: Stages) -> None:
    met: set[str] = set()
    for name, needs in stages:
        late = [need for need in needs if need not in met]
        if late:
            raise ValueError(f"{name} depends on {late[0]}, which does not come before it")
        met.add(name)


def _steps(stages: Stages) -> list[tuple[str, str]]:
    """Pairs of neighbours of which the lower reads the upper."""
    return [(above, below) for (above, _), (below, needs) in pairwise(stages) if above in needs]


def _rails(stages: Stages) -> dict[str, list[str]]:
    """For each stage, in order, those that read it but do not follow at once; without empties."""
    neighbours = set(_steps(stages))
    takers = {
        name: [
            other for other, needs in stages if name in needs and (name, other) not in neighbours
        ]
        for name, _ in stages
    }
    return {name: others for name, others in takers.items() if others}


def _lanes(rails: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """A lane for each rail, 0 nearest to the boxes: later stages nearer, so that a line on its way
    out to its rail crosses no other."""
    return {name: lane for lane, name in enumerate(reversed(list(rails)))}


def _place(names: Sequence[str], labels: Mapping[str, str], left: float) -> dict[str, _Box]:
    letters = int((WIDTH - left - 2 * PADDING) / (LABEL_SIZE * LETTER))
    boxes: dict[str, _Box] = {}
    top = 2.0
    for name in names:
        box = _Box(name, tuple(wrap(labels.get(name, ""), letters)), left, top)
        boxes[name] = box
        top = box.bottom + GAP
    return boxes


def _box(box: _Box, needs: Sequence[str]) -> str:
    # The attributes are for `read`.
    width = WIDTH - box.left - 2
    x, y = box.left + PADDING, box.top + PADDING + NAME_SIZE - 3
    lines = "".join(
        f'<text class="label" x="{x:g}" y="{y + LINE * (place + 1):g}">{escape(line)}</text>'
        for place, line in enumerate(box.label)
    )
    return (
        f'<g data-stage="{escape(box.name)}" data-needs="{escape(" ".join(needs))}">'
        f'<rect class="box" x="{box.left:g}" y="{box.top:g}" width="{width:g}" '
        f'height="{box.height:g}" rx="6"/>'
        f'<text class="name" x="{x:g}" y="{y:g}">{escape(box.name)}</text>{lines}</g>'
    )


def _between(above: _Box, below: _Box) -> str:
    x = above.left + PADDING + 14
    return (
        f'<path class="rail" d="M{x:g} {above.bottom:g}V{below.top - 6:g}"/>'
        f'<path class="tip" d="M{x - 4:g} {below.top - 8:g}h8l-4 7z"/>'
    )


def _rail(maker: _Box, last: _Box, x: float) -> str:
    """The rail at `x` from its maker down to the last stage that takes from it."""
    return f'<path class="rail" d="M{maker.left:g} {maker.exit:g}H{x:g}V{last.entry:g}"/>'


def _entrance(taker: _Box, rails: Sequence[float]) -> str:
    """One line into the taker, with a dot on each rail that it takes from."""
    y = taker.entry
    dots = "".join(f'<circle class="tip" cx="{x:g}" cy="{y:g}" r="3"/>' for x in rails)
    return (
        f'<path class="rail" d="M{min(rails):g} {y:g}H{taker.left - 6:g}"/>{dots}'
        f'<path class="tip" d="M{taker.left - 7:g} {y - 4:g}v8l7-4z"/>'
    )
