import numpy as np
import pytest
from PIL import ImageFont

from models import determinism, network, sources
from models.settings import NetworkSpec
from tests.models import small


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
        [train.features["picture"][train.labels == str(code)].mean(axis=0) for code in range(10)]
    )

    alike = np.corrcoef(drawn.reshape(10, -1), written.reshape(10, -1))[:10, 10:]

    # A font's digit drawn too small, mirrored or off the centre resembles none.
    assert alike.diagonal().min() > 0.5
    assert (alike.argmax(axis=1) == np.arange(10)).mean() >= 0.5


def test_swapped_values_stay_in_their_column():
    rows = small.rows(500, 1)

    swapped = sources.swapped(rows, 0.2, seed=1)

    for name, values in rows.features.items():
        changed = swapped.features[name]
        assert set(map(str, changed)) <= set(map(str, values))
        assert changed.dtype == values.dtype
    number, before = swapped.features["number"], rows.features["number"]
    same = (number == before) | (np.isnan(number) & np.isnan(before))
    assert 0.7 < same.mean() < 0.9


def test_columns_are_swapped_independently():
    rows = small.rows(500, 1)

    swapped = sources.swapped(rows, 0.5, seed=1)

    number = swapped.features["number"] != rows.features["number"]
    colour = swapped.features["COLOUR"] != rows.features["COLOUR"]
    assert (number & ~colour).any()
    assert (colour & ~number).any()


def test_the_trunk_is_carried_over_and_the_head_is_not():
    determinism.start(1)
    spec = NetworkSpec(width=4, depth=2, dropout=0.1, l2=0.0, batch_norm=True)
    source, target = network.build((5,), 10, spec, seed=1), network.build((5,), 3, spec, seed=1)
    head = target.get_layer("logits").get_weights()

    sources.carry(source, target)

    for name in ("dense_0", "norm_0", "dense_1"):
        for given, held in zip(
            source.get_layer(name).get_weights(),
            target.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(given, held)
    np.testing.assert_array_equal(head[0], target.get_layer("logits").get_weights()[0])
