import math

import pytest

from models.trials import Outcome, thresholds


def test_thresholds_are_medians_of_running_means_after_a_grace():
    curves = [[4.0, 2.0, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0], [8.0, 0.0]]

    found = thresholds(curves, 8)

    # Running means by epoch: 4, 3, 2, 2 and then 2; 1; 8, 4 and then 4.
    assert found == (math.inf, math.inf, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert thresholds(curves, 4) == (math.inf, 3.0, 2.0, 2.0)


def test_without_earlier_trials_there_are_none():
    assert thresholds([], 8) == ()


@pytest.mark.parametrize(
    ("status", "lasting"), [("completed", True), ("failed", True), ("memory", False)]
)
def test_what_memory_did_not_suffice_for_is_tried_again(status, lasting):
    assert Outcome(status, "", None).lasting == lasting
