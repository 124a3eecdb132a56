"""Near copies: found where they are, and honest look-alikes left alone."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from dataset import near_copies, partition
from dataset.examples import PICTURE, Examples
from dataset.near_copies import near_keys, near_pairs
from tests.conftest import SHARED
from tests.dataset.pictures.drawn import scene

SCENES = np.stack([scene(seed) for seed in range(40)])


def content(pictures: np.ndarray) -> np.ndarray:
    count = len(pictures)
    return partition.content_keys(
        Examples({PICTURE: pictures}, np.full(count, "", dtype=object), np.arange(count))
    )


def as_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file))


def saved_again(picture: np.ndarray) -> np.ndarray:
    return as_jpeg(picture, 90)


def rescaled(picture: np.ndarray) -> np.ndarray:
    larger = Image.fromarray(picture).resize((50, 50), Image.Resampling.BICUBIC)
    return np.asarray(larger.resize((32, 32), Image.Resampling.BILINEAR))


def brightened(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * 1.05 + 5, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [saved_again, rescaled, brightened])
def test_changed_copies_are_found_and_have_the_smallest_content_key(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    both = np.concatenate([SCENES, np.stack([change(picture) for picture in SCENES])])
    assert near_pairs(both).tolist() == [[place, place + 40] for place in range(40)]
    smallest = content(both).reshape(2, 40).min(axis=0)
    np.testing.assert_array_equal(near_keys(both), np.tile(smallest, 2))


def test_a_picture_without_near_copies_keeps_its_content_key() -> None:
    assert near_pairs(SCENES).shape == (0, 2)
    np.testing.assert_array_equal(near_keys(SCENES), content(SCENES))
    np.testing.assert_array_equal(near_keys(SCENES[:1]), content(SCENES[:1]))
    assert near_keys(SCENES[:0]).shape == (0,)
    assert near_keys(SCENES).dtype == np.uint64


def test_exact_copies_are_paired_with_the_first() -> None:
    nearly = brightened(SCENES[1])
    pictures = np.stack([SCENES[0], SCENES[1], SCENES[0], nearly, SCENES[0], nearly])
    assert near_pairs(pictures).tolist() == [[0, 2], [0, 4], [1, 3], [3, 5]]
    keys = near_keys(pictures)
    assert keys[1] == keys[3] == keys[5] != keys[0] == keys[2] == keys[4]


def test_another_colour_another_contrast_and_plain_pictures_are_no_copies() -> None:
    first = SCENES[0]
    soft = (first // 2 + 50).astype(np.uint8)
    plain = [np.full_like(first, level) for level in (99, 100, 101)]
    pictures = np.stack([first, first[..., ::-1], *plain])
    assert near_pairs(pictures).tolist() == []
    mean = soft.mean()
    for gain, shift, near in ((1, 20, True), (1, 40, False), (1.2, 0, True), (1.4, 0, False)):
        changed = ((soft - mean) * gain + mean + shift).round().astype(np.uint8)
        assert near_pairs(np.stack([soft, changed])).tolist() == [[0, 1]] * near


def test_real_numbers_are_judged_by_their_own_range() -> None:
    real = SCENES.astype(np.float32) / 255
    both = np.concatenate([real, real * 1.02])
    assert near_pairs(both).tolist() == [[place, place + 40] for place in range(40)]


@tried(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 59), max_size=12), st.lists(st.integers(0, 59), max_size=6))
def test_pictures_added_move_none_that_is_in_no_group(old: list[int], new: list[int]) -> None:
    def drawn(seeds: list[int]) -> np.ndarray:
        # Every third is a near copy of the one before.
        made = [brightened(scene(seed - 1)) if seed % 3 == 2 else scene(seed) for seed in seeds]
        return np.array(made, dtype=np.uint8).reshape(-1, 32, 32, 3)

    before = near_keys(drawn(old))
    every = drawn(old + new)
    after = near_keys(every)
    keys = content(every)
    for place, key in enumerate(after):
        group = after == key
        assert key == keys[group].min()
        if place < len(old) and not group[len(old) :].any():
            assert before[place] == key
    # Near copies share a key, others do not.
    scenes = np.array([seed - (seed % 3 == 2) for seed in old + new])
    np.testing.assert_array_equal(after[:, None] == after, scenes[:, None] == scenes)


def test_what_is_said_of_pictures_does_not_depend_on_how_they_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = np.concatenate([SCENES, np.stack([as_jpeg(picture, 60) for picture in SCENES])])
    whole = near_copies._looks(both)
    monkeypatch.setattr(near_copies, "_CHUNK", 7)
    cut = near_copies._looks(both)
    for name in ("hashes", "shapes", "rows", "mean", "contrast"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


def test_areas_are_means() -> None:
    pictures = np.arange(2 * 6 * 9, dtype=np.float64).reshape(2, 6, 9, 1)
    means = near_copies._shrink(pictures, 2, 3)
    np.testing.assert_array_equal(means[..., 0], pictures.reshape(2, 2, 3, 3, 3).mean(axis=(2, 4)))
    np.testing.assert_allclose(near_copies._shrink(pictures, 4, 4).mean(), pictures.mean())


def test_honest_look_alikes_are_left_alone() -> None:
    digits = (load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    assert not len(near_pairs(digits))


def test_of_many_clothes_few_are_near_copies_and_those_of_one_kind() -> None:
    path = SHARED / "image" / "fashion_mnist.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with np.load(path) as arrays:
        pictures, labels = arrays["x_test"][..., None], arrays["y_test"]
    pairs = near_pairs(pictures)
    assert len(pairs) < 20
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()
    again = np.stack([as_jpeg(picture[..., 0], 80) for picture in pictures[:200]])[..., None]
    keys = near_keys(np.concatenate([pictures[:1000], again]))
    assert (keys[:200] == keys[1000:]).all()
