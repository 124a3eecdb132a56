"""Names of networks, and what weights files are called."""

import keras
import pytest

from models.transfer.application_names import NAMES, Recognised, recognise


def test_the_names_are_those_that_keras_has() -> None:
    assert list(NAMES) == [name for name in dir(keras.applications) if name[0].isupper()]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "mobilenet_v2_0.35_224_no_top.weights.h5",
            Recognised("MobileNetV2", {"alpha": 0.35}, 224),
        ),
        (
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_96_no_top.h5",
            Recognised("MobileNetV2", {"alpha": 1.4}, 96),
        ),
        (
            "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            Recognised("ResNet50V2", {}, None),
        ),
        ("efficientnetv2-b0_notop.h5", Recognised("EfficientNetV2B0", {}, None)),
        (
            "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5",
            Recognised("MobileNetV3Small", {"alpha": 0.75}, 224),
        ),
        ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", Recognised("VGG16", {}, None)),
        ("my_best.weights.h5", None),
    ],
)
def test_a_file_is_recognised_by_its_name(file: str, expected: Recognised | None) -> None:
    assert recognise(file) == expected
