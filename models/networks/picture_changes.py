"""Changes of pictures in training; registered layers.

Pictures are `(n, h, w, c)` float32, standardised: 0 is the mean of all their values, 1 a standard
deviation, and there is no lowest or highest value to be cut at. Keras's own layers expect a range
of values and cut at it, draw one window or one pair of operations for a whole batch, and
interpolate anew in every layer.
"""

from dataclasses import dataclass
from math import pi
from typing import Any

import keras
import tensorflow as tf

from models.networks.change import Change
from models.settings import Flip

TURN = 30.0
"""Degrees that a full-strength turn of RandAugment makes."""
SHEAR = 0.3
"""Points across for every point down."""
SHIFT = 0.45
"""As a fraction of the side."""
BRIGHTNESS = 1.0
"""In standard deviations of all values."""
BLEND = 0.9
"""How far contrast, sharpness and colour go away from, or towards, what has none of it."""
DRAWS = 2
"""Operations for each picture, as RandAugment usually has it."""


@dataclass(frozen=True)
class _Place:
    """Where each point of a new picture is in the old one: `x' = a x + b y + e`, `y' = c x + d y +
    f`, from the pictures' centres, in points; each `(n,)` float32 or a number."""

    a: Any
    b: Any
    c: Any
    d: Any
    e: Any
    f: Any

    def after(self, other: "_Place") -> "_Place":
        """First `other`, then this."""
        return _Place(
            self.a * other.a + self.b * other.c,
            self.a * other.b + self.b * other.d,
            self.c * other.a + self.d * other.c,
            self.c * other.b + self.d * other.d,
            self.a * other.e + self.b * other.f + self.e,
            self.c * other.e + self.d * other.f + self.f,
        )


