"""Partition: what a row's part depends on, and what it does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dataset import partition
from dataset.examples import Examples
from dataset.partition import HOLDOUT, LEFT_OUT, TRAIN, VALIDATION
from tests.dataset import tabled

KEYS = arrays(np.uint64, st.integers(1, 60), elements=st.integers(0, 40))


def table(numbers: list[float], texts: list[str], labels: list[str] | None = None) -> Examples:
    return Examples(
        {"number": np.float32(numbers), "text": np.array(texts, dtype=object)},
        np.array(labels or ["a"] * len(numbers), dtype=object),
        np.arange(len(numbers), dtype=np.int64),
    )


def test_copies_have_one_key_whatever_their_labels_and_others_another() -> None:
    keys = partition.content_keys(
        table(
            [1, 1, 2, np.nan, np.nan, 0.0, -0.0], ["x", "x", "x", "", "", "z", "z"], list("abcdefg")
        )
    )
    assert keys[0] == keys[1]
    assert keys[3] == keys[4]
    assert keys[5] == keys[6]
    assert len(set(keys.tolist())) == 4


def test_pictures_have_keys_by_their_content() -> None:
    pictures = np.float32([[[[0.0]]], [[[1.0]]], [[[0.0]]]])
    keys = partition.content_keys(
        Examples({"picture": pictures}, np.array(list("abc"), dtype=object), np.arange(3))
    )
    assert keys[0] == keys[2] != keys[1]


def test_keys_are_of_a_row_alone_and_of_every_type_of_column() -> None:
    given, _ = tabled.table(
        list("abcd"),
        {"n": [1, 1, np.nan, 2], "t": ["x", "x", "", "y"], "when": [20000.25, 20000.5, np.nan, 1]},
        text=("t",),
        time=("when",),
    )
    keys = partition.content_keys(given)
    assert len(set(keys.tolist())) == 4
    for place in range(4):
        assert partition.content_keys(given.take(np.array([place])))[0] == keys[place]


def test_a_missing_number_is_one_value_whatever_its_bits() -> None:
    bits = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000], dtype=np.uint32).view(np.float32)
    given, _ = tabled.table(list("abc"), {"n": bits})
    assert len(set(partition.content_keys(given).tolist())) == 1


def test_near_keys_of_a_table_are_its_content_keys() -> None:
    given, _ = tabled.table(list("abc"), {"n": [1, 2, 1]})
    np.testing.assert_array_equal(partition.near_keys(given), partition.content_keys(given))


def test_splitmix_gives_its_published_numbers() -> None:
    # The first outputs for the seed 1234567, as in Rosetta Code's test of the generator.
    state, expected = 1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]
    drawn = partition.uniform(np.array([state] * 3, dtype=np.uint64)[:1], 0)
    assert drawn[0] == (expected[0] >> 11) * 2.0**-53
    later = [partition.uniform(np.array([state], dtype=np.uint64), seed)[0] for seed in (1, 2)]
    assert later == [(number >> 11) * 2.0**-53 for number in expected[1:]]


@given(KEYS, KEYS, st.integers(0, 5))
def test_rows_added_move_no_old_row(old: np.ndarray, new: np.ndarray, seed: int) -> None:
    before = partition.by_fractions(old, 0.2, 0.3, seed)
    after = partition.by_fractions(np.concatenate([old, new]), 0.2, 0.3, seed)
    np.testing.assert_array_equal(before, after[: len(old)])


def test_fractions_hold_on_average() -> None:
    codes = partition.by_fractions(np.arange(100_000, dtype=np.uint64), 0.2, 0.1, seed=1)
    # Four standard deviations of a share of 100,000.
    for part, share in ((TRAIN, 0.7), (VALIDATION, 0.2), (HOLDOUT, 0.1)):
        assert abs((codes == part).mean() - share) < 4 * np.sqrt(share * (1 - share) / 100_000)


@given(KEYS, st.integers(1, 20), st.integers(1, 20), st.integers(0, 5))
def test_counts_are_reached_and_equal_keys_stay_together(
    keys: np.ndarray, validation: int, holdout: int, seed: int
) -> None:
    codes = partition.by_counts(keys, validation, holdout, seed)
    most = np.bincount(np.unique(keys, return_inverse=True)[1]).max()
    assert min(holdout, len(keys)) <= (codes == HOLDOUT).sum() < holdout + most
    assert (codes == VALIDATION).sum() < validation + most
    for key in set(keys.tolist()):
        assert len(set(codes[keys == key].tolist())) == 1


@given(
    arrays(np.int64, st.integers(30, 80), elements=st.integers(0, 25)),
    st.sampled_from([(0.2, 0.2), (0.1, 0.3), (5, 7)]),
    st.integers(0, 1),
)
def test_the_past_trains_and_the_future_tests(times: np.ndarray, shares: tuple, gap: int) -> None:
    if len(np.unique(times)) < 3:
        return
    codes, (seen, held) = partition.by_time(times, *shares, gap)
    ends = [
        (times[codes == part].min(initial=99), times[codes == part].max(initial=-1))
        for part in (TRAIN, VALIDATION, HOLDOUT)
    ]
    assert ends[0][1] < ends[1][0]
    assert ends[1][1] < ends[2][0]
    assert (codes == HOLDOUT).any()
    for time in set(times.tolist()):
        assert len(set(codes[times == time].tolist())) == 1
    distinct = np.unique(times)
    left = set(distinct[(np.isin(np.arange(len(distinct)), [seen - 1, held - 1]))].tolist())
    assert set(times[codes == LEFT_OUT].tolist()) == (left if gap else set())


def test_the_share_of_time_is_of_examples_not_of_times() -> None:
    codes, begins = partition.by_time(np.array([1] * 6 + [2, 2, 3, 3]), 0.2, 0.2, 0)
    assert codes.tolist() == [TRAIN] * 6 + [VALIDATION] * 2 + [HOLDOUT] * 2
    assert begins == (1, 2)


def test_parts_by_name() -> None:
    names = np.array(["Train", " test", "VAL", "holdout"], dtype=object)
    assert partition.by_names(names).tolist() == [TRAIN, HOLDOUT, VALIDATION, HOLDOUT]
    with pytest.raises(KeyError, match="tset"):
        partition.by_names(np.array(["tset"], dtype=object))


def test_texts_of_numbers_are_told_apart_by_value_and_missing_ones_are_alike() -> None:
    keys = partition.text_keys(np.array([1, np.nan, 0.0, -0.0, np.nan, 1], dtype=np.float32))
    assert len(set(keys.tolist())) == 3
    assert keys[0] == keys[5]
    assert keys[1] == keys[4]
    assert keys[2] == keys[3]
    assert len(set(partition.text_keys(["a", "b", "a"]).tolist())) == 2
