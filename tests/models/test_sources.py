import numpy as np
import pytest
from PIL import ImageFont

from models import archive, determinism, network, sources
from models.layout import UNKNOWN, Layout, TextLayout
from models.rows import FileRows
from tests.models import small


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def test_fonts_have_digits_that_differ():
    paths = sources.fonts()

    assert len(paths) > 10
    assert paths == sorted(paths)
    for path in paths:
        font = ImageFont.truetype(str(path), 30, layout_engine=ImageFont.Layout.BASIC)
        drawn = {bytes(font.getmask(digit)) for digit in "0123456789"}
        assert len(drawn) == 10, path


def test_fonts_of_symbols_are_left_out():
    names = {path.name for path in sources.fonts()}

    assert {"DejaVuSansDisplay.ttf", "cmsy10.ttf", "STIXSizOneSymReg.ttf"}.isdisjoint(names)
    assert "DejaVuSans.ttf" in names


def test_digits_follow_from_the_seed():
    first, codes = sources.digits(50, (8, 8, 1), bright=True, seed=1)
    again, _ = sources.digits(50, (8, 8, 1), bright=True, seed=1)
    other, _ = sources.digits(50, (8, 8, 1), bright=True, seed=2)

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.bincount(codes).tolist() == [5] * 10


def test_digits_are_standardised_in_the_target_s_shape():
    pictures, _ = sources.digits(100, (6, 9, 3), bright=True, seed=1)

    assert pictures.shape == (100, 6, 9, 3)
    assert pictures.dtype == np.float32
    assert pictures.mean() == pytest.approx(0, abs=1e-4)
    assert pictures.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("bright", [True, False])
def test_digits_have_the_target_s_polarity(bright):
    pictures, _ = sources.digits(100, (8, 8, 1), bright=bright, seed=1)

    assert sources.bright_ink(pictures) is bright


def test_the_digits_of_a_class_resemble_those_of_the_target(tmp_path):
    train = small.pictures(tmp_path, 600).train()
    pictures, codes = sources.digits(600, (8, 8, 1), bright=True, seed=1)
    drawn = np.stack([pictures[codes == code].mean(axis=0) for code in range(10)])
    written = np.stack(
        [train.features["picture"][train.targets == str(code)].mean(axis=0) for code in range(10)]
    )

    alike = np.corrcoef(drawn.reshape(10, -1), written.reshape(10, -1))[:10, 10:]

    # A font's digit drawn too small, mirrored or off the centre resembles none.
    assert alike.diagonal().min() > 0.5
    assert (alike.argmax(axis=1) == np.arange(10)).mean() >= 0.5


def test_swapped_values_stay_in_their_column():
    rows = small.rows(500, 1)

    swapped = sources.swapped(rows, list(rows.features), 0.2, seed=1)

    for name, values in rows.features.items():
        changed = swapped.features[name]
        assert set(map(str, changed)) <= set(map(str, values))
        assert changed.dtype == values.dtype
    number, before = swapped.features["number"], rows.features["number"]
    same = (number == before) | (np.isnan(number) & np.isnan(before))
    assert 0.7 < same.mean() < 0.9


def test_columns_are_swapped_independently():
    rows = small.rows(500, 1)

    swapped = sources.swapped(rows, list(rows.features), 0.5, seed=1)

    number = swapped.features["number"] != rows.features["number"]
    colour = swapped.features["COLOUR"] != rows.features["COLOUR"]
    assert (number & ~colour).any()
    assert (colour & ~number).any()


def test_columns_that_are_not_named_stay():
    rows = small.letters(50, 1)

    swapped = sources.swapped(rows, ["time"], 0.5, seed=1)

    assert (swapped.features["text"] == rows.features["text"]).all()
    assert not np.array_equal(swapped.features["time"], rows.features["time"], equal_nan=True)
    assert swapped.features["time"].dtype == np.float64


