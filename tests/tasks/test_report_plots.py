import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import report_plots as plots

FIGURES = st.floats(-1e12, 1e12, allow_nan=False)


@pytest.mark.parametrize(
    ("low", "high", "names"),
    [
        (0, 0.37, ["0", "0.1", "0.2", "0.3", "0.4"]),
        (-3, 3, ["\N{MINUS SIGN}4", "\N{MINUS SIGN}2", "0", "2", "4"]),
        (0, 1400, ["0", "500", "1,000", "1,500"]),
        (12_000, 61_000, ["0", "20k", "40k", "60k", "80k"]),
        (1.1e6, 1.4e6, ["1,100k", "1,200k", "1,300k", "1,400k"]),
        (2e7, 9e7, ["20M", "40M", "60M", "80M", "100M"]),
    ],
)
def test_ticks_have_just_the_digits_that_tell_them_apart(low, high, names):
    assert [name for _, name in plots.plain_axis(low, high).ticks] == names


@given(FIGURES, FIGURES)
def test_an_axis_holds_both_ends_and_its_ticks_differ(one, two):
    low, high = sorted((one, two))
    scale = plots.plain_axis(low, high)
    dust = 1e-6 * max(abs(low), abs(high), 1e-300)
    assert scale.low - dust <= low <= high <= scale.high + dust
    assert 2 <= len(scale.ticks) <= 8
    assert scale.low < scale.high


def test_whiskers_beyond_the_scale_are_cut_and_an_arrow_says_so():
    scale = plots.plain_axis(0, 10)
    inside = plots.whiskers([(5, 4, 6, "plain")], scale, "inside")
    assert "tip" not in inside
    assert inside.count("<circle") == 1
    below = plots.whiskers([(-5, -6, -4, "plain")], scale, "below")
    assert 'class="plain tip"' in below
    assert "<circle" not in below
    above = plots.whiskers([(12, 9, 15, "plain")], scale, "above")
    assert 'class="plain tip far"' in above
    assert "<circle" not in above
    # The part of the interval that lies within is drawn.
    assert re.search(r'class="plain" x1="88\.40%" x2="98\.00%"', above)


def test_text_readers_stand_side_by_side():
    scale = plots.category_axis(["convolution", "pool"])
    assert scale.ticks == ((0.0, "convolution"), (1.0, "pool"))
    assert (scale.low, scale.high) == (-0.5, 1.5)


def test_points_beyond_a_scatter_lie_on_its_edge():
    scale = plots.plain_axis(0, 10)
    panel = plots.scatter_panel([(5, 5), (5, 1e9), (5, -1e9)], scale, scale, "actual", "label")
    [path] = re.findall(r'class="dots" d="([^"]+)"', panel)
    heights = [float(height) for height in re.findall(r" ([0-9.]+)h0", path)]
    assert heights == [(plots.TOP + plots.HEIGHT - plots.BOTTOM) / 2, 10.0, 164.0]


def test_zero_is_drawn_darker_where_differences_lie_on_both_sides():
    drawn = [(0.5, -0.5, 1.5, "plain")]
    around = plots.whiskers(drawn, plots.plain_axis(-1, 2), "a difference")
    assert around.count('class="axis"') == 1
    assert 'class="axis"' not in plots.whiskers(drawn, plots.plain_axis(0, 2), "a share")
