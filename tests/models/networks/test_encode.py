import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.examples import PICTURE, Examples
from models import archive
from models.fitting import determinism
from models.networks import encode, layers, network
from models.networks.layout import UNKNOWN
from tests.conftest import ROOT
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


def test_encoded_values_are_float32_even_of_categories_alone():
    train = small.examples(["a"] * 3, C=["", "", ""])

    values = encoded(train, small.schema("C"))

    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[0, 1]] * 3)


def test_a_category_may_have_any_name():
    names = ["[UNK]", "a", "UNK", "\0", "é 東"]
    train = small.examples(["a"] * 5, C=names)

    values = encoded(train, small.schema("C"), small.examples(["a"] * 6, C=[*names, "new"]))

    assert values[:5, 0].sum() == 0
    assert sorted(values[:5].argmax(axis=1)) == [1, 2, 3, 4, 5]
    assert values[5].argmax() == 0


def calendar(*times):
    train = small.examples(["a"] * len(times), time=times)
    return encoded(train, small.schema("time"))


def test_times_become_trend_cycles_and_a_mark():
    noon, monday = 0.5, 4.0  # 1970-01-05 was a Monday
    values = calendar(monday, monday + 7, monday + 3.5 + noon, np.nan)

    assert values.shape == (4, 8)
    trend = values[:3, 0]
    np.testing.assert_allclose([trend.mean(), trend.std()], [0, 1], atol=1e-6)
    sines, cosines = values[:3, 1:4], values[:3, 4:7]
    np.testing.assert_allclose(sines**2 + cosines**2, 1, rtol=1e-6)
    # A week later the week's and the day's hands point the same way, the year's does not.
    np.testing.assert_allclose(sines[0, 1:], sines[1, 1:], atol=1e-6)
    assert abs(sines[0, 0] - sines[1, 0]) > 0.05
    np.testing.assert_allclose(cosines[2, 2], 1, atol=1e-6)  # midnight
    angle = 2 * np.pi * monday / 365.2425
    np.testing.assert_allclose([sines[0, 0], cosines[0, 0]], [np.sin(angle), np.cos(angle)], 1e-6)
    np.testing.assert_array_equal(values[3], [0] * 7 + [1])


def test_times_keep_their_seconds():
    # In float32 a day of this year is exact to about two minutes.
    second = 1 / 86_400
    times = 20_000.25 + second * np.arange(4)

    values = calendar(*times)

    np.testing.assert_allclose(values[:, 3], np.sin(2 * np.pi * (times % 1)), atol=1e-7)
    np.testing.assert_allclose(np.diff(values[:, 0]), np.sqrt(4 / 5), rtol=1e-3)


@pytest.mark.parametrize("time", [0.0, 20_000.25, np.nan])
def test_times_that_do_not_vary_give_a_level_trend(time):
    np.testing.assert_array_equal(calendar(time, time)[:, 0], 0)


def words(*texts):
    return [[word.decode() for word in row] for row in layers.words(tf.constant(texts)).to_list()]


def test_words_stand_between_spaces_and_punctuation():
    assert words("Don't PAY £5,000.50 – now!!", "", " \n", "x_y a/b") == [
        ["don", "t", "pay", "£", "5", "000", "50", "now"],
        [],
        [],
        ["x", "y", "a", "b"],
    ]


def test_words_of_any_script():
    assert words("ÉCOLE Straße", "東京タワー", "हिन्दी", "👍😀ok") == [
        ["école", "straße"],
        ["東", "京", "タ", "ワ", "ー"],
        ["हिन्दी"],
        ["👍", "😀", "ok"],
    ]


@pytest.mark.parametrize("locale", ["tr_TR.UTF-8", "lt_LT.UTF-8"])
def test_words_do_not_depend_on_the_environment_s_language(locale):
    text = "ISTANBUL İzmir Ìx Íx Ĩx Į́x J́x"
    code = (
        "from models.fitting import determinism; determinism.pin();"
        "from models.networks import layers; import tensorflow as tf;"
        f"print(layers.words(tf.constant([{text!r}])).to_list())"
    )

    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LC_ALL": locale, "LANG": locale},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert found.stdout.strip() == str(layers.words(tf.constant([text])).to_list())


def test_texts_become_places_behind_the_other_columns():
    train = small.examples(["a"] * 3, text=["b a b", "a b", "c"], x=[1, 2, 3])
    later = small.examples(["a"] * 4, text=["A, b!", "", "new c", "c c c c c"], x=[1, 2, 3, 2])
    schema = small.schema("text", "x")

    layout = encode.learn(train, schema).layout
    values = encoded(train, schema, later)

    [text] = layout.texts
    assert (layout.dense, layout.starts) == (1, (1,))
    assert (text.name, text.length, text.vocabulary) == ("text", 3, ("b", "a", "c"))
    np.testing.assert_array_equal(values[:, 1:], [[3, 2, 0], [0, 0, 0], [1, 4, 0], [4, 4, 4]])


