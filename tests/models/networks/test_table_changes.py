import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.examples import Examples
from models.fitting import determinism
from models.networks import encode
from models.networks.layout import PADDING, UNKNOWN
from models.networks.table_changes import HideWords, Noise, Swap
from tests.models import small


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def changed(layer, values):
    return layer(values, training=True).numpy()


def table(count=200, columns=5):
    values = np.arange(count * columns).reshape(count, columns) + 2
    return values.astype(np.float32)


EVERY = {
    "noise": lambda seed: Noise(0.1, 3, seed),
    "swap": lambda seed: Swap(0.3, (0, 1, 1, 2), seed),
    "words": lambda seed: HideWords(0.3, 2, seed),
}


@pytest.mark.parametrize("name", EVERY)
def test_each_is_inactive_unless_training_and_drawn_by_its_seed(name):
    values = table()
    first, again, other = EVERY[name](1), EVERY[name](1), EVERY[name](2)

    shown = changed(first, values)

    np.testing.assert_array_equal(first(values), values)
    np.testing.assert_array_equal(first(values, training=False), values)
    np.testing.assert_array_equal(changed(again, values), shown)
    assert not np.array_equal(changed(other, values), shown)
    assert not np.array_equal(changed(first, values), shown)
    assert shown.shape == values.shape
    assert shown.dtype == np.float32


def test_noise_is_gaussian_and_on_numbers_alone():
    values = np.zeros((5000, 4), dtype=np.float32)

    shown = changed(Noise(0.25, 3, 1), values)

    assert (shown[:, 3] == 0).all()
    assert np.abs(shown[:, :3].mean(axis=0)).max() < 0.02
    np.testing.assert_allclose(shown[:, :3].std(axis=0), 0.25, rtol=0.05)
    assert abs(np.corrcoef(shown[:, :3].T)[0, 1:]).max() < 0.05
    within = np.abs(shown[:, :3]) < 0.25
    assert abs(within.mean() - 0.6827) < 0.02


@given(st.floats(0.05, 0.95), st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_swapped_features_come_whole_from_another_row(rate, count):
    values, groups = table(count, 5), (0, 1, 0, 2)

    shown = changed(Swap(rate, groups, 1), values)

    origin = (shown - 2) // 5
    np.testing.assert_array_equal((shown - 2) % 5, np.tile(np.arange(5), (count, 1)))
    np.testing.assert_array_equal(origin[:, 4], np.arange(count))
    np.testing.assert_array_equal(origin[:, 0], origin[:, 2])


def test_so_many_values_are_swapped_and_each_row_is_taken_from():
    count = 4000
    values = table(count, 3)

    origin = (changed(Swap(0.3, (0, 1, 2), 1), values) - 2) // 3

    other = origin != np.arange(count)[:, None]
    np.testing.assert_allclose(other.mean(axis=0), 0.3, atol=0.03)
    # Features are swapped independently of each other.
    assert abs((other[:, 0] & other[:, 1]).mean() - 0.09) < 0.02
    further = (origin - np.arange(count)[:, None])[other] % count
    assert np.histogram(further, 10, (0, count))[0].min() > 0.8 * other.sum() / 10


def test_a_row_alone_stays_as_it_is():
    np.testing.assert_array_equal(changed(Swap(0.9, (0, 1), 1), table(1, 3)), table(1, 3))


def test_categories_stay_one_hot_and_marks_with_their_numbers():
    rows = small.rows(400, 1)
    generator = np.random.default_rng(1)
    days = 19_000 + generator.random((2, 400)) * 900
    features = rows.features | {
        "time": np.where(generator.random(400) < 0.2, np.nan, days[0]),
        "time b": days[1],
        "SHAPE": generator.choice(["round", "square", "star"], 400).astype(object),
        "other": generator.normal(size=400).astype(np.float32),
    }
    names = ("number", "COLOUR", "time", "time b", "SHAPE", "other")
    mixed = Examples(features, rows.targets, rows.rows)
    statistics = encode.learn(mixed, small.schema(*names))
    values = encode.run(encode.build(statistics), mixed)
    layout = statistics.layout

    shown = changed(Swap(0.5, layout.groups, 1), values)

    assert layout.numbers == 2
    assert layout.dense == len(layout.groups) == values.shape[1]
    assert len(set(layout.groups)) == len(names)
    for feature in range(len(names)):
        columns = np.array(layout.groups) == feature
        known = {row.tobytes() for row in values[:, columns]}
        found = {row.tobytes() for row in shown[:, columns]}
        # What is seen of each feature is only what some row has of it.
        assert found <= known
        assert not np.array_equal(values[:, columns], shown[:, columns])
    # Read off the encoder, not off the layout: two numbers, a mark, two trends, three sines for
    # each time, as many cosines, a mark, two categories' places.
    missing = shown[:, 2] == 1
    assert 0 < missing.sum() < 400
    assert (shown[missing, 0] == 0).all()
    untold, own = shown[:, 17] == 1, [3, 5, 6, 7, 11, 12, 13]
    assert 0 < untold.sum() < 400
    assert (shown[untold][:, own] == 0).all()
    assert (shown[untold][:, [4, 8, 9, 10, 14, 15, 16]] != 0).any(axis=0).all()
    lengths = shown[:, 5:11] ** 2 + shown[:, 11:17] ** 2
    np.testing.assert_allclose(lengths[~untold], 1, rtol=1e-4)
    for first, last in ((18, 22), (22, 26)):
        assert (shown[:, first:last].sum(axis=1) == 1).all()
        assert set(np.unique(shown[:, first:last])) == {0, 1}


def test_hidden_words_become_unknown_and_padding_stays():
    values = np.full((500, 9), 7, dtype=np.float32)
    values[:, 6:] = PADDING

    shown = changed(HideWords(0.3, 2, 1), values)

    np.testing.assert_array_equal(shown[:, :2], values[:, :2])
    np.testing.assert_array_equal(shown[:, 6:], values[:, 6:])
    assert set(np.unique(shown[:, 2:6])) == {UNKNOWN, 7}
    np.testing.assert_allclose((shown[:, 2:6] == UNKNOWN).mean(axis=0), 0.3, atol=0.08)
