"""The split: disjoint, complete, stratified, and repeatable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.examples import Examples
from pipeline.errors import InputError
from tasks.split import SplitParams, stratified


def examples(counts: dict[str, int]) -> Examples:
    labels = np.array([label for label, n in counts.items() for _ in range(n)], dtype=object)
    rows = np.arange(len(labels), dtype=np.int64)
    return Examples({"x": rows.astype(np.float32)}, labels, rows)


PARAMS = SplitParams(validation=0.2, holdout=0.25, seed=3)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(3, 40), min_size=1))
def test_every_row_is_in_one_part_and_every_class_in_all(counts: dict[str, int]) -> None:
    parts = stratified(examples(counts), PARAMS)
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(sum(counts.values())))
    for part, share in zip(parts, (0.55, 0.2, 0.25), strict=True):
        assert part.rows.tolist() == sorted(part.rows.tolist())
        assert set(part.labels) == set(counts)
        for label, count in counts.items():
            assert abs((part.labels == label).sum() - share * count) <= 1.0


def test_the_seed_decides() -> None:
    many = examples({"a": 50, "b": 50})
    one, again = (stratified(many, PARAMS)[0].rows for _ in range(2))
    other = stratified(many, PARAMS.model_copy(update={"seed": 4}))[0].rows
    assert (one == again).all()
    assert (one != other).any()


@pytest.mark.parametrize("members", [1, 2])
def test_a_class_too_small_for_every_part_is_named(members: int) -> None:
    with pytest.raises(InputError, match=f"class 'rare' has {members} example"):
        stratified(examples({"common": 30, "rare": members}), PARAMS)


def test_parts_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match="must leave rows to train on"):
        SplitParams(validation=0.5, holdout=0.5, seed=1)
