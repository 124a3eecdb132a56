import numpy as np
import pytest

from models.networks.layout import UNKNOWN, Layout, TextLayout
from models.transfer import source_tables
from tests.models import small


def test_swapped_values_stay_in_their_column():
    rows = small.rows(500, 1)

    swapped = source_tables.swapped(rows, list(rows.features), 0.2, seed=1)

    for name, values in rows.features.items():
        changed = swapped.features[name]
        assert set(map(str, changed)) <= set(map(str, values))
        assert changed.dtype == values.dtype
    number, before = swapped.features["number"], rows.features["number"]
    same = (number == before) | (np.isnan(number) & np.isnan(before))
    assert 0.7 < same.mean() < 0.9


def test_columns_are_swapped_independently():
    rows = small.rows(500, 1)

    swapped = source_tables.swapped(rows, list(rows.features), 0.5, seed=1)

    number = swapped.features["number"] != rows.features["number"]
    colour = swapped.features["COLOUR"] != rows.features["COLOUR"]
    assert (number & ~colour).any()
    assert (colour & ~number).any()


def test_columns_that_are_not_named_stay():
    rows = small.letters(50, 1)

    swapped = source_tables.swapped(rows, ["time"], 0.5, seed=1)

    assert (swapped.features["text"] == rows.features["text"]).all()
    assert not np.array_equal(swapped.features["time"], rows.features["time"], equal_nan=True)
    assert swapped.features["time"].dtype == np.float64


LAYOUT = Layout(1, (TextLayout("a", 4, ("x", "y", "z")), TextLayout("b", 2, ("u",))))


def test_hidden_words_are_unknown_and_named(monkeypatch):
    monkeypatch.setattr(source_tables, "WORDS", 2)
    encoded = np.float32([[9, 2, 3, 4, 0, 2, 0]] * 400)

    masked, words = source_tables.hidden(encoded, LAYOUT, 0.25, seed=1)

    assert source_tables.guessed(LAYOUT) == 2 + 1
    changed = masked != encoded
    assert (masked[changed] == UNKNOWN).all()
    assert not changed[:, [0, 4, 6]].any()
    assert 0.2 < changed[:, [1, 2, 3, 5]].mean() < 0.3
    # z is hidden too, and is not among the two most frequent words that are guessed.
    np.testing.assert_array_equal(words, changed[:, [1, 2, 5]])


def test_restoration_adds_both_kinds_of_error():
    codes = np.float32([[1, 2, 0, 1], [0, 0, 1, 0]])
    outputs = np.float32([[1, 0, -2, 3], [1, 0, 0, 0]])
    criterion = source_tables.restoration(2)

    entropy = np.log1p(np.exp([[-2, -3], [0, 0]])).mean(axis=1)
    expected = np.array([2, 0.5]) + entropy
    np.testing.assert_allclose(criterion.loss(codes, outputs), expected, rtol=1e-5)
    loss, right = criterion.measure(codes, outputs)
    assert loss == pytest.approx(expected.mean(), rel=1e-5)
    assert right is None


@pytest.mark.parametrize("dense", [0, 4])
def test_restoration_of_one_kind_alone(dense):
    codes = np.float32([[1, 0, 0, 1]])
    criterion = source_tables.restoration(dense)

    loss, _ = criterion.measure(codes, codes * 0)

    assert loss == pytest.approx(0.5 if dense else np.log(2))
    np.testing.assert_allclose(criterion.loss(codes, codes * 0), [loss], rtol=1e-5)
