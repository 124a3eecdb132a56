"""Source tasks for transfer: drawn digits, turned pictures, masked features of the table itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Development, Examples, Known, Schema
from dataset.target import Task
from models import curves, determinism, sample, training
from models.curves import Line
from models.layout import PADDING, RESERVED, UNKNOWN, Layout
from models.rows import IN_MEMORY_BYTES, Rows
from models.settings import FitSettings, NetworkSpec
from models.source_settings import Application, SelfMade, TransferSource, told
from pipeline.errors import InputError

if TYPE_CHECKING:
    from PIL import ImageFont

    from models.criterion import Criterion
    from models.fit import Array

FAMILIES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmb10", "cmr10", "cmss10", "cmtt10")
"""Beginnings of the names of matplotlib's fonts that have digits; the others have symbols."""
SYMBOLS = "Display"
"""Part of the names of those DejaVu fonts that have symbols only."""
DETAIL = 4
"""How much finer than the target's pictures a digit is drawn, for smooth edges."""
FILL = 1.3
"""A font's size over the picture's side: a digit is about 0.73 of the size high, and pictures of
single digits are usually cut close to the ink."""
SEEN = 10_000
"""Pictures by which ink is told from ground, at the most."""
WORDS = 512
"""Of each text column the most frequent words, which are guessed where they were hidden."""


def offered(schema: Schema) -> tuple[SelfMade, ...]:
    """The source tasks that suit the data, the usual one first."""
    if schema.kind == "table":
        return ("masked",)
    # Digits are drawn in grey; a colour picture's trunk would learn that all channels are one.
    return ("fonts", "rotated") if schema.shape[-1] == 1 else ("rotated",)


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


def turns(shape: Sequence[int]) -> tuple[int, ...]:
    """The quarter turns that pictures of this shape `(h, w, c)` can make and keep it."""
    return (0, 1, 2, 3) if shape[0] == shape[1] else (0, 2)


def upright(spec: NetworkSpec) -> NetworkSpec:
    """The network without turns and mirror images of its own, where turns are what is asked.

    A mirror image that lies on its left side looks like one that lies on its right.
    """
    return spec.model_copy(update={"flip": "none", "rotation": 0.0})