def _turned(degrees: Any) -> _Place:
    angle = degrees * (pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return _Place(cosine, -sine, sine, cosine, 0.0, 0.0)


def _drawn_from(pictures: Any, place: _Place) -> Any:
    """The pictures anew; what lies outside of the old ones is as their nearest border."""
    height, width = pictures.shape[1:3]
    x, y = (width - 1) / 2, (height - 1) / 2
    rows = [
        place.a,
        place.b,
        place.e + x - (place.a * x + place.b * y),
        place.c,
        place.d,
        place.f + y - (place.c * x + place.d * y),
        0.0,
        0.0,
    ]
    count = tf.shape(pictures)[0]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=tf.stack([tf.broadcast_to(row, [count]) for row in rows], axis=1),
        output_shape=tf.constant([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(moved, pictures.shape)


@keras.saving.register_keras_serializable(package="fettle")
class Move(Change):
    """Pictures cropped, shifted, zoomed, turned and flipped, in this order.

    crop: a window that lacks up to this fraction of both sides, anywhere, is brought back to the
    size; shift: by up to this fraction of each side, either way; zoom: larger or smaller by up to
    this fraction; rotation: by up to so many degrees, either way; flip: over each axis that it
    names, every other picture. All of it is one interpolation, so that many changes blur no more
    than one. What comes in from outside continues the border.
    """

    def __init__(
        self,
        crop: float,
        shift: float,
        zoom: float,
        rotation: float,
        flip: Flip,
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.crop = crop
        self.shift = shift
        self.zoom = zoom
        self.rotation = rotation
        self.flip = flip

    def changed(self, values: Any) -> Any:
        """As the class says."""
        drawn = tf.unstack(self.drawn(values, 9), axis=1)
        height, width = values.shape[1:3]
        window, left, top, across, down, larger, degrees, mirrored, upended = drawn
        side = 1 - self.crop * window
        cropped = _Place(
            side,
            0.0,
            0.0,
            side,
            _either(left) * (1 - side) * width / 2,
            _either(top) * (1 - side) * height / 2,
        )
        shifted = _Place(
            1.0,
            0.0,
            0.0,
            1.0,
            _either(across) * self.shift * width,
            _either(down) * self.shift * height,
        )
        factor = 1 / (1 + self.zoom * _either(larger))
        zoomed = _Place(factor, 0.0, 0.0, factor, 0.0, 0.0)
        turned = _turned(self.rotation * _either(degrees))
        flipped = _Place(
            _sign(mirrored) if self.flip != "none" else 1.0,
            0.0,
            0.0,
            _sign(upended) if self.flip == "both" else 1.0,
            0.0,
            0.0,
        )
        # From the new picture back to the old one: the last change first.
        place = cropped.after(shifted).after(zoomed).after(turned).after(flipped)
        return _drawn_from(values, place)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        own = {
            "crop": self.crop,
            "shift": self.shift,
            "zoom": self.zoom,
            "rotation": self.rotation,
            "flip": self.flip,
        }
        return {**super().get_config(), **own}


def _either(drawn: Any) -> Any:
    """From 0 to 1 to between -1 and 1."""
    return 2 * drawn - 1


def _sign(drawn: Any) -> Any:
    """From 0 to 1 to -1 or 1."""
    return tf.where(drawn < 0.5, -1.0, 1.0)


@keras.saving.register_keras_serializable(package="fettle")
class Contrast(Change):
    """Differences from each picture's mean made larger or smaller by up to `most`, a fraction.

    The mean, of every channel, stays.
    """

    def __init__(self, most: float, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.most = most

    def changed(self, values: Any) -> Any:
        """As the class says."""
        factor = self.most * _either(self.drawn(values, 1))[:, :, None, None]
        return values + factor * (values - _mean(values))

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "most": self.most}


def _mean(pictures: Any) -> Any:
    """`(n, 1, 1, c)`."""
    return tf.reduce_mean(pictures, axis=(1, 2), keepdims=True)


@keras.saving.register_keras_serializable(package="fettle")
class Cutout(Change):
    """A square of 0, the mean, somewhere inside each picture; `side` as a fraction of the shorter.

    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout",
    2017, https://arxiv.org/abs/1708.04552; theirs may hang over the border.
    """

    def __init__(self, side: float, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.side = side

    def points(self, height: int, width: int) -> int:
        """The square's side, at least one point."""
        return max(1, round(self.side * min(height, width)))

    def changed(self, values: Any) -> Any:
        """As the class says."""
        height, width = values.shape[1:3]
        points, drawn = self.points(height, width), self.drawn(values, 2)

        def within(places: int, begin: Any) -> Any:
            first = tf.floor(begin[:, None] * (places - points + 1))
            place = tf.range(places, dtype=tf.float32)
            return (place >= first) & (place < first + points)

        rows, columns = within(height, drawn[:, 0]), within(width, drawn[:, 1])
        blank = (rows[:, :, None] & columns[:, None, :])[..., None]
        return tf.where(blank, 0.0, values)

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "side": self.side}


OPERATIONS = (
    "nothing",
    "turn",
    "shear across",
    "shear down",
    "shift across",
    "shift down",
    "brightness",
    "contrast",
    "sharpness",
    "solarise",
    "colour",
)
"""Of RandAugment; the last only where there are colours."""


@keras.saving.register_keras_serializable(package="fettle")
class RandAugment(Change):
    """Two of `OPERATIONS` for each picture, at one strength from 0 to 1, either way.

    Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space",
    CVPR Workshops 2020, https://arxiv.org/abs/1909.13719. Both are drawn for every picture by
    itself and may be the same one; those that move points come first, in one interpolation.
    Operations that need a lowest and a highest value, such as solarise, take each picture's own;
    those that make sense for 8-bit values alone (posterise, equalise) are left out.
    """

    def __init__(self, strength: float, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.strength = strength

    def changed(self, values: Any) -> Any:
        """As the class says."""
        count = len(OPERATIONS) - (values.shape[-1] == 1)
        drawn = self.drawn(values, 2 * DRAWS)
        operations = tf.cast(tf.floor(drawn[:, :DRAWS] * count), tf.int32)
        signs = _sign(drawn[:, DRAWS:])
        one_hot = tf.one_hot(operations, len(OPERATIONS))
        return applied(values, one_hot * (self.strength * signs)[..., None])

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {**super().get_config(), "strength": self.strength}


def applied(pictures: Any, strengths: Any) -> Any:
    """The pictures after operations one after the other, `(n, operations, len(OPERATIONS))`.

    A strength lies between -1 and 1; all but one of each operation's are 0, and 0 changes nothing.
    """
    height, width = pictures.shape[1:3]
    rounds = [
        dict(zip(OPERATIONS, tf.unstack(drawn, axis=1), strict=True))
        for drawn in tf.unstack(strengths, axis=1)
    ]
    moved = _drawn_from(pictures, _all_of([_move(drawn, height, width) for drawn in rounds]))
    for drawn in rounds:
        moved = _recoloured(
            moved, {name: level[:, None, None, None] for name, level in drawn.items()}
        )
    return moved


def _move(drawn: dict[str, Any], height: int, width: int) -> _Place:
    """What one operation does to places; of turns and shears at most one is not 0."""
    turned = _turned(TURN * drawn["turn"])
    return _Place(
        turned.a,
        turned.b + SHEAR * drawn["shear across"],
        turned.c + SHEAR * drawn["shear down"],
        turned.d,
        SHIFT * width * drawn["shift across"],
        SHIFT * height * drawn["shift down"],
    )


def _all_of(places: list[_Place]) -> _Place:
    whole = places[0]
    for place in places[1:]:
        whole = whole.after(place)
    return whole


def _recoloured(pictures: Any, drawn: dict[str, Any]) -> Any:
    """What one operation does to values; `drawn` are `(n, 1, 1, 1)`, at most one is not 0."""
    smooth = tf.nn.avg_pool2d(pictures, 3, 1, "SAME")
    grey = tf.reduce_mean(pictures, axis=-1, keepdims=True)
    blended = (
        pictures
        + BRIGHTNESS * drawn["brightness"]
        + BLEND * drawn["contrast"] * (pictures - _mean(pictures))
        + BLEND * drawn["sharpness"] * (pictures - smooth)
        + BLEND * drawn["colour"] * (pictures - grey)
    )
    low = tf.reduce_min(blended, axis=(1, 2, 3), keepdims=True)
    high = tf.reduce_max(blended, axis=(1, 2, 3), keepdims=True)
    level = tf.abs(drawn["solarise"])
    # The brightest values turned round; all of them at full strength.
    bright = (level > 0) & (blended >= high - level * (high - low))
    return tf.where(bright, low + high - blended, blended)
