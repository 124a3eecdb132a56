import pytest

from models.transfer.source_units import alike


@pytest.mark.parametrize(("one", "other"), [(70, 70), (40, 90), (90, 40), (0.2, 0.3)])
def test_pictures_that_spread_about_as_much_are_of_one_unit(one, other):
    assert alike(one, other)


@pytest.mark.parametrize(("one", "other"), [(70, 0.3), (0.3, 70), (6, 70), (70, 6), (1, 0)])
def test_bytes_and_fractions_are_not(one, other):
    assert not alike(one, other)
