import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import axes

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
    assert [name for _, name in axes.plain_axis(low, high).ticks] == names


@given(FIGURES, FIGURES)
def test_an_axis_holds_both_ends_and_its_ticks_differ(one, two):
    low, high = sorted((one, two))
    scale = axes.plain_axis(low, high)
    dust = 1e-6 * max(abs(low), abs(high), 1e-300)
    assert scale.low - dust <= low <= high <= scale.high + dust
    assert 2 <= len(scale.ticks) <= 8
    assert scale.low < scale.high


def test_text_readers_stand_side_by_side():
    scale = axes.category_axis(["convolution", "pool"])
    assert scale.ticks == ((0.0, "convolution"), (1.0, "pool"))
    assert (scale.low, scale.high) == (-0.5, 1.5)


def test_what_lies_far_off_is_left_out_of_a_scale():
    networks = [(0.82, 0.88), (0.87, 0.93), (0.90, 0.95)]
    linear, constant = (0.76, 0.84), (0.29, 0.38)
    held = axes.near([constant, linear, *networks], 0.93, networks)
    assert held == [linear, *networks]
    # One network that went wild does not count as typical.
    assert axes.near([*networks, (1e9, 1e9)], 0.93, [*networks, (1e9, 1e9)]) == networks
