"""Networks of keras.applications as bases: encoded pictures in, a map of features out.

A base brings pictures back to what the network was trained on: 0 to 255, three channels, a size
that it takes, and its own preprocessing. All of that is layers, so that a saved model holds it and
holds no code.
"""

import difflib
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models import archive
from models.fitting import determinism
from models.fitting.rows import Rows
from models.networks.picture_layers import ReverseChannels
from models.training import Encoded
from models.transfer import bases, source_files
from models.transfer.bases import BASE
from models.transfer.source_settings import Application, told
from pipeline.errors import InputError

IMAGENET = "imagenet"
"""The weights that Keras fetches."""
SIZE = "size"
"""The option that is this project's own: points of the shorter side that the network is shown."""
SMALL = 96
"""Shorter side that pictures are brought to which are smaller than the network takes."""
SIZES = (32, 1024)
"""What `size` may be, but that some networks take no less than `LEAST` says."""
LEAST = {"xception": 71, "inception_v3": 75, "inception_resnet_v2": 75}
"""Smallest sides by module; of all others 32."""
PREPROCESSING = {
    "convnext": "none",
    "densenet": "torch",
    "efficientnet": "efficientnet",
    "efficientnet_v2": "none",
    "inception_resnet_v2": "tf",
    "inception_v3": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "mobilenet_v3": "none",
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet_v2": "tf",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "tf",
}
"""By module: to -1 to 1 (tf); standardised by ImageNet's colours (torch), or blue first and about
their means (caffe); none where the network itself does it; of efficientnet see `_preprocessed`."""
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, from 0 to 1."""
OWN = frozenset(
    {
        "include_top",
        "weights",
        "input_tensor",
        "input_shape",
        "pooling",
        "classes",
        "classifier_activation",
        "include_preprocessing",
        "name",
        "weights_name",
    }
)
"""Arguments that are not for options: what they say is settled here."""
ENDINGS = (".weights.h5", ".h5", ".hdf5")
MOST = 10
"""What the value of an option may be at the most; they are factors, about 1."""
WHOLE, HALF = 255.0, 128.0
WHERE = "params.yaml: finetune.sources"
REASON = 200
"""Letters of a library's reason that a message holds, at the most."""


def names() -> tuple[str, ...]:
    """The networks that there are, sorted."""
    return tuple(name for name in sorted(dir(keras.applications)) if _is_network(name))


def _is_network(name: str) -> bool:
    made = getattr(keras.applications, name, None)
    if name.startswith("_") or not callable(made):
        return False
    return {"include_top", "weights"} <= set(inspect.signature(made).parameters)


def check(source: Application, given: str | None, shape: Sequence[int]) -> None:
    """Raise InputError for what can be told of a source without building it: its name, options,
    and whether the weights file is there; `shape` of a picture, `given`: `finetune.pretrained`."""
    _known(source)
    _arguments(source)
    _side(source, shape)
    if source.weights != IMAGENET:
        _weights_file(source, given)


def write(source: Application, given: str | None, data: Encoded, to: Path) -> None:
    """Write the base of a source for a development set's pictures; raises InputError as `check`,
    and where weights cannot be fetched or are those of another network."""
    check(source, given, data.shape)
    determinism.start(1)
    trained = _trained(source, given)
    statistics = data.statistics
    low, high = span(data.train, statistics.mean, statistics.scale)
    base = build(source, data.shape, statistics.mean, statistics.scale, low, high)
    bases.copy_weights(trained, base)
    archive.save(bases.rebuilt(base, 1), to)


def span(train: Rows, mean: float, scale: float) -> tuple[float, float]:
    """What black and white are in raw pictures, of which `train` are the encoded ones.

    Black is 0, or the least value where some are negative. White is 1 where none is larger, 255
    where there are values beyond 128, and else the largest that there is, such as 16.
    """
    lows, highs = [], []
    for start in range(0, len(train), bases.BLOCK):
        block = train[start : start + bases.BLOCK]
        lows.append(float(block.min()))
        highs.append(float(block.max()))
    low, high = (float(end * scale + mean) for end in (min(lows), max(highs)))
    # Encoded values hold seven digits.
    least = 0.0 if low > -1e-3 * max(1.0, abs(high)) else low
    if high <= 1 + 1e-3:
        return least, 1.0
    return least, WHOLE if HALF < high <= WHOLE + 1e-2 else high


def build(
    source: Application,
    shape: Sequence[int],
    mean: float,
    scale: float,
    low: float,
    high: float,
) -> keras.Model:
    """The base, untrained: `(h, w, 1 or 3)` float32 with such a mean and deviation taken out to
    `(h', w', f)`; `low` and `high` are black and white before that."""
    encoded = keras.Input(tuple(shape), name="input")
    factor = WHOLE / (high - low)
    shown = keras.layers.Rescaling(scale * factor, (mean - low) * factor, name="raw")(encoded)
    if shape[-1] == 1:
        shown = keras.layers.Concatenate(name="colours")([shown] * 3)
    size = _size(source, shape)
    if size != tuple(shape[:2]):
        shown = keras.layers.Resizing(*size, interpolation="bilinear", name="resized")(shown)
    shown = _preprocessed(shown, PREPROCESSING[_module(source)])
    made = _made(source, input_tensor=shown)
    return keras.Model(encoded, made.output, name=BASE)


