"""The networks of keras.applications by name, and which of them a weights file is of.

Free of Keras: `fettle init` reads a file's name without waiting for TensorFlow.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMES = (
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
)
"""As keras.applications has them."""
WIDENED = ("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small")
"""Those whose width is told by `alpha`, which is part of a weights file's name."""
SIZES = range(64, 513)
"""Sides of pictures that a number in a file's name may mean."""


@dataclass(frozen=True)
class Recognised:
    """What a weights file's name says of it."""

    network: str
    options: Mapping[str, Any]
    size: int | None
    """The side of the pictures that it was trained on."""


def recognise(file: str) -> Recognised | None:
    """The network that a weights file is of, by Keras's own way to name them, such as
    mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5; None where its name does not
    say."""
    plain = _plain(file)
    found = [name for name in NAMES if _plain(name) in plain]
    if not found:
        return None
    network = max(found, key=len)
    numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\d.])", file.replace("_", " "))
    alphas = [float(number) for number in numbers if "." in number]
    sizes = [int(number) for number in numbers if "." not in number and int(number) in SIZES]
    options = {"alpha": alphas[0]} if network in WIDENED and alphas else {}
    return Recognised(network, options, sizes[-1] if sizes else None)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
