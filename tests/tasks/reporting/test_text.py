import pytest

from metrics.readings import Reading
from tasks.reporting import text

SHARE = Reading(title="recall of 'ill'", sign=1, share=True, unit="")
PRICE = Reading(title="mean absolute error", sign=-1, share=False, unit="price")


@pytest.mark.parametrize(
    ("reading", "figure", "heading"),
    [
        (SHARE, "93.2\N{NO-BREAK SPACE}% (90.0 to 95.5)", "Recall of 'ill'"),
        (PRICE, "0.9320 (0.9000 to 0.9550)", "Mean absolute error, price"),
    ],
)
def test_cells_leave_the_unit_to_their_heading(reading, figure, heading):
    assert text.figure(reading, 0.932, 0.9, 0.955) == figure
    assert text.heading(reading) == heading


def test_minus_signs_are_real_but_not_within_words():
    assert text.minus("-0.5 to -3, 1e-05, well-2") == (
        "\N{MINUS SIGN}0.5 to \N{MINUS SIGN}3, 1e-05, well-2"
    )


def test_long_lists_are_cut():
    assert text.listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert text.listed(["a", "b"], 2) == "a, b"
