import numpy as np
import pytest
from PIL import ImageFont

from models.transfer import source_digits
from tests.models import small


def test_fonts_have_digits_that_differ():
    paths = source_digits.fonts()

    assert len(paths) > 10
    assert paths == sorted(paths)
    for path in paths:
        font = ImageFont.truetype(str(path), 30, layout_engine=ImageFont.Layout.BASIC)
        drawn = {bytes(font.getmask(digit)) for digit in "0123456789"}
        assert len(drawn) == 10, path


def test_fonts_of_symbols_are_left_out():
    names = {path.name for path in source_digits.fonts()}

    assert {"DejaVuSansDisplay.ttf", "cmsy10.ttf", "STIXSizOneSymReg.ttf"}.isdisjoint(names)
    assert "DejaVuSans.ttf" in names


def test_digits_follow_from_the_seed():
    first, codes = source_digits.digits(50, (8, 8, 1), bright=True, seed=1)
    again, _ = source_digits.digits(50, (8, 8, 1), bright=True, seed=1)
    other, _ = source_digits.digits(50, (8, 8, 1), bright=True, seed=2)

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.bincount(codes).tolist() == [5] * 10


def test_digits_are_standardised_in_the_target_s_shape():
    pictures, _ = source_digits.digits(100, (6, 9, 3), bright=True, seed=1)

    assert pictures.shape == (100, 6, 9, 3)
    assert pictures.dtype == np.float32
    assert pictures.mean() == pytest.approx(0, abs=1e-4)
    assert pictures.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("bright", [True, False])
def test_digits_have_the_target_s_polarity(bright):
    pictures, _ = source_digits.digits(100, (8, 8, 1), bright=bright, seed=1)

    assert source_digits.bright_ink(pictures) is bright


def test_the_digits_of_a_class_resemble_those_of_the_target(tmp_path):
    train = small.pictures(tmp_path, 600).train()
    pictures, codes = source_digits.digits(600, (8, 8, 1), bright=True, seed=1)
    drawn = np.stack([pictures[codes == code].mean(axis=0) for code in range(10)])
    written = np.stack(
        [train.features["picture"][train.targets == str(code)].mean(axis=0) for code in range(10)]
    )

    alike = np.corrcoef(drawn.reshape(10, -1), written.reshape(10, -1))[:10, 10:]

    # A font's digit drawn too small, mirrored or off the centre resembles none.
    assert alike.diagonal().min() > 0.5
    assert (alike.argmax(axis=1) == np.arange(10)).mean() >= 0.5
