"""Balance: equal classes by repeats, with nothing lost; the weights are dataset.target's."""

import numpy as np
import pytest

from dataset import balance
from dataset.partition import content_keys
from tests.dataset.tabled import table

LABELS = ["a"] * 20 + ["b"] * 7 + ["c"] * 3


@pytest.mark.parametrize("order", [np.arange(30), np.arange(30)[::-1]])
def test_repeats_make_classes_equal_and_the_remainder_goes_by_content(order: np.ndarray) -> None:
    examples, _ = table(LABELS, {"x": np.arange(30)})
    given = examples.take(order)
    times = balance.repeats(given.targets, content_keys(given), 1)
    for label in "abc":
        assert times[given.targets == label].sum() == 20
    assert set(times[given.targets == "b"].tolist()) == {2, 3}
    assert set(times[given.targets == "c"].tolist()) == {6, 7}
    first = balance.repeats(examples.targets, content_keys(examples), 1)
    assert first[order].tolist() == times.tolist()
    assert balance.told_of_repeats(times).endswith("30 became 60")


def test_weights_are_said() -> None:
    examples, _ = table(LABELS, {"x": np.arange(30)})
    assert balance.told(examples.targets).endswith("of 'c' counts 3.33, one of 'a' 0.5")
