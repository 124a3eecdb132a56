import math

import pytest

from metrics.readings import Reading, significant

SHARE = Reading(title="accuracy", sign=1, share=True, unit="")
NATS = Reading(title="log loss", sign=-1, share=False, unit="nats")
PRICE = Reading(title="mean absolute error", sign=-1, share=False, unit="price")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.123456, "0.1235"),
        (12.3456, "12.35"),
        (1234.56, "1,235"),
        (1234567.8, "1,234,568"),
        (-0.00012345, "-0.0001234"),
        (1.2346e-9, "1.235e-09"),
        (float("nan"), "not known"),
    ],
)
def test_four_digits_and_no_place_is_lost(value, text):
    assert significant(value) == text


def test_values_stand_in_their_unit():
    assert SHARE.text(0.98765) == "98.8 %"
    assert SHARE.span(0.9, 0.95) == "90.0 to 95.0"
    assert NATS.text(0.0271828) == "0.02718 nats"
    assert PRICE.text(1234.5) == "1,234 price"
    assert PRICE.span(12.0, 34.567) == "12.00 to 34.57"


def test_differences_are_signed_and_never_minus_nothing():
    assert SHARE.difference(-0.00001) == "+0.00"
    assert SHARE.difference(-0.0123) == "-1.23"
    assert SHARE.points == " percentage points"
    assert PRICE.difference(12.345) == "+12.35"
    assert PRICE.amount(-12.345) == "12.35"
    assert PRICE.points == " price"


def test_tolerance_is_of_the_figure_or_of_the_incumbent_s():
    assert SHARE.allowed(0.01, 0.5) == 0.01
    assert PRICE.allowed(0.01, 2000.0) == 20.0


def test_files_hold_as_many_digits_as_the_scale_asks_for():
    assert SHARE.rounded(0.123456789, 0.5) == 0.123457
    assert PRICE.rounded(123456.789123, 123456.789123) == 123456.8
    assert PRICE.rounded(1.23456789e-9, 1.2e-9) == 1.234568e-9
    # The dust of a difference of nought is not kept.
    assert PRICE.rounded(1e-17, 0.5) == 0.0


def test_what_a_figure_can_be():
    assert SHARE.bounds == (0.0, 1.0)
    assert NATS.bounds == PRICE.bounds == (0.0, math.inf)
    assert Reading(title="R²", sign=1, share=False, unit="").bounds == (-math.inf, 1.0)
