import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.fitting import determinism
from models.networks.picture_changes import (
    BLEND,
    BRIGHTNESS,
    OPERATIONS,
    SHEAR,
    SHIFT,
    TURN,
    Contrast,
    Cutout,
    Move,
    RandAugment,
    applied,
)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def pictures(count=64, height=8, width=6, channels=1, seed=1):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def move(crop=0.0, shift=0.0, zoom=0.0, rotation=0.0, flip="none", seed=1):
    return Move(crop, shift, zoom, rotation, flip, seed)


def changed(layer, values):
    return layer(values, training=True).numpy()


EVERY = {
    "crop": lambda seed: move(crop=0.3, seed=seed),
    "shift": lambda seed: move(shift=0.3, seed=seed),
    "zoom": lambda seed: move(zoom=0.3, seed=seed),
    "rotation": lambda seed: move(rotation=20, seed=seed),
    "flip": lambda seed: move(flip="both", seed=seed),
    "contrast": lambda seed: Contrast(0.5, seed),
    "randaugment": lambda seed: RandAugment(0.5, seed),
    "cutout": lambda seed: Cutout(0.5, seed),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_is_inactive_unless_training_and_drawn_by_its_seed(name, channels):
    values = pictures(channels=channels)
    first, again, other = EVERY[name](1), EVERY[name](1), EVERY[name](2)

    shown = changed(first, values)

    np.testing.assert_array_equal(first(values), values)
    np.testing.assert_array_equal(first(values, training=False), values)
    np.testing.assert_array_equal(changed(again, values), shown)
    assert not np.array_equal(changed(other, values), shown)
    assert not np.array_equal(changed(first, values), shown)
    assert shown.shape == values.shape
    # Each picture by itself: the same one many times gives many different ones.
    same = changed(EVERY[name](1), np.repeat(values[:1], 64, axis=0))
    assert len({picture.tobytes() for picture in same}) > 2


def test_a_change_of_nothing_changes_nothing():
    values = pictures(channels=3)

    np.testing.assert_array_equal(changed(move(), values), values)
    np.testing.assert_array_equal(changed(Contrast(0.0, 1), values), values)
    np.testing.assert_array_equal(changed(RandAugment(0.0, 1), values), values)


@pytest.mark.parametrize(("flip", "ways"), [("horizontal", (0, 1)), ("both", (0, 1, 2, 3))])
def test_flips_mirror_points_exactly_and_each_way_comes(flip, ways):
    values = pictures(200, 7, 6)
    possible = np.stack(
        [values, values[:, :, ::-1], values[:, ::-1], values[:, ::-1, ::-1]], axis=1
    )

    shown = changed(move(flip=flip), values)

    equal = (possible == shown[:, None]).all(axis=(2, 3, 4))
    assert (equal.sum(axis=1) == 1).all()
    counts = np.bincount(equal.argmax(axis=1), minlength=4)
    assert tuple(np.nonzero(counts)[0]) == ways
    assert counts[list(ways)].min() > 200 / len(ways) / 2


def blob(height=33, width=25):
    """A smooth spot left of and above the middle, on black; its centre is given as well."""
    down, across = np.mgrid[:height, :width]
    middle = np.array([height * 0.4, width * 0.4])
    squares = (down - middle[0]) ** 2 + (across - middle[1]) ** 2
    return np.exp(-squares / 8).astype(np.float32)[None, ..., None]


def centres(shown):
    """Where the mass of each picture lies, `(n, 2)`, down and across, from the middle."""
    height, width = shown.shape[1:3]
    mass = shown[..., 0] / shown.sum(axis=(1, 2, 3))[:, None, None]
    down, across = np.mgrid[:height, :width]
    centre = np.stack([(mass * down).sum(axis=(1, 2)), (mass * across).sum(axis=(1, 2))], axis=1)
    return centre - np.array([(height - 1) / 2, (width - 1) / 2])


def test_shifts_move_mass_by_up_to_their_fraction_either_way():
    many = np.repeat(blob(), 300, axis=0)

    moved = centres(changed(move(shift=0.15), many)) - centres(many)

    most = 0.15 * np.array([33, 25])
    assert (np.abs(moved) <= most + 0.1).all()
    assert (moved.max(axis=0) > 0.8 * most).all()
    assert (moved.min(axis=0) < -0.8 * most).all()
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2


def test_turns_keep_the_distance_from_the_middle():
    many = np.repeat(blob(), 300, axis=0)
    before = centres(many)[0]

    after = centres(changed(move(rotation=40), many))

    np.testing.assert_allclose(np.hypot(*after.T), np.hypot(*before), atol=0.1)
    angles = np.degrees(np.arctan2(after[:, 0], after[:, 1]) - np.arctan2(*before))
    angles = (angles + 180) % 360 - 180
    assert np.abs(angles).max() < 41
    assert angles.max() > 32
    assert angles.min() < -32


def test_zoom_goes_larger_and_smaller():
    many = np.repeat(blob(), 300, axis=0)

    mass = changed(move(zoom=0.3), many).sum(axis=(1, 2, 3)) / many[0].sum()

    # Areas go with the square of the factor, which lies between 0.7 and 1.3.
    assert 0.45 < mass.min() < 0.6
    assert 1.5 < mass.max() < 1.75


def test_a_crop_is_a_window_brought_back_to_the_size():
    # On a slope each value says where it came from.
    slope = np.broadcast_to(np.arange(20, dtype=np.float32)[None, :, None, None], (300, 20, 20, 1))

    shown = changed(move(crop=0.5), slope)[..., 0]

    steps = np.diff(shown[:, 2:-2, 10], axis=1)
    np.testing.assert_allclose(steps, steps[:, :1].repeat(steps.shape[1], axis=1), atol=1e-4)
    assert 0.5 <= steps[:, 0].min() < 0.55
    assert 0.95 < steps[:, 0].max() <= 1.0001
    # The window lies within: in edge coordinates, it begins at 0 or later and ends at 20 or before.
    begin = shown[:, 5, 10] + 0.5 - 5.5 * steps[:, 0]
    assert begin.min() > -1e-3
    assert (begin + 20 * steps[:, 0]).max() < 20 + 1e-3


def test_what_comes_in_continues_the_border():
    flat = np.full((50, 8, 8, 1), -0.8, dtype=np.float32)

    shown = changed(move(crop=0.3, shift=0.4, zoom=0.5, rotation=180, flip="both"), flat)

    np.testing.assert_allclose(shown, flat, rtol=1e-6)


def test_moves_follow_one_another_as_their_names_say():
    # The shift is by the picture's own sides and comes before the turn, so a turned picture is not
    # always moved along its own axes: the order shows in where the mass goes.
    layer, many = move(shift=0.2, rotation=180), np.repeat(blob(), 200, axis=0)
    drawn = np.array(layer.drawn(many, 9))
    layer = move(shift=0.2, rotation=180)

    after = centres(changed(layer, many))

    across, down, angle = (2 * drawn[:, place] - 1 for place in (3, 4, 6))
    moved = centres(many) - np.stack([0.2 * 33 * down, 0.2 * 25 * across], axis=1)
    turn = np.radians(180 * angle)
    expected = np.stack(
        [
            np.cos(turn) * moved[:, 0] - np.sin(turn) * moved[:, 1],
            np.sin(turn) * moved[:, 0] + np.cos(turn) * moved[:, 1],
        ],
        axis=1,
    )
    inside = (np.abs(expected) < np.array([12, 8])).all(axis=1)
    assert inside.sum() > 50
    np.testing.assert_allclose(after[inside], expected[inside], atol=0.15)


@given(st.floats(0.01, 0.99), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_contrast_keeps_each_mean_and_scales_the_rest_by_one_factor(most, channels):
    values = pictures(channels=channels)

    shown = changed(Contrast(most, 1), values)

    means = values.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(shown.mean(axis=(1, 2), keepdims=True), means, atol=1e-5)
    factors = (shown.std(axis=(1, 2)) / values.std(axis=(1, 2))).reshape(64, channels)
    np.testing.assert_allclose(factors, factors[:, :1].repeat(channels, axis=1), rtol=1e-3)
    assert (np.abs(factors - 1) <= most + 1e-4).all()
    assert factors.min() < 1 < factors.max()


@given(st.floats(0.01, 0.99), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_cutout_blanks_one_whole_square(side, height, width):
    values = np.ones((50, height, width, 2), dtype=np.float32)
    layer = Cutout(side, 1)
    points = layer.points(height, width)

    blank = changed(layer, values) == 0

    assert points == max(1, round(side * min(height, width)))
    assert (blank.sum(axis=(1, 2)) == points**2).all()
    assert (blank[..., 0] == blank[..., 1]).all()
    assert (blank.any(axis=2).sum(axis=1) == points).all()
    assert (blank.any(axis=1).sum(axis=1) == points).all()


def test_cutout_comes_everywhere_equally():
    blank = changed(Cutout(0.25, 1), np.ones((4000, 8, 8, 1), dtype=np.float32)) == 0

    places = blank[:, :-1, :-1, 0] & blank[:, 1:, 1:, 0]
    counts = places.sum(axis=0)
    assert counts.sum() == 4000
    assert counts.min() > 4000 / 49 / 2
    assert counts.max() < 4000 / 49 * 2


def strengths(count, *drawn):
    """Operations by name and strength, the same for every picture."""
    told = np.zeros((count, len(drawn), len(OPERATIONS)), dtype=np.float32)
    for place, (name, strength) in enumerate(drawn):
        told[:, place, OPERATIONS.index(name)] = strength
    return told


def one(values, name, strength):
    return applied(values, strengths(len(values), (name, strength), ("nothing", 0.5))).numpy()


def test_operations_on_values_are_as_reckoned_by_hand():
    values = pictures(count=5, channels=3)
    mean = values.mean(axis=(1, 2), keepdims=True)
    grey = values.mean(axis=3, keepdims=True)
    low, high = (of(values, axis=(1, 2, 3), keepdims=True) for of in (np.min, np.max))
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    near = [padded[:, i : i + 8, j : j + 6] for i in range(3) for j in range(3)]
    smooth = np.nanmean(near, axis=0)
    expected = {
        "nothing": values,
        "brightness": values + 0.5 * BRIGHTNESS,
        "contrast": mean + (1 + 0.5 * BLEND) * (values - mean),
        "colour": grey + (1 + 0.5 * BLEND) * (values - grey),
        "sharpness": smooth + (1 + 0.5 * BLEND) * (values - smooth),
        "solarise": np.where(values >= (low + high) / 2, low + high - values, values),
    }

    for name, wanted in expected.items():
        np.testing.assert_allclose(one(values, name, 0.5), wanted, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(one(values, "solarise", -0.5), one(values, "solarise", 0.5))


MATRICES = {
    "turn": (np.cos(a := np.radians(TURN)), -np.sin(a), 0, np.sin(a), np.cos(a), 0),
    "shear across": (1, SHEAR, 0, 0, 1, 0),
    "shear down": (1, 0, 0, SHEAR, 1, 0),
    "shift across": (1, 0, SHIFT * 25, 0, 1, 0),
    "shift down": (1, 0, 0, 0, 1, SHIFT * 33),
}


@pytest.mark.parametrize("name", MATRICES)
def test_operations_on_places_are_those_of_pillow(name):
    spot = blob()
    a, b, c, d, e, f = MATRICES[name]
    x, y = 25 / 2, 33 / 2

    shown = one(spot, name, 1.0)

    # Pillow's coordinates begin at a picture's corner.
    numbers = (a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y)
    expected = Image.fromarray(spot[0, :, :, 0]).transform(
        (25, 33), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR
    )
    np.testing.assert_allclose(shown[0, 3:-3, 3:-3, 0], np.asarray(expected)[3:-3, 3:-3], atol=1e-3)


def test_two_operations_follow_one_another():
    values = pictures(count=4, channels=3)

    both = applied(values, strengths(4, ("contrast", 0.7), ("solarise", 0.5))).numpy()

    one_by_one = one(one(values, "contrast", 0.7), "solarise", 0.5)
    np.testing.assert_allclose(both, one_by_one, atol=1e-5)
    spot = blob()
    moved = applied(spot, strengths(1, ("shift across", 0.3), ("turn", 1.0))).numpy()
    expected = one(one(spot, "shift across", 0.3), "turn", 1.0)
    np.testing.assert_allclose(centres(moved), centres(expected), atol=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_drawn_and_colour_of_colours_alone(channels, monkeypatch):
    from models.networks import picture_changes

    drawn = []

    def seen(values, strengths):
        drawn.append(strengths.numpy())
        return values

    monkeypatch.setattr(picture_changes, "applied", seen)

    changed(RandAugment(0.4, 1), pictures(count=2000, channels=channels))

    [strengths] = drawn
    assert strengths.shape == (2000, 2, len(OPERATIONS))
    assert ((strengths != 0).sum(axis=2) == 1).all()
    np.testing.assert_allclose(np.abs(strengths[strengths != 0]), 0.4, rtol=1e-6)
    counts = (strengths != 0).sum(axis=(0, 1))
    kinds = len(OPERATIONS) - (channels == 1)
    assert (counts[-1] == 0) == (channels == 1)
    assert counts[:kinds].min() > 4000 / kinds * 0.7
    assert 0.45 < (strengths > 0).sum() / 4000 < 0.55
    # The two of a picture have nothing to do with each other.
    first, second = (strengths != 0).argmax(axis=2).T
    assert 0.5 / kinds < (first == second).mean() < 2 / kinds
