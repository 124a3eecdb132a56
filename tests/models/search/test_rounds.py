import pytest

from models.search.rounds import brackets, expected, longest
from tests.models.search.test_space import CONDITIONAL, space

TABLE = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(27, 3), (9, 9), (3, 27), (1, 81)],
    [(9, 9), (3, 27), (1, 81)],
    [(6, 27), (2, 81)],
    [(5, 81)],
]
"""Of Li et al. (2018) for R = 81 and a factor of 3: trials and the epochs of each."""


def test_brackets_are_those_of_the_paper():
    assert brackets(81, 3) == TABLE


def test_epochs_that_are_no_power_are_rounded_up():
    assert brackets(20, 3) == [[(9, 3), (3, 7), (1, 20)], [(3, 7), (1, 20)], [(3, 20)]]
    assert brackets(1, 3) == [[(1, 1)]]


def test_what_a_search_costs_at_the_most():
    wide = space(**CONDITIONAL)

    assert expected("random", wide, 7, 10, 3) == (7, 70)
    assert expected("grid", wide, None, 10, 3) == (30, 300)
    assert expected("grid", wide, 7, 10, 3) == (7, 70)
    every = [pair for bracket in TABLE for pair in bracket]
    trials = sum(count for count, _ in every)
    epochs = sum(count * length for count, length in every)
    assert expected("hyperband", wide, None, 81, 3) == (trials, epochs)
    assert expected("hyperband", wide, 82, 81, 3) == (82, 84)


@pytest.mark.parametrize("epochs", [2, 3, 26, 27, 28, 243])
def test_every_bracket_ends_with_all_epochs(epochs):
    for bracket in brackets(epochs, 3):
        assert bracket[-1][1] == epochs
        assert all(count >= 1 for count, _ in bracket)


def test_the_longest_trial_is_that_of_the_space_if_epochs_are_varied():
    assert longest(space(width={"choice": [4, 8]}), 10) == 10
    assert longest(space(epochs={"int": [2, 9]}), 10) == 9
    assert longest(space(epochs={"choice": [30, 5]}), 10) == 30
    conditional = {"choice": [4, 5], "when": {"width": [4]}}
    assert longest(space(width={"choice": [4, 8]}, epochs=conditional), 10) == 10