@pytest.mark.parametrize(("shape", "kinds"), [((5, 5, 1), 4), ((4, 6, 3), 2)])
def test_pictures_are_turned_as_often_as_they_keep_their_shape(shape, kinds):
    pictures = np.random.default_rng(1).normal(size=(6, *shape)).astype(np.float32)

    shown, codes = sources.turned(pictures, 1000, seed=1)

    assert shown.shape == (6 * kinds, *shape)
    assert codes.dtype == np.int32
    for place, (picture, code) in enumerate(zip(shown, codes, strict=True)):
        back = np.rot90(picture, -sources.turns(shape)[code])
        np.testing.assert_array_equal(back, pictures[place // kinds])
    assert np.bincount(codes).tolist() == [6] * kinds


def test_some_of_many_turns_are_drawn_wherever_the_pictures_lie():
    pictures = np.random.default_rng(1).normal(size=(50, 3, 3, 1)).astype(np.float32)
    before, filed = pictures.copy(), FileRows((3, 3, 1))
    filed.append(pictures)

    shown, codes = sources.turned(pictures, 40, seed=1)

    assert len(shown) == len(codes) == 40
    assert len(set(codes.tolist())) == 4
    np.testing.assert_array_equal(pictures, before)
    np.testing.assert_array_equal(sources.turned(filed, 40, seed=1)[0], shown)
    assert not np.array_equal(sources.turned(pictures, 40, seed=2)[1], codes)


LAYOUT = Layout(1, (TextLayout("a", 4, ("x", "y", "z")), TextLayout("b", 2, ("u",))))


def test_hidden_words_are_unknown_and_named(monkeypatch):
    monkeypatch.setattr(sources, "WORDS", 2)
    encoded = np.float32([[9, 2, 3, 4, 0, 2, 0]] * 400)

    masked, words = sources.hidden(encoded, LAYOUT, 0.25, seed=1)

    assert sources.guessed(LAYOUT) == 2 + 1
    changed = masked != encoded
    assert (masked[changed] == UNKNOWN).all()
    assert not changed[:, [0, 4, 6]].any()
    assert 0.2 < changed[:, [1, 2, 3, 5]].mean() < 0.3
    # z is hidden too, and is not among the two most frequent words that are guessed.
    np.testing.assert_array_equal(words, changed[:, [1, 2, 5]])


def test_restoration_adds_both_kinds_of_error():
    codes = np.float32([[1, 2, 0, 1], [0, 0, 1, 0]])
    outputs = np.float32([[1, 0, -2, 3], [1, 0, 0, 0]])
    criterion = sources.restoration(2)

    entropy = np.log1p(np.exp([[-2, -3], [0, 0]])).mean(axis=1)
    expected = np.array([2, 0.5]) + entropy
    np.testing.assert_allclose(criterion.loss(codes, outputs), expected, rtol=1e-5)
    loss, right = criterion.measure(codes, outputs)
    assert loss == pytest.approx(expected.mean(), rel=1e-5)
    assert right is None


@pytest.mark.parametrize("dense", [0, 4])
def test_restoration_of_one_kind_alone(dense):
    codes = np.float32([[1, 0, 0, 1]])
    criterion = sources.restoration(dense)

    loss, _ = criterion.measure(codes, codes * 0)

    assert loss == pytest.approx(0.5 if dense else np.log(2))
    np.testing.assert_allclose(criterion.loss(codes, codes * 0), [loss], rtol=1e-5)


def test_sources_suit_the_data():
    assert sources.offered(small.schema("x")) == ("masked",)
    grey = small.schema(kind="pictures")
    assert sources.offered(grey) == ("fonts", "rotated")
    assert sources.offered(grey.model_copy(update={"shape": (8, 8, 3)})) == ("rotated",)


def item(development, folder, source, **spec):
    spec = small.SPEC.model_copy(update=spec)
    return sources.SourceRun(
        str(development.path),
        str(folder / "source.keras"),
        source,
        None,
        spec,
        small.SETTINGS,
        pictures=100,
        swap=0.2,
        seed=1,
        name=source,
    )


@pytest.mark.parametrize("source", ["fonts", "rotated"])
def test_a_network_is_trained_on_pictures_and_cut(source, tmp_path):
    development = small.pictures(tmp_path / "data")
    changes = {"flip": "horizontal", "cutout": 0.2}

    result = sources.pretrain(item(development, tmp_path, source, **changes))

    assert result.examples == 2 * 100
    base = archive.load(tmp_path / "source.keras")
    assert base.name == "base"
    built = network.build((8, 8, 1), 10, small.SPEC, 1)
    assert [layer.name for layer in base.layers] == [layer.name for layer in built.layers[:-1]]


@pytest.mark.parametrize("text", ["pool", "convolution", "transformer"])
def test_a_network_is_trained_on_masked_texts_times_and_numbers(text, tmp_path):
    development = small.texts(tmp_path / "data")

    first = sources.pretrain(item(development, tmp_path, "masked", text=text))

    again = sources.pretrain(item(development, tmp_path, "masked", text=text))
    assert first == again
    assert archive.load(tmp_path / "source.keras").output_shape == (None, 4)
    assert first.examples == 2 * 160


@pytest.mark.parametrize("architecture", ["residual", "tabm"])
def test_every_network_of_a_table_is_trained_on_masked_rows(architecture, tmp_path):
    development = small.texts(tmp_path / "data")
    shape = {"architecture": architecture, "members": 3, "numbers": "periodic", "batch_norm": True}
    run = item(development, tmp_path, "masked", **shape)

    result = sources.pretrain(run)

    assert not result.diverged
    shape = (None, 3, 4) if architecture == "tabm" else (None, 4)
    assert archive.load(tmp_path / "source.keras").output_shape == shape


def test_masked_rows_are_as_many_as_memory_has_room_for(tmp_path, monkeypatch):
    development = small.texts(tmp_path / "data")
    monkeypatch.setattr(sources, "IN_MEMORY_BYTES", 10_000)

    result = sources.pretrain(item(development, tmp_path, "masked"))

    assert 0 < result.examples < 160