def test_the_vocabulary_keeps_the_most_frequent_words_and_a_tie_goes_by_name(monkeypatch):
    monkeypatch.setattr(encode, "VOCABULARY", 3)
    train = small.examples(["a"] * 2, text=["z y x x", "w\0 x"])

    [text] = encode.learn(train, small.schema("text")).texts

    assert text.vocabulary == ("x", "w", "y")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_every_training_word_has_a_place(texts):
    train = small.examples(["a"] * len(texts), text=texts)
    [text] = encode.learn(train, small.schema("text")).texts

    values = encoded(train, small.schema("text"))

    lengths = [len(row) for row in words(*texts)]
    assert text.length == max(1, int(np.percentile(lengths, 95, method="inverted_cdf")))
    assert values.max(initial=0) < text.places
    assert not (values == UNKNOWN).any()
    assert ((values > 0).sum(axis=1) == np.minimum(lengths, text.length)).all()


def test_texts_without_words_give_padding():
    train = small.examples(["a"] * 2, text=["", "?!"])

    np.testing.assert_array_equal(encoded(train, small.schema("text")), [[0], [0]])


def test_long_texts_are_cut():
    train = small.examples(["a"] * 2, text=["a " * 1000, "b " * 1000])

    assert encoded(train, small.schema("text")).shape == (2, encode.LENGTH)


def test_blocks_say_the_same_as_the_whole():
    whole = small.letters(200, 1)
    schema = small.schema("text", "time", "number", "text b")
    parts = [whole.take(np.arange(start, start + 50)) for start in range(0, 200, 50)]

    statistics = encode.learn_blocks(lambda: parts, schema, "standard")

    one = encode.learn(whole, schema)
    assert statistics.texts == one.texts
    for found, expected in zip(
        statistics.numeric + statistics.times, one.numeric + one.times, strict=True
    ):
        assert found.missing == expected.missing
        assert (found.mean, found.scale) == pytest.approx((expected.mean, expected.scale))


def test_the_layout_fits_every_kind_of_column(tmp_path):
    rows = small.letters(50, 1)
    rows.features["COLOUR"] = small.rows(50, 1).features["COLOUR"]
    rows.features["number"][:3] = np.nan
    statistics = encode.learn(rows, small.schema("text", "time", "number", "text b", "COLOUR"))

    layout = statistics.layout

    assert layout.dense == (1 + 1) + (7 + 1) + (1 + 3)
    assert layout.starts[1] == layout.dense + layout.texts[0].length
    values = encode.run(encode.build(statistics), rows)
    assert values.shape[1] == layout.starts[1] + layout.texts[1].length


def test_an_encoder_is_saved_and_loaded_with_texts_and_times(tmp_path):
    rows = small.letters(50, 1)
    encoder = encode.build(encode.learn(rows, small.schema("text", "time", "number", "text b")))

    archive.save(encoder, tmp_path / "a.keras")
    archive.save(encoder, tmp_path / "b.keras")

    loaded = archive.load(tmp_path / "a.keras")
    np.testing.assert_array_equal(encode.run(loaded, rows), encode.run(encoder, rows))
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_bytes_of_pictures_are_values_too():
    raw = np.random.default_rng(1).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
    schema = small.schema(kind="pictures").model_copy(update={"shape": (6, 5, 3)})
    train = Examples({PICTURE: raw}, np.array(["a"] * 20, dtype=object), np.arange(20))

    values = encoded(train, schema)

    np.testing.assert_allclose(values, (raw - raw.mean()) / raw.std(), atol=1e-5)


def test_a_batch_is_bounded_by_what_the_model_holds_at_once():
    spec = small.SPEC.model_copy(update={"width": 32})
    large = network.build((64, 64, 3), 2, spec, seed=1)
    small_one = network.build((8,), 2, spec, seed=1)

    assert encode.rows(small_one) == encode.BATCH
    assert encode.rows(large) == encode.MEMORY // (4 * 64 * 64 * 32)


def test_batches_of_any_size_give_the_same(monkeypatch):
    train = small.letters(50, 1)
    encoder = encode.build(encode.learn(train, small.schema("text", "time", "number", "text b")))
    whole = encode.run(encoder, train)

    monkeypatch.setattr(encode, "BATCH", 7)

    np.testing.assert_array_equal(encode.run(encoder, train), whole)


