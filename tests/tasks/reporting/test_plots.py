import re

from pipeline import axes
from tasks.reporting import plots


def test_whiskers_beyond_the_scale_are_cut_and_an_arrow_says_so():
    scale = axes.plain_axis(0, 10)
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


def test_points_beyond_a_scatter_lie_on_its_edge():
    scale = axes.plain_axis(0, 10)
    panel = plots.scatter_panel([(5, 5), (5, 1e9), (5, -1e9)], scale, scale, "actual", "label")
    [path] = re.findall(r'class="dots" d="([^"]+)"', panel)
    heights = [float(height) for height in re.findall(r" ([0-9.]+)h0", path)]
    assert heights == [(plots.TOP + plots.HEIGHT - plots.BOTTOM) / 2, 10.0, 164.0]


def test_zero_is_drawn_darker_where_differences_lie_on_both_sides():
    drawn = [(0.5, -0.5, 1.5, "plain")]
    around = plots.whiskers(drawn, axes.plain_axis(-1, 2), "a difference")
    assert around.count('class="axis"') == 1
    assert 'class="axis"' not in plots.whiskers(drawn, axes.plain_axis(0, 2), "a share")