def _preprocessed(pictures: Any, kind: str) -> Any:
    """0 to 255 as the network takes it.

    Of efficientnet: the network standardises by itself, but leaves out a factor of one over the
    root of the deviations unless it was made with Keras's own weights, which need it
    (https://github.com/tensorflow/tensorflow/issues/49930). The factor is made here, before it.
    """
    scales: Sequence[float] | float
    offsets: Sequence[float] | float
    if kind == "none":
        return pictures
    if kind == "caffe":
        pictures = ReverseChannels(name="blue_first")(pictures)
        scales, offsets = 1.0, [-103.939, -116.779, -123.68]
    elif kind == "tf":
        scales, offsets = 1 / 127.5, -1.0
    elif kind == "torch":
        scales = [1 / (WHOLE * deviation) for deviation in DEVIATIONS]
        offsets = [-mean / deviation for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)]
    else:
        scales = [deviation**-0.5 for deviation in DEVIATIONS]
        offsets = [WHOLE * mean * (1 - one) for mean, one in zip(MEANS, scales, strict=True)]
    return keras.layers.Rescaling(scales, offsets, name="preprocessed")(pictures)


def _trained(source: Application, given: str | None) -> keras.Model:
    """The network alone with its weights, at a size that it was trained at."""
    if source.weights == IMAGENET:
        try:
            return _made(source, weights=IMAGENET)
        except Exception as error:
            # Keras raises a plain Exception where it cannot fetch.
            raise InputError(
                f"{WHERE}: {source.network}: its imagenet weights cannot be had: "
                f"{_first(error)}.\nWithout a network give a weights file: put it below data/, its "
                f"path as finetune.pretrained, and its name as the source's weights."
            ) from None
    path = _weights_file(source, given)
    try:
        network = _made(source)
        with warnings.catch_warnings():
            # Keras warns of every layer before it raises of all.
            warnings.simplefilter("ignore", UserWarning)
            network.load_weights(path)
    except Exception as error:
        # What is damaged, or made to do harm, raises errors of any class in Keras and HDF5.
        raise _unfit(source, path, _first(error)) from None
    if not all(np.isfinite(one).all() for one in network.get_weights()):
        raise _unfit(source, path, "some of its numbers are not finite")
    return network


def _unfit(source: Application, path: Path, why: str) -> InputError:
    options = ", ".join(f"{name} {value}" for name, value in _options(source).items())
    return InputError(
        f"{path}: these are no weights of {source.network}{f' with {options}' if options else ''}, "
        f"without its last layer: {why.rstrip(': .')}.\nIts options have to be those of the file, "
        f"which often names them (mobilenet_v2_0.35_224_no_top: alpha 0.35)."
    )


def _made(source: Application, *, weights: str | None = None, **more: Any) -> keras.Model:
    with warnings.catch_warnings():
        # Of sizes that the weights were not trained at.
        warnings.simplefilter("ignore", UserWarning)
        if "input_tensor" not in more:
            more["input_shape"] = (224, 224, 3)
        return _known(source)(include_top=False, weights=weights, **_options(source), **more)


def _known(source: Application) -> Callable[..., keras.Model]:
    if source.network not in names():
        near = difflib.get_close_matches(source.network, names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names())}."
        raise InputError(f"{WHERE}: keras.applications has no network {source.network!r}; {hint}")
    made: Callable[..., keras.Model] = getattr(keras.applications, source.network)
    return made


def _module(source: Application) -> str:
    return _known(source).__module__.rsplit(".", maxsplit=1)[-1]


def _options(source: Application) -> dict[str, Any]:
    """The network's own."""
    return {name: value for name, value in source.options.items() if name != SIZE}


def _arguments(source: Application) -> None:
    parameters = inspect.signature(_known(source)).parameters
    offered = [name for name in parameters if name not in OWN]
    for name, value in _options(source).items():
        where = f"{WHERE}: {source.network}: options.{name[:80]}"
        if name not in offered:
            raise InputError(f"{where}: it has no such option: {', '.join([*offered, SIZE])}")
        usual = parameters[name].default
        fits = isinstance(value, bool) == isinstance(usual, bool) and isinstance(value, int | float)
        whole = isinstance(value, int) or not isinstance(usual, int)
        if not (fits and whole and 0 <= value <= MOST):
            raise InputError(f"{where}: {str(value)[:80]!r} was given; it is usually {usual}")


def _least(source: Application) -> int:
    return LEAST.get(_module(source), SIZES[0])


def _side(source: Application, shape: Sequence[int]) -> int:
    """Of the shorter side that the network is shown."""
    least, own = _least(source), min(shape[:2])
    wished = source.options.get(SIZE)
    if wished is None:
        return own if own >= least else max(SMALL, least)
    whole = isinstance(wished, int) and not isinstance(wished, bool)
    if not whole or not least <= wished <= SIZES[1]:
        raise InputError(
            f"{WHERE}: {source.network}: options.{SIZE}: {str(wished)[:80]!r} was given; the "
            f"shorter side that it is shown is a whole number from {least} to {SIZES[1]}"
        )
    return int(wished)


def _size(source: Application, shape: Sequence[int]) -> tuple[int, int]:
    """Height and width that it is shown, in the pictures' own proportion."""
    side, own = _side(source, shape), min(shape[:2])
    height, width = (round(length * side / own) for length in shape[:2])
    return height, width


def _weights_file(source: Application, given: str | None) -> Path:
    if not source.weights.endswith(ENDINGS):
        raise InputError(
            f"{WHERE}: {told(source)}: weights: {source.weights!r} was given; it is {IMAGENET}, or "
            f"a file that ends in {' or '.join(ENDINGS[:2])}"
        )
    path = source_files.found(given, source.weights)
    if not path.is_file():
        raise InputError(f"{path}: is a folder, and {source.network} needs a weights file")
    return path


def _first(error: Exception) -> str:
    """The first line of a reason, as part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:REASON].rstrip(". ")
