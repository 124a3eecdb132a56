"""Balance: equal classes by weight or by repeats, with nothing lost."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from models.balance import balanced
from models.partition import content_keys
from tests.models.tabled import table

LABELS = ["a"] * 20 + ["b"] * 7 + ["c"] * 3


def test_weights_are_scikit_learns_times_the_own() -> None:
    examples, _ = table(LABELS, {"x": np.arange(30)})
    weighed, note = balanced(examples, content_keys(examples), "weights", 1)
    assert weighed.weights is not None
    assert weighed.weights.dtype == np.float32
    np.testing.assert_allclose(weighed.weights, compute_sample_weight("balanced", LABELS), 1e-6)
    assert note.endswith("an example of 'c' counts 3.33, one of 'a' 0.5")
    doubled = type(examples)(
        examples.features, examples.targets, examples.rows, np.full(30, 2, dtype=np.float32)
    )
    again, _ = balanced(doubled, content_keys(examples), "weights", 1)
    np.testing.assert_allclose(again.weights, 2 * weighed.weights)


@pytest.mark.parametrize("order", [np.arange(30), np.arange(30)[::-1]])
def test_repeats_make_classes_equal_and_the_remainder_goes_by_content(order: np.ndarray) -> None:
    examples, _ = table(LABELS, {"x": np.arange(30)})
    given = examples.take(order)
    repeated, note = balanced(given, content_keys(given), "resample", 1)
    classes, counts = np.unique(repeated.targets.astype(str), return_counts=True)
    assert dict(zip(classes.tolist(), counts.tolist(), strict=True)) == {"a": 20, "b": 20, "c": 20}
    rows, often = np.unique(repeated.rows, return_counts=True)
    assert rows.tolist() == list(range(30))
    assert set(often[20:27].tolist()) == {2, 3}
    assert set(often[27:].tolist()) == {6, 7}
    assert note.endswith("30 became 60, 20 of each class")
    first, _ = balanced(examples, content_keys(examples), "resample", 1)
    assert sorted(first.rows.tolist()) == sorted(repeated.rows.tolist())