def turned(
    pictures: Rows, most: int, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """At most `most` turned pictures `(m, h, w, c)` and which of `turns` each made, `(m,)` int32.

    Every picture in every turn, or some of them, drawn from `seed`. To tell how a picture was
    turned is to know what it shows: Gidaris et al., "Unsupervised representation learning by
    predicting image rotations", ICLR 2018.
    """
    possible = turns(pictures.shape[1:])
    chosen = sample.spread(len(pictures) * len(possible), most, seed)
    places, codes = chosen // len(possible), (chosen % len(possible)).astype(np.int32)
    distinct, inverse = np.unique(places, return_inverse=True)
    shown = sample.taken(pictures, distinct)[inverse]
    for code, quarters in enumerate(possible):
        own = codes == code
        shown[own] = np.rot90(shown[own], quarters, axes=(1, 2))
    return shown, codes


def swapped(train: Examples, names: Sequence[str], fraction: float, seed: int) -> Examples:
    """The examples with a fraction of the values of each named column taken from other rows.

    Every value stays one that its column has, unlike with zeros or noise: "swap noise", as in
    Yoon et al., "VIME", NeurIPS 2020.
    """
    generator = np.random.default_rng(seed)
    features = dict(train.features)
    for name in names:
        values = train.features[name]
        taken = generator.random(len(values)) < fraction
        other = values[generator.integers(len(values), size=len(values))]
        features[name] = np.where(taken, other, values)
    return Examples(features, train.targets, train.rows, train.weights)


def hidden(
    encoded: npt.NDArray[np.float32], layout: Layout, fraction: float, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """An encoded table with a fraction of its texts' words made unknown, and which ones were.

    The latter is `(n, guessed(layout))` float32, 1 where one of a text's most frequent words was
    hidden. As in Devlin et al., "BERT", NAACL 2019, but that the words are guessed all at once.
    """
    generator = np.random.default_rng(seed)
    inputs, hidden_words = encoded.copy(), []
    for text, start, count in zip(layout.texts, layout.starts, _frequent(layout), strict=True):
        words = inputs[:, start : start + text.length]
        taken = (generator.random(words.shape) < fraction) & (words != PADDING)
        frequent = taken & (words >= RESERVED) & (words < RESERVED + count)
        texts, positions = np.nonzero(frequent)
        found = np.zeros((len(words), count), dtype=np.float32)
        found[texts, words[texts, positions].astype(np.int64) - RESERVED] = 1
        words[taken] = UNKNOWN
        hidden_words.append(found)
    return inputs, np.concatenate(hidden_words or [np.zeros((len(encoded), 0), np.float32)], axis=1)


def _frequent(layout: Layout) -> list[int]:
    """How many words of each text are guessed."""
    return [min(WORDS, len(text.vocabulary)) for text in layout.texts]


def guessed(layout: Layout) -> int:
    """How many words are guessed over all texts."""
    return sum(_frequent(layout))


def restoration(dense: int) -> "Criterion":
    """How far what was swapped and hidden is put right.

    Squared error over the first `dense` columns, the encoded values, and binary cross-entropy over
    the others, the words hidden; each a mean over its columns, and their sum.
    """
    import keras

    from metrics import scores
    from models.criterion import Criterion

    def loss(codes: Any, outputs: Any) -> Any:
        terms = []
        if dense:
            terms.append(keras.losses.mean_squared_error(codes[:, :dense], outputs[:, :dense]))
        if dense < outputs.shape[1]:
            words = (codes[:, dense:], outputs[:, dense:])
            terms.append(keras.losses.binary_crossentropy(*words, from_logits=True))
        return sum(terms)

    def measure(
        codes: "Array", outputs: "Array", weights: "Array | None" = None
    ) -> tuple[float, None]:
        found = 0.0
        if dense:
            found += float(np.mean((codes[:, :dense] - outputs[:, :dense]) ** 2))
        if dense < outputs.shape[1]:
            words = scores.sigmoid(outputs[:, dense:])
            found += float(scores.binary_log_losses(words, codes[:, dense:]).mean())
        return found, None

    return Criterion(loss, None, measure)


def check(source: TransferSource, schema: Schema, given: str | None) -> None:
    """Raise InputError for what can be told without training: a source of the other kind, a file
    that is not there or is not what it should be, and what would fit instead.

    `given`: the path of `finetune.pretrained`, None where there is none.
    """
    if isinstance(source, str) and source in offered(schema):
        return
    if isinstance(source, Application) and schema.kind == "pictures":
        # Before Keras is imported, or TensorFlow says what it thinks of the machine.
        determinism.pin()
        from models import applications

        applications.check(source, given, schema.shape)
        return
    what = "a table" if schema.kind == "table" else "pictures"
    if schema.kind == "pictures" and schema.shape[-1] > 1:
        what = "pictures in colour"
    raise InputError(
        f"params.yaml: finetune is to transfer from {told(source)}, but the data are {what}: put "
        f"{' or '.join(offered(schema))} there"
    )


@dataclass(frozen=True)
class SourceRun:
    """A source to be made a base of, once for all seeds."""

    development: str
    model: str
    """Where the base is written, a keras file: see `pretrain`."""
    source: TransferSource
    given: str | None
    """Where the source's files lie, `finetune.pretrained`; None: there are none."""
    spec: NetworkSpec
    settings: FitSettings
    pictures: int
    """How many digits are drawn, for `fonts`, or pictures turned at the most, for `rotated`; a
    fifth more are for validation."""
    swap: float
    """Fraction of values swapped and of words hidden, for `masked`."""
    seed: int
    name: str
    minutes: float | None = None
    """Of the clock; None: as long as it takes."""


@dataclass(frozen=True)
class SourceResult:
    """What the source's piece gives back."""

    lines: tuple[Line, ...]
    """None where nothing had to be trained."""
    examples: int
    """Training examples seen."""
    diverged: bool


def pretrain(item: SourceRun) -> SourceResult:
    """Piece: make the base, a model of that name, of the source and write it."""
    data = training.encoded(item.development)
    from models import archive, fit, network, source_base

    if isinstance(item.source, Application):
        from models import applications

        applications.write(item.source, item.given, data, Path(item.model))
        return SourceResult((), 0, diverged=False)
    task = {"fonts": _fonts, "rotated": _rotated, "masked": _masked}[str(item.source)](item, data)
    determinism.start(item.seed)
    spec = upright(item.spec) if item.source == "rotated" else item.spec
    built = network.build(data.shape, task.outputs, spec, item.seed, data.layout, task.kind)
    fitted = fit.fit(
        built,
        task.train,
        task.validation,
        item.settings,
        item.seed,
        name=item.name,
        criterion=task.criterion,
        minutes=item.minutes,
    )
    archive.save(source_base.cut(built, source_base.BASE), Path(item.model))
    [lines] = curves.lines([("source", fitted.epochs)], item.seed)
    return SourceResult(lines, len(lines) * len(task.train[0]), fitted.diverged)


@dataclass(frozen=True)
class _Task:
    """A source task: pairs of inputs and codes, how many outputs, what is minimised."""

    train: "tuple[Array, Array]"
    validation: "tuple[Array, Array]"
    outputs: int
    criterion: "Criterion"
    kind: Task
    """Of what is answered; values and words at once count as quantities."""


def _unseen(pictures: int) -> int:
    return max(10, pictures // 5)


def _fonts(item: SourceRun, data: training.Encoded) -> _Task:
    from models.criterion import CLASSIFY

    bright = bright_ink(sample.taken(data.train, sample.spread(len(data.train), SEEN, item.seed)))
    train = digits(item.pictures, data.shape, bright=bright, seed=item.seed)
    validation = digits(_unseen(item.pictures), data.shape, bright=bright, seed=item.seed + 1)
    return _Task(train, validation, 10, CLASSIFY, "classification")


def _rotated(item: SourceRun, data: training.Encoded) -> _Task:
    from models.criterion import CLASSIFY

    return _Task(
        turned(data.train, item.pictures, item.seed),
        turned(data.validation, _unseen(item.pictures), item.seed + 1),
        len(turns(data.shape)),
        CLASSIFY,
        "classification",
    )


def _masked(item: SourceRun, data: training.Encoded) -> _Task:
    dense = data.layout.dense
    return _Task(
        _restored(item, data, "train", item.seed),
        _restored(item, data, "validation", item.seed + 1),
        dense + guessed(data.layout),
        restoration(dense),
        "regression",
    )


def _restored(
    item: SourceRun, data: training.Encoded, part: Known, seed: int
) -> "tuple[Array, Array]":
    """Masked rows of a part and what they were, evenly taken if all would not fit in memory."""
    from models import encode

    encoder, layout = data.encoder(), data.layout
    names = [column.name for column in data.schema.columns if column.type != "text"]
    rows = data.train if part == "train" else data.validation
    step = -(-len(rows) * (data.shape[0] + layout.dense + guessed(layout)) * 4 // IN_MEMORY_BYTES)
    inputs, codes = [], []
    for number, block in enumerate(Development(Path(item.development)).blocks(part)):
        taken = block.take(np.arange(0, len(block), max(1, step)))
        own = seed + 1000 * number
        values = encode.run(encoder, swapped(taken, names, item.swap, own))
        masked, words = hidden(values, layout, item.swap, own)
        inputs.append(masked)
        codes.append(np.concatenate([encode.run(encoder, taken)[:, : layout.dense], words], axis=1))
    return np.concatenate(inputs), np.concatenate(codes)
