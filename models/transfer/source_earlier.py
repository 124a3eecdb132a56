"""A model of an earlier run as a base: its network, and in front of it what its encoder needs.

Nothing in the file is executed: it is looked at as text first, and then loaded by
`models.archive.load`.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from dataset.examples import PICTURE, Schema
from dataset.pictures.labelled import available
from models import archive, inspection
from models.fitting import determinism
from models.networks import encode, layers, network
from models.networks.encode import Statistics
from models.networks.vote_layers import Vote
from models.transfer import source_base
from models.transfer.bases import BASE
from models.transfer.source_units import alike
from pipeline.errors import InputError

ENDING = ".keras"
WOULD_FIT = (
    "Give the model.keras of an earlier run on such data: of artifacts/evaluate/chosen, or of a "
    "stage."
)
GREY = (0.299, 0.587, 0.114)
"""What red, green and blue count for in grey, as in the decoder of pictures (ITU-R BT.601)."""


def check(path: Path, schema: Schema) -> None:
    """Raise InputError where the file is no model of an earlier run on such data."""
    with _in_words(path):
        _trunk(_fitting(path, schema), "trunk")


def write(path: Path, statistics: Statistics, schema: Schema, to: Path) -> None:
    """Write the base that the model in `path` makes for data with these statistics.

    Raises InputError as `check` does, and where a table's columns are encoded otherwise than here.
    """
    determinism.start(1)
    with _in_words(path):
        model = _fitting(path, schema)
        if schema.kind == "pictures":
            made = _of_pictures(model, statistics)
        else:
            made = _of_table(model, statistics, path)
    archive.save(made, to)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Raise InputError for whatever is wrong with the file.

    What is damaged, or made to do harm, raises errors of any class in Keras, HDF5 and zlib.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")[:200].rstrip(".") or type(error).__name__
        raise InputError(
            f"{path}: not a readable {ENDING} file: {said}.\nIs it whole? {WOULD_FIT}"
        ) from None


def _fitting(path: Path, schema: Schema) -> keras.Model:
    """The model of an earlier run on data of the schema's kind and columns."""
    _require_ours(path)
    try:
        model = archive.load(path)
    except InputError as error:
        raise InputError(f"{error}\nIs it whole? {WOULD_FIT}") from None
    encoder, trained = model.get_layer("encoder"), model.get_layer("network")
    if encoder.output_shape != trained.input_shape:
        raise _foreign(path, "its encoder does not give what its network takes")
    if isinstance(trained.get_layer(network.LOGITS), Vote):
        raise InputError(
            f"{path}: the model is an ensemble, whose networks have no layers in common to go on "
            "from.\nGive the model.keras of one of its members instead."
        )
    _require_kind(model, path, schema)
    return model


def _trunk(model: keras.Model, name: str) -> keras.Model:
    return source_base.cut(model.get_layer("network"), name)


def _require_ours(path: Path) -> None:
    """Raise InputError for what is none of our models, before anything is made of it."""
    if path.suffix != ENDING or not path.is_file():
        raise InputError(f"{path}: a model of an earlier run is a {ENDING} file.\n{WOULD_FIT}")
    with zipfile.ZipFile(path) as file:
        size = sum(member.file_size for member in file.infolist())
        if 2 * size > available():
            raise InputError(f"{path}: the model takes {size / 1e9:,.1f} GB: too much here.")
    config = inspection.described(path)
    if told := inspection.code(config) or inspection.foreign(config):
        raise InputError(f"{path}: {told}.\n{WOULD_FIT}")
    try:
        names = [layer["config"]["name"] for layer in config["config"]["layers"]]
    except (KeyError, TypeError):
        names = []
    if not {"encoder", "network"} <= {name for name in names if isinstance(name, str)}:
        raise _foreign(path, 'it has no layers "encoder" and "network"')


def _foreign(path: Path, why: str) -> InputError:
    return InputError(
        f"{path}: no model of an earlier run: {why}.\n{WOULD_FIT} For a network of "
        "keras.applications name it, and its weights."
    )


def _takes_pictures(model: keras.Model) -> bool:
    inputs = model.get_layer("encoder").inputs
    return [value.name for value in inputs] == [PICTURE] and len(inputs[0].shape) == 4


def _require_kind(model: keras.Model, path: Path, schema: Schema) -> None:
    pictures = schema.kind == "pictures"
    if pictures != _takes_pictures(model):
        has, wanted = ("rows of a table", "pictures") if pictures else ("pictures", "a table")
        raise InputError(f"{path}: its model takes {has}, but the data are {wanted}.\n{WOULD_FIT}")
    if pictures:
        return
    theirs = {column.name: column.type for column in columns(model.get_layer("encoder"))}
    here = {encode.input_name(column.name): column.type for column in schema.columns}
    told = [
        *(f"it takes {name!r}, which is not here" for name in theirs if name not in here),
        *(f"{name!r} is here, and it does not take it" for name in here if name not in theirs),
        *(
            f"{name!r} is {kind} there and {here[name]} here"
            for name, kind in theirs.items()
            if here.get(name, kind) != kind
        ),
    ]
    if told:
        raise _others(path, "; ".join(told[:5]))


def _others(path: Path, told: str) -> InputError:
    return InputError(
        f"{path}: its model takes other columns than these: {told}.\n"
        "Give the model of an earlier run on the same columns with the same categories and words."
    )


