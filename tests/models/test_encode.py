import numpy as np
import pytest

from models import determinism, encode
from tests.models import small


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def encoded(train, schema, rows=None):
    encoder = encode.build(encode.learn(train, schema))
    return encode.run(encoder, train if rows is None else rows)


def test_numbers_are_standardised_and_missing_ones_imputed_and_marked():
    train = small.examples(["a"] * 4, x=[1, 3, np.nan, 2], y=[0, 1, 0, 1])

    values = encoded(train, small.schema("x", "y"))

    deviation = np.sqrt(2 / 3)
    np.testing.assert_allclose(
        values,
        [
            [-1 / deviation, -1, 0],
            [1 / deviation, 1, 0],
            [0, -1, 1],
            [0, 1, 0],
        ],
        rtol=1e-6,
    )
    assert values.dtype == np.float32


def test_a_value_missing_only_later_becomes_the_mean():
    train = small.examples(["a", "b"], x=[1, 3])

    values = encoded(train, small.schema("x"), small.examples(["a"], x=[np.nan]))

    np.testing.assert_array_equal(values, [[0]])


@pytest.mark.parametrize("constant", [0.0, 0.1, 3e7, np.nan])
def test_a_column_that_does_not_vary_gives_zeros(constant):
    train = small.examples(["a"] * 3, x=[constant] * 3)

    values = encoded(train, small.schema("x"))

    np.testing.assert_array_equal(values[:, 0], 0)


def test_categories_are_one_hot_behind_a_place_for_unknown_ones():
    train = small.examples(["a"] * 3, C=["red", "blue", "red"])
    later = small.examples(["a"] * 3, C=["red", "blue", "green"])

    values = encoded(train, small.schema("C"), later)

    np.testing.assert_array_equal(values, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])


def test_a_missing_category_is_a_category_where_training_had_it():
    train = small.examples(["a"] * 3, C=["", "", "new\nline"])

    values = encoded(train, small.schema("C"))

    np.testing.assert_array_equal(values, [[0, 1, 0], [0, 1, 0], [0, 0, 1]])


def test_frequent_categories_keep_a_place_and_a_tie_goes_by_name():
    names = [f"c{place:03d}" for place in range(100)]
    train = small.examples(["a"] * 103, C=[*reversed(names), "c099", "c099", "c050"])

    [column] = encode.learn(train, small.schema("C")).categorical

    assert len(column.categories) == encode.CATEGORIES
    assert column.categories[:4] == ("c099", "c050", "c000", "c001")


def test_any_column_name_works():
    train = small.examples(["a", "b"], **{"a/b %": [1, 2], "LIKE 100%": ["x", "y"]})

    assert encoded(train, small.schema("a/b %", "LIKE 100%")).shape == (2, 4)
    assert encode.input_name("a/b") != encode.input_name("a%2Fb")


def test_pictures_are_standardised_by_two_numbers(tmp_path):
    development = small.pictures(tmp_path)
    train = development.train()

    values = encoded(train, development.schema())

    assert values.shape == (120, 8, 8, 1)
    assert values.mean() == pytest.approx(0, abs=1e-5)
    assert values.std() == pytest.approx(1, abs=1e-5)
    raw = train.features["picture"]
    np.testing.assert_allclose(values, (raw - raw.mean()) / raw.std(), atol=1e-5)


def test_statistics_come_from_training_alone(tmp_path):
    development = small.table(tmp_path)

    statistics = encode.learn(development.train(), development.schema())

    numbers = development.train().features["number"].astype(np.float64)
    assert statistics.numeric[0].mean == pytest.approx(np.nanmean(numbers))


def test_no_examples_give_no_rows():
    train = small.examples(["a", "b"], x=[1, 3])
    empty = train.take(np.array([], dtype=np.int64))

    assert encoded(train, small.schema("x"), empty).shape == (0, 1)
