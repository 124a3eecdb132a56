import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import axes, scatter
from pipeline.scatter import Point

COSTS = st.floats(1e-3, 1e9)
POINTS = st.lists(st.tuples(COSTS, st.floats(0, 1)), min_size=1, max_size=9)


def point(name, cost, value, kind="plain", reach=0.05):
    return Point(name, cost, value, value - reach, value + reach, kind)


def drawn(points, sign=1, y=None, title="cost"):
    x = scatter.cost_axis([one.cost for one in points])
    y = y or axes.share_axis(0.5, 1.0)
    return scatter.panel(points, sign, x, y, title, "figures by <cost>")


@given(POINTS, st.sampled_from([1, -1]))
def test_the_front_is_what_nothing_betters_in_both(pairs, sign):
    points = [point(f"n{place}", *pair) for place, pair in enumerate(pairs)]

    found = scatter.front(points, sign)

    def betters(one, two):
        as_good = one.cost <= two.cost and sign * one.value >= sign * two.value
        return as_good and (one.cost, one.value) != (two.cost, two.value)

    unbeaten = [one for one in points if not any(betters(other, one) for other in points)]
    assert {(one.cost, one.value) for one in found} == {(one.cost, one.value) for one in unbeaten}
    assert [one.cost for one in found] == sorted({one.cost for one in found})


@given(st.lists(COSTS, min_size=1, max_size=5))
def test_costs_have_a_scale_that_holds_them_and_some_ticks(costs):
    scale = scatter.cost_axis(costs)
    assert all(0 < scale.share(cost) < 1 for cost in costs)
    assert 1 <= len(scale.ticks) <= 6


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (40_000, "", "40k"),
        (1_250_000, "", "1.25M"),
        (0.02, "", "0.02"),
        (5_300, "B", "5.3\N{NO-BREAK SPACE}kB"),
        (400, "B", "400\N{NO-BREAK SPACE}B"),
    ],
)
def test_amounts_are_short(value, unit, text):
    assert scatter.amount(value, unit) == text


def test_points_that_cost_the_same_stand_side_by_side():
    same = [point("one", 100, 0.9), point("two", 100, 0.9), point("three", 101, 0.9)]
    drawing = drawn([*same, point("far", 1e6, 0.8)])
    places = sorted(float(at) for at in re.findall(r'<circle[^>]* cx="([0-9.]+)"', drawing))
    assert len(places) == 4
    assert min(after - before for before, after in pairwise(places)) >= 9.9


@pytest.mark.parametrize("sign", [1, -1])
def test_names_do_not_cover_each_other(sign):
    values = {"baseline": 10, "search": 40, "regularize": 40, "finetune": 40, "ensemble": 120}
    points = [point(name, 1e3 * cost, 0.9) for name, cost in values.items()]
    points += [point("distill", 4e3, 0.9, "chosen"), point("8 bits", 4e3, 0.9, "square")]
    points.append(point("without teacher", 4e3, 0.89, "hollow"))

    drawing = ElementTree.fromstring(drawn(points, sign))

    boxes = []
    for text in drawing.iter("text"):
        if not text.get("class").startswith("name"):
            continue
        at, foot = float(text.get("x")), float(text.get("y"))
        width = scatter.LETTER * len(text.text)
        left = {"start": at, "end": at - width, "middle": at - width / 2}[text.get("text-anchor")]
        boxes.append((left, foot - 10, left + width, foot + 2))
        assert left >= scatter.LEFT
        assert left + width <= scatter.WIDTH
    assert len(boxes) == len(points)
    for one, two in combinations(boxes, 2):
        apart = one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]
        assert apart, (one, two)


def test_a_value_beyond_the_scale_lies_on_its_edge_as_an_arrow():
    points = [point("in", 10, 0.8), point("below", 20, 0.1), point("above", 30, 1.5, "square")]
    drawing = drawn(points, y=axes.share_axis(0.7, 0.9))
    base = scatter.HEIGHT - scatter.BOTTOM
    tips = re.findall(r'class="mark (\w+)" d="M[0-9.]+ ([0-9.]+)h10l-5 (-?7)z"', drawing)
    assert tips == [("plain", f"{base - 7:.1f}", "7"), ("square", f"{scatter.TOP + 7:.1f}", "-7")]
    # Their intervals lie wholly outside.
    assert drawing.count('class="reach') == 1


def test_marks_tell_kinds_apart_and_text_is_escaped():
    points = [
        point("<b>&", 10, 0.8, "chosen"),
        point("h", 20, 0.8, "hollow"),
        point("s", 30, 0.8, "square"),
    ]
    drawing = drawn(points, title="<i>")
    assert 'class="mark chosen"' in drawing
    assert 'class="mark hollow"' in drawing
    assert '<rect class="mark square"' in drawing
    assert "&lt;b&gt;&amp;" in drawing
    assert "<b>" not in drawing
    assert "<i>" not in drawing
    assert 'aria-label="figures by &lt;cost&gt;"' in drawing
    assert drawing == drawn(points[::-1], title="<i>")
