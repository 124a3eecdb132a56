import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import multiple
from metrics.intervals import Bootstrap


def test_holm_by_hand():
    # Sorted: 0.005 < 0.05/4 = 0.0125; 0.01 < 0.05/3 = 0.0167; 0.03 is not below 0.05/2 = 0.025, so
    # 0.04 is not looked at, though it is below 0.05.
    assert multiple.holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    # Bonferroni would have found the first alone.
    assert [p < 0.05 / 4 for p in (0.014, 0.005, 0.5, 0.9)] == [False, True, False, False]
    assert multiple.holm([0.014, 0.005, 0.5, 0.9], 0.05) == [True, True, False, False]
    assert multiple.holm([], 0.05) == []
    assert multiple.holm([0.049], 0.05) == [True]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.5))
def test_holm_lies_between_bonferroni_and_no_correction(p_values, alpha):
    rejected = multiple.holm(p_values, alpha)
    for p, found in zip(p_values, rejected, strict=True):
        if p < alpha / len(p_values):
            assert found
        if p >= alpha:
            assert not found
    # Whatever is rejected has a smaller p than whatever is not.
    lost = [p for p, found in zip(p_values, rejected, strict=True) if not found]
    assert all(
        p <= min(lost, default=1) for p, found in zip(p_values, rejected, strict=True) if found
    )


@pytest.mark.parametrize("shift", [-3.0, -0.5, 0.02, 0.5, 1.5, 2.2, 3.0])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_p_says_the_same_as_the_interval(shift, level):
    draws = np.random.default_rng(3).normal(shift, 1, 999)
    interval = Bootstrap(999, level, 1).interval(shift, draws)
    excludes = interval.low > 0 or interval.high < 0
    assert (multiple.p_value(shift, draws) < 1 - level) == excludes


def test_p_by_hand():
    draws = np.array([-1.0, 1.0, 2.0, 3.0, 4.0])
    # The quantile is zero half-way between the first two of five: at 0.5 / 4, doubled.
    assert multiple.p_value(2.0, draws) == pytest.approx(2 / 6)
    assert multiple.p_value(2.0, np.arange(-1.0, 98.0)) == pytest.approx(2 * 1 / 98)
    # No draw below zero: no less than the draws can tell.
    assert multiple.p_value(2.0, np.ones(99)) == pytest.approx(0.02)
    assert multiple.p_value(-2.0, -np.ones(99)) == pytest.approx(0.02)
    # All on the other side, none at all, or no difference.
    assert multiple.p_value(2.0, -np.ones(99)) == 1
    assert multiple.p_value(2.0, np.full(9, np.nan)) == 1
    assert multiple.p_value(0.0, draws) == 1


def test_the_level_of_one_among_many():
    assert multiple.simultaneous(0.95, 10) == pytest.approx(0.995)
    assert multiple.simultaneous(0.95, 0) == 0.95