@dataclass(frozen=True)
class Told:
    """What an encoder says of a column."""

    name: str
    """As an input."""
    type: str
    missing: bool = False
    """Whether a mark says where it is missing."""
    ranked: bool = False
    """Whether numbers are scored by their ranks."""
    texts: tuple[str, ...] = ()
    """Categories, or a vocabulary, in their order."""
    length: int = 0
    """Words of a text that are looked at."""


def columns(encoder: keras.Model) -> list[Told]:
    """The columns of a table's encoder, in the order of what it gives."""
    numbers: list[Told] = []
    others: list[Told] = []
    ranked: list[str] = []
    for layer in encoder.layers:
        names = [value.name for value in keras.tree.flatten(layer.input)]
        if isinstance(layer, layers.NormalScores):
            ranked = names
        elif isinstance(layer, layers.Standardise):
            # Its own inputs are scores, where numbers were scored by rank first.
            numbers = [
                Told(name, "numeric", place in layer.missing, bool(ranked))
                for place, name in enumerate(ranked or names)
            ]
        elif isinstance(layer, layers.Calendar):
            others += [
                Told(name, "time", place in layer.missing) for place, name in enumerate(names)
            ]
        elif isinstance(layer, layers.OneHot):
            others.append(Told(names[0], "categorical", texts=tuple(layer.categories)))
        elif isinstance(layer, layers.Words):
            others.append(
                Told(names[0], "text", texts=tuple(layer.vocabulary), length=layer.length)
            )
    kinds = ("time", "categorical", "text")
    return numbers + [one for kind in kinds for one in others if one.type == kind]


def _of_table(model: keras.Model, statistics: Statistics, path: Path) -> keras.Model:
    """Its network's trunk as it is: encoded rows have the same columns there and here.

    Numbers are standardised by the statistics of the data here, not by those of the earlier run,
    which differ a little; so they are about 0 and of about the same size either way.
    """
    theirs, here = columns(model.get_layer("encoder")), columns(encode.build(statistics))
    for one, other in zip(theirs, here, strict=True):
        if one != other:
            raise _others(path, _difference(one, other))
    return _trunk(model, BASE)


def _difference(theirs: Told, here: Told) -> str:
    if theirs.name != here.name:
        return f"{theirs.name!r} stands there where {here.name!r} stands here"
    name = repr(theirs.name)
    if theirs.missing != here.missing:
        there, now = ("some", "none") if theirs.missing else ("no", "some")
        return f"{there} values of {name} were missing there, and {now} are here"
    if theirs.ranked != here.ranked:
        return f"{name} is scaled by {'rank' if theirs.ranked else 'its deviation'} there, not here"
    if theirs.length != here.length:
        return f"{theirs.length} words of {name} are read there, {here.length} here"
    what = "words" if theirs.type == "text" else "categories"
    return f"{name} has {_first_difference(theirs.texts, here.texts, what)}"


def _first_difference(theirs: tuple[str, ...], here: tuple[str, ...], what: str) -> str:
    known, present = set(theirs), set(here)
    strange = next((one for one in here if one not in known), None)
    lost = next((one for one in theirs if one not in present), None)
    if strange is not None:
        return f"{len(here)} {what} here, among them {strange!r}, which it does not know"
    if lost is not None:
        return f"{len(theirs)} {what} there, among them {lost!r}, which is not here"
    return f"the same {what} here in another order: by how frequent they are"


def _of_pictures(model: keras.Model, statistics: Statistics) -> keras.Model:
    """Encoded pictures back to raw ones, as its model takes them, through its encoder and trunk.

    Grey is repeated for colours, colours are weighed to grey; the longer side is cut evenly, by
    whole points, and what is left is scaled, much as `dataset.pictures.decoding.fit` does. Pictures
    of other units, such as 0 to 1 for 0 to 255, stay standardised: raw ones would mean nothing to
    its encoder.
    """
    encoder = model.get_layer("encoder")
    shape = encoder.inputs[0].shape[1:]
    encoded = keras.Input(statistics.shape, name="input")
    their_scale = 1 / float(encoder.get_layer("standardise").scale)
    raw = alike(statistics.scale, their_scale)
    shown = encoded
    if raw:
        shown = keras.layers.Rescaling(statistics.scale, statistics.mean, name="raw")(shown)
    shown = _resized(_channelled(shown, shape[-1]), shape[:2])
    if raw:
        shown = network.clean(encoder)({PICTURE: shown})
    features = _trunk(model, "trunk")(shown)
    return keras.Model(encoded, features, name=BASE)


def _channelled(pictures: Any, channels: int) -> Any:
    have = pictures.shape[-1]
    if have == channels:
        return pictures
    if have == 1:
        return keras.layers.Concatenate(name="colours")([pictures] * channels)
    weighed = keras.layers.Rescaling(list(GREY), name="weighed")(pictures)
    return keras.ops.sum(weighed, axis=-1, keepdims=True)


def _resized(pictures: Any, size: tuple[int, int]) -> Any:
    if tuple(pictures.shape[1:3]) == tuple(size):
        return pictures
    # Over the whole area that a new pixel covers, as there.
    resizing = keras.layers.Resizing(
        *size, crop_to_aspect_ratio=True, antialias=True, name="resized"
    )
    return resizing(pictures)
