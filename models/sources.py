"""Source tasks for transfer: digits drawn from fonts, and masked features of the table itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from models import curves, determinism, training
from models.curves import Line
from models.examples import Development, Examples
from models.settings import FitSettings, NetworkSpec

if TYPE_CHECKING:
    import keras
    from PIL import ImageFont

    from models.fit import Array, Fitted, Objective

Source = Literal["fonts", "masked"]

FAMILIES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmb10", "cmr10", "cmss10", "cmtt10")
"""Beginnings of the names of matplotlib's fonts that have digits; the others have symbols."""
SYMBOLS = "Display"
"""Part of the names of those DejaVu fonts that have symbols only."""
DETAIL = 4
"""How much finer than the target's pictures a digit is drawn, for smooth edges."""
FILL = 1.3
"""A font's size over the picture's side: a digit is about 0.73 of the size high, and pictures of
single digits are usually cut close to the ink."""


def fonts() -> list[Path]:
    """The TTF fonts with digits that matplotlib ships, in the order of their names."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(
        path
        for path in folder.glob("*.ttf")
        if path.name.startswith(FAMILIES) and SYMBOLS not in path.name
    )


def digits(
    count: int, shape: Sequence[int], *, bright: bool, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """`(count, h, w, c)` float32 pictures of digits, standardised, and `(count,)` int32 codes.

    Every digit comes equally often. Font, place, angle, slant, size and noise are drawn from
    `seed`. `bright`: bright ink on dark ground, else the reverse.
    """
    generator = np.random.default_rng(seed)
    height, width, channels = shape
    side = DETAIL * max(height, width)
    faces = _faces(side)
    codes = generator.permutation(np.arange(count) % 10).astype(np.int32)
    drawn = np.stack([_draw(int(code), faces, side, (width, height), generator) for code in codes])
    noisy = drawn + generator.normal(0, 0.05, drawn.shape)
    ink = noisy if bright else 1 - noisy
    standard = (ink - ink.mean()) / ink.std()
    return np.repeat(standard[..., None], channels, axis=-1).astype(np.float32), codes


def _faces(side: int) -> "list[ImageFont.FreeTypeFont]":
    from PIL import ImageFont

    # The basic layout is part of Pillow; the other depends on what the system has.
    return [
        ImageFont.truetype(str(path), round(side * FILL), layout_engine=ImageFont.Layout.BASIC)
        for path in fonts()
    ]


def _draw(
    code: int,
    faces: "list[ImageFont.FreeTypeFont]",
    side: int,
    size: tuple[int, int],
    generator: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """One distorted digit as `(h, w)` float64 from 0 (ground) to 1 (ink)."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (side, side))
    face = faces[generator.integers(len(faces))]
    left, top, right, bottom = face.getbbox(str(code))
    # By the ink, not by the font's line, which leaves room for letters that hang lower.
    corner = ((side - left - right) / 2, (side - top - bottom) / 2)
    ImageDraw.Draw(picture).text(corner, str(code), 255, face)
    moved = picture.transform(
        (side, side),
        Image.Transform.AFFINE,
        _distortion(side, generator),
        Image.Resampling.BILINEAR,
    )
    small = moved.resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _distortion(side: int, generator: np.random.Generator) -> tuple[float, ...]:
    """Pillow's six numbers: where in the old picture each point of the new one comes from."""
    angle = generator.normal(0, 0.12)
    slant = generator.normal(0, 0.15)
    across, down = generator.uniform((0.6, 0.8), (1.0, 1.1))
    shift = generator.normal(0, 0.04 * side, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.linalg.inv(turn @ np.array([[across, slant], [0.0, down]]))
    centre = np.array([side / 2, side / 2])
    offset = centre - matrix @ (centre + shift)
    return (*matrix[0], offset[0], *matrix[1], offset[1])


def bright_ink(pictures: npt.NDArray[np.float32]) -> bool:
    """Whether what is shown is brighter than its ground, judged by `(n, h, w, c)` borders."""
    border = np.ones(pictures.shape[1:3], dtype=bool)
    border[1:-1, 1:-1] = False
    return bool(pictures[:, border].mean() < pictures.mean())


def swapped(train: Examples, fraction: float, seed: int) -> Examples:
    """The examples with a fraction of each column's values taken from other rows.

    Every value stays one that its column has, unlike with zeros or noise: "swap noise", as in
    Yoon et al., "VIME", NeurIPS 2020.
    """
    generator = np.random.default_rng(seed)
    features = {}
    for name, values in train.features.items():
        taken = generator.random(len(values)) < fraction
        other = values[generator.integers(len(values), size=len(values))]
        features[name] = np.where(taken, other, values)
    return Examples(features, train.labels, train.rows)


def reconstruction() -> "Objective":
    """Squared error between the true encoded values and those guessed from swapped ones."""
    import keras

    from models import fit

    def squared(targets: "Array", outputs: "Array") -> tuple[float, None]:
        return float(np.mean((targets - outputs) ** 2)), None

    return fit.Objective(keras.losses.mean_squared_error, None, squared)


@dataclass(frozen=True)
class SourceRun:
    """A network to be trained on a source task, once for all seeds."""

    development: str
    model: str
    """Where the trained network is written, a keras file."""
    source: Source
    spec: NetworkSpec
    settings: FitSettings
    pictures: int
    """How many digits are drawn, for `fonts`; a fifth more are drawn to validate."""
    swap: float
    """Fraction of values swapped, for `masked`."""
    seed: int
    name: str


@dataclass(frozen=True)
class SourceResult:
    """What the source task's piece gives back."""

    lines: tuple[Line, ...]
    examples: int
    """Training examples seen."""
    diverged: bool


def pretrain(item: SourceRun) -> SourceResult:
    """Piece: train a network on the source task and write it."""
    data = training.encoded(item.development)
    from models import archive, fit, network

    task = _fonts(item, data) if item.source == "fonts" else _masked(item, data)
    determinism.start(item.seed)
    built = network.build(data.shape, task.outputs, item.spec, item.seed)
    fitted = fit.fit(
        built,
        task.train,
        task.validation,
        item.settings,
        item.seed,
        name=item.name,
        objective=task.objective,
    )
    archive.save(network.clean(built), Path(item.model))
    [lines] = curves.lines([("source", fitted.epochs)], item.seed)
    return SourceResult(lines, len(lines) * len(task.train[0]), fitted.diverged)


@dataclass(frozen=True)
class _Task:
    """A source task: pairs of inputs and targets, how many outputs, what is minimised."""

    train: "tuple[Array, Array]"
    validation: "tuple[Array, Array]"
    outputs: int
    objective: "Objective"


def _fonts(item: SourceRun, data: training.Encoded) -> _Task:
    from models import fit

    bright = bright_ink(data.train)
    train = digits(item.pictures, data.shape, bright=bright, seed=item.seed)
    unseen = max(10, item.pictures // 5)
    validation = digits(unseen, data.shape, bright=bright, seed=item.seed + 1)
    return _Task(train, validation, 10, fit.CLASSIFY)


def _masked(item: SourceRun, data: training.Encoded) -> _Task:
    from models import encode

    development = Development(Path(item.development))
    encoder = data.encoder()

    def swap(examples: Examples, seed: int) -> "Array":
        return encode.run(encoder, swapped(examples, item.swap, seed))

    return _Task(
        (swap(development.train(), item.seed), data.train),
        (swap(development.validation(), item.seed + 1), data.validation),
        data.shape[0],
        reconstruction(),
    )


@dataclass(frozen=True)
class TransferRun(training.SeedRun):
    """A network that starts from a source network; `settings` are those of the last phase."""

    source: str
    """The source network's file."""
    frozen: FitSettings
    """Of the first phase, in which the new head alone is trained."""


def transfer(item: TransferRun) -> training.Run:
    """Piece: carry the trunk over, train the new head on it, then everything more slowly.

    Batch normalisation stays in inference mode throughout: its statistics, learned on the source,
    would be spoiled by the first noisy gradients (https://keras.io/guides/transfer_learning).
    """

    def tune(built: "keras.Model", data: training.Encoded) -> "Sequence[tuple[str, Fitted]]":
        import keras

        from models import archive, fit, network

        carry(archive.load(Path(item.source)), built)
        layers = network.trunk(built)
        phases = []
        for phase, settings in (("frozen", item.frozen), ("unfrozen", item.settings)):
            for layer in layers:
                normalises = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = phase == "unfrozen" and not normalises
            fitted = fit.fit(
                built,
                (data.train, data.train_codes),
                (data.validation, data.validation_codes),
                settings,
                item.seed,
                name=f"{item.name} {phase}",
            )
            phases.append((phase, fitted))
        # The saved model says nothing of phases: later stages may train all of it.
        for layer in layers:
            layer.trainable = True
        return phases

    return training.train_with(item, tune)


def carry(source: "keras.Model", target: "keras.Model") -> None:
    """Copy the trunk's weights, layer by layer of the same name; the heads differ.

    Raises ValueError where the two networks are not built alike.
    """
    from models import network

    for layer in network.trunk(target):
        layer.set_weights(source.get_layer(layer.name).get_weights())
