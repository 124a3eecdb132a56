import numpy as np
import pytest

from models import training
from models.fitting.rows import FileRows
from models.transfer import source_pictures
from tests.models import small


@pytest.mark.parametrize(("shape", "kinds"), [((5, 5, 1), 4), ((4, 6, 3), 2)])
def test_pictures_are_turned_as_often_as_they_keep_their_shape(shape, kinds):
    pictures = np.random.default_rng(1).normal(size=(6, *shape)).astype(np.float32)

    shown, codes = source_pictures.turned(pictures, 1000, seed=1)

    assert shown.shape == (6 * kinds, *shape)
    assert codes.dtype == np.int32
    for place, (picture, code) in enumerate(zip(shown, codes, strict=True)):
        back = np.rot90(picture, -source_pictures.turns(shape)[code])
        np.testing.assert_array_equal(back, pictures[place // kinds])
    assert np.bincount(codes).tolist() == [6] * kinds


def test_some_of_many_turns_are_drawn_wherever_the_pictures_lie():
    pictures = np.random.default_rng(1).normal(size=(50, 3, 3, 1)).astype(np.float32)
    before, filed = pictures.copy(), FileRows((3, 3, 1))
    filed.append(pictures)

    shown, codes = source_pictures.turned(pictures, 40, seed=1)

    assert len(shown) == len(codes) == 40
    assert len(set(codes.tolist())) == 4
    np.testing.assert_array_equal(pictures, before)
    np.testing.assert_array_equal(source_pictures.turned(filed, 40, seed=1)[0], shown)
    assert not np.array_equal(source_pictures.turned(pictures, 40, seed=2)[1], codes)


def test_noisy_pictures_have_noise_of_the_told_size_and_clean_ones_beside_them():
    pictures = np.random.default_rng(1).normal(size=(60, 20, 20, 3)).astype(np.float32)
    before = pictures.copy()

    shown, clean = source_pictures.noisy(pictures, 1000, seed=1)

    np.testing.assert_array_equal(pictures, before)
    assert shown.dtype == clean.dtype == np.float32
    noise = shown - pictures
    assert noise.std() == pytest.approx(source_pictures.NOISE, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(
        clean.reshape(60, 16, 16, 3), source_pictures.averaged(pictures), rtol=1e-6
    )


def test_some_of_many_are_made_noisy_wherever_they_lie():
    pictures = np.random.default_rng(1).normal(size=(50, 3, 4, 1)).astype(np.float32)
    filed = FileRows((3, 4, 1))
    filed.append(pictures)

    shown, clean = source_pictures.noisy(pictures, 20, seed=1)

    again, _ = source_pictures.noisy(filed, 20, seed=1)
    np.testing.assert_array_equal(shown, again)
    # Small enough to be given point by point.
    whole = pictures.reshape(50, -1)
    assert all((row == whole).all(axis=1).any() for row in clean)
    assert len(clean) == 20
    assert not np.array_equal(source_pictures.noisy(pictures, 20, seed=2)[0], shown)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (20, 7), (1, 33)])
def test_every_point_is_the_mean_of_its_rectangle(height, width):
    pictures = np.random.default_rng(1).normal(size=(3, height, width, 2)).astype(np.float32)

    points = source_pictures.averaged(pictures)

    down, across = min(height, 16), min(width, 16)
    assert points.shape == (3, down, across, 2)
    for row in range(down):
        for column in range(across):
            top, bottom = row * height // down, (row + 1) * height // down
            left, right = column * width // across, (column + 1) * width // across
            expected = pictures[:, top:bottom, left:right].mean(axis=(1, 2), dtype=np.float64)
            np.testing.assert_allclose(points[:, row, column], expected, rtol=1e-4, atol=1e-6)


def test_noisy_pictures_are_to_be_given_as_they_were(tmp_path):
    data = training.encoded(str(small.pictures(tmp_path).path))

    task = source_pictures.denoised(data, 50, seed=1)

    assert task.train[0].shape == (50, 8, 8, 1)
    assert task.train[1].shape == (50, 64)
    assert task.validation[0].shape == (10, 8, 8, 1)
    assert (task.outputs, task.kind) == (64, "regression")


def test_what_is_to_be_put_right_stays_where_it_is():
    moving = small.spec(
        flip="both", rotation=9.0, zoom=0.1, shift=0.1, crop=0.1, contrast=0.1, randaugment=0.1
    )

    assert source_pictures.still(moving) == small.SPEC
    assert source_pictures.still(small.spec(cutout=0.2)).cutout == 0.2
