"""Folds: whole, disjoint, even, repeatable; no fold trains on its future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dataset import folds

KEYS = arrays(np.uint64, st.integers(5, 60), elements=st.integers(0, 25))


@given(KEYS, st.integers(2, 5), st.integers(0, 3))
def test_units_stay_whole_and_no_fold_is_empty(keys: np.ndarray, count: int, seed: int) -> None:
    if len(set(keys.tolist())) < count:
        with pytest.raises(ValueError, match="folds of"):
            folds.deal(keys, np.zeros(len(keys), dtype=int), count, seed)
        return
    folding = folds.deal(keys, np.zeros(len(keys), dtype=int), count, seed)
    assert set(folding.fold.tolist()) == set(range(count))
    assert folding.count() == count
    for key in set(keys.tolist()):
        assert len(set(folding.fold[keys == key].tolist())) == 1
    for fold in range(count):
        np.testing.assert_array_equal(folding.training(fold), folding.fold != fold)


@given(arrays(np.int64, st.integers(5, 80), elements=st.integers(0, 3)), st.integers(2, 5))
def test_strata_and_sizes_are_even_within_one(strata: np.ndarray, count: int) -> None:
    keys = np.arange(len(strata), dtype=np.uint64) * np.uint64(7)
    folding = folds.deal(keys, strata, count, 1)
    for stratum in set(strata.tolist()):
        held = np.bincount(folding.fold[strata == stratum], minlength=count)
        assert held.max() - held.min() <= 1
    sizes = np.bincount(folding.fold, minlength=count)
    assert sizes.max() - sizes.min() <= 1


def test_groups_of_unlike_strata_are_spread() -> None:
    # Eight groups of four rows of the common class, four groups of two rows of the rare one.
    keys = np.repeat(np.arange(12, dtype=np.uint64), [4] * 8 + [2] * 4)
    strata = np.repeat([0, 1], [32, 8])
    folding = folds.deal(keys, strata, 4, 3)
    assert np.bincount(folding.fold[strata == 0]).tolist() == [8] * 4
    assert np.bincount(folding.fold[strata == 1]).tolist() == [2] * 4


@given(KEYS, st.integers(0, 5))
def test_the_order_of_the_rows_does_not_matter(keys: np.ndarray, seed: int) -> None:
    if len(set(keys.tolist())) < 3:
        return
    strata = (keys % np.uint64(2)).astype(int)
    order = np.random.default_rng(seed).permutation(len(keys))
    one = folds.deal(keys, strata, 3, seed).fold
    other = folds.deal(keys[order], strata[order], 3, seed).fold
    np.testing.assert_array_equal(one[order], other)


def test_repeats_differ() -> None:
    keys = np.arange(50, dtype=np.uint64)
    one, two = folds.repeated(keys, np.zeros(50, dtype=int), 5, 2, 1)
    assert (one.fold != two.fold).any()


@given(
    arrays(np.int64, st.integers(20, 80), elements=st.integers(-9, 9)),
    st.integers(1, 4),
    st.integers(0, 1),
)
def test_no_fold_trains_on_its_future(times: np.ndarray, count: int, gap: int) -> None:
    distinct = np.unique(times)
    if len(distinct) < (count + 1) * (gap + 1):
        with pytest.raises(ValueError, match="distinct times"):
            folds.forward(times, count, gap)
        return
    folding = folds.forward(times, count, gap)
    assert folding.count() == count
    for fold in range(count):
        begin = np.flatnonzero(distinct == times[folding.fold == fold].min())[0]
        trained = set(times[folding.training(fold)].tolist())
        assert trained == set(distinct[: begin - gap].tolist())
        assert trained
    assert (folding.fold >= 0).any()
    seen = [set(times[folding.fold == fold].tolist()) for fold in range(-1, count)]
    assert sorted(time for part in seen for time in part) == distinct.tolist()


def test_the_stretches_are_equal_in_rows() -> None:
    folding = folds.forward(np.arange(40), 3, 0)
    assert [(folding.fold == fold).sum() for fold in (-1, 0, 1, 2)] == [10] * 4