def test_numbers_scored_by_rank_are_interpolated_between_quantiles_and_keep_their_marks():
    values = np.random.default_rng(3).lognormal(size=400).astype(np.float32)
    values[7] = np.nan
    train = small.examples(["a", "b"] * 200, x=values.tolist(), z=list(range(400)))
    statistics = encode.learn(train, small.schema("x", "z"), "quantile")
    column, _ = statistics.numeric
    encoded = encode.run(encode.build(statistics), train)
    present = ~np.isnan(values)
    expected = np.interp(values[present].astype(np.float64), column.knots, column.scores)
    np.testing.assert_allclose(encoded[present, 0], expected, rtol=1e-5, atol=1e-6)
    assert abs(encoded[present, 0].mean()) < 0.05
    assert encoded[present, 0].std() == pytest.approx(1, abs=0.1)
    assert encoded[7, [0, 2]].tolist() == [0, 1]
    assert abs(encoded[199:201, 1]).max() < 0.01
    far = encode.run(encode.build(statistics), small.examples(["a"], x=[1e9], z=[0.0]))
    assert far[0, 0] == pytest.approx(column.scores[-1])


def test_quantiles_do_not_depend_on_the_blocks(monkeypatch):
    monkeypatch.setattr(encode, "RANKED", 100)
    values = np.random.default_rng(3).normal(size=1000).tolist()
    train = small.examples(["a", "b"] * 500, x=values)
    blocks = [train.take(np.arange(start, min(start + 37, 1000))) for start in range(0, 1000, 37)]
    whole = encode.learn(train, small.schema("x"), "quantile")
    assert encode.learn_blocks(lambda: blocks, small.schema("x"), "quantile") == whole


def test_a_crowded_value_leaves_quantiles_to_the_others():
    random = np.random.default_rng(3)
    gains = np.where(random.random(5000) < 0.9, 0, random.integers(100, 9999, 5000))
    train = small.examples(["a"] * 5000, x=gains.astype(np.float32))
    [column] = encode.learn(train, small.schema("x")).numeric

    quantiles = np.array(column.quantiles)
    # Zeros count for a 32nd of the rows, against a tenth of them: about a quarter.
    assert 0.2 < (quantiles == 0).mean() < 0.28
    assert (np.diff(quantiles) >= 0).all()
    assert (quantiles[0], quantiles[-1]) == (0, gains.max())
    even = small.examples(["a"] * 512, x=random.permutation(512).astype(np.float32))
    [column] = encode.learn(even, small.schema("x")).numeric
    np.testing.assert_allclose(column.quantiles, np.linspace(0, 511, 257))


@pytest.mark.parametrize("scaling", ["standard", "quantile"])
def test_the_layout_knows_the_quantiles_of_encoded_numbers_and_trends(scaling):
    rows = small.letters(300, 1)
    rows.features["number"] = np.exp(rows.features["number"])
    rows.features["number"][:9] = np.nan
    rows.features["z"] = np.arange(300, dtype=np.float32)
    statistics = encode.learn(rows, small.schema("text", "time", "number", "z"), scaling)

    values, layout = encode.run(encode.build(statistics), rows), statistics.layout

    # Two numbers, a mark, then the trend of the times.
    assert [number.column for number in layout.embedded] == [0, 1, 3]
    given = [rows.features[name] for name in ("number", "z", "time")]
    for number, raw in zip(layout.embedded, given, strict=True):
        present = values[~np.isnan(raw), number.column].astype(np.float64)
        expected = np.quantile(present, np.linspace(0, 1, 257))
        # Scores of ranks are far from linear where few values lie far out.
        bent = scaling == "quantile" and number.column != 3
        inner, near = (slice(8, -8), 0.05) if bent else (slice(None), 1e-4)
        np.testing.assert_allclose(number.quantiles[inner], expected[inner], rtol=0, atol=near)
        ends = number.quantiles[0], number.quantiles[-1]
        np.testing.assert_allclose(ends, (present.min(), present.max()), rtol=1e-5)


def test_numbers_that_are_all_missing_or_never_vary_have_quantiles_too():
    train = small.examples(["a"] * 4, x=[np.nan] * 4, y=[3.0] * 4)
    for scaling in ("standard", "quantile"):
        missing, constant = encode.learn(train, small.schema("x", "y"), scaling).layout.embedded

        assert set(missing.quantiles) == {0.0}
        assert len(set(constant.quantiles)) == 1


def test_of_very_wide_tables_fewer_rows_are_ranked(monkeypatch):
    monkeypatch.setattr(encode, "RANKED_VALUES", 40)
    train = small.examples(["a"] * 100, x=list(range(100)), y=list(range(100)))

    column, _ = encode.learn(train, small.schema("x", "y")).numeric

    assert (column.quantiles[0], column.quantiles[-1]) == (0, 95)


def test_what_is_ranked_does_not_hold_the_blocks():
    import weakref

    sample = encode._Sample(["x"], 10 * encode.RANKED)
    block = small.examples(["a"] * 100, x=list(range(100)))
    held = weakref.ref(block.features["x"])

    sample.add(block)
    del block

    assert held() is None
    assert sample.values("x").tolist() == list(range(0, 100, 10))
