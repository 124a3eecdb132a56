import functools
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from models import archive, training
from models.fitting import determinism
from models.transfer import applications, bases, phases
from models.transfer.phases import TransferRun
from models.transfer.source_settings import Application
from models.transfer.transfer_settings import Head
from pipeline.errors import InputError
from tests.conftest import SHARED
from tests.models import small

SMALL = {"alpha": 0.35}
REAL = SHARED / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"


@pytest.fixture(autouse=True, scope="module")
def _start():
    determinism.start(1)


def source(network="MobileNetV2", weights="some.weights.h5", **options):
    return Application(network=network, options=options, weights=weights)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """A weights file of the smallest network, drawn at random, in a folder with others."""
    folder = tmp_path_factory.mktemp("pretrained")
    determinism.start(1)
    made = applications._made(source(**SMALL))
    made.save_weights(folder / "some.weights.h5")
    made.save_weights(folder / "lost.weights.h5")
    with h5py.File(folder / "lost.weights.h5", "r+") as file:
        layer = file["layers"]["conv2d"]["vars"]["0"]
        layer[0, 0, 0, 0] = np.nan
    (folder / "torn.weights.h5").write_bytes((folder / "some.weights.h5").read_bytes()[:5000])
    (folder / "hostile.weights.h5").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (folder / "deep.weights.h5").mkdir()
    return folder


def test_all_networks_are_found_by_name_and_nothing_else_is():
    found = applications.names()
    assert len(found) >= 38
    assert {"MobileNetV2", "EfficientNetB0", "ResNet50V2", "ConvNeXtTiny"} <= set(found)
    assert not {name for name in found if name.startswith("_") or name.islower()}


@pytest.mark.parametrize("module", applications.PREPROCESSING)
def test_preprocessing_is_that_of_the_network_s_own_module(module):
    raw = np.random.default_rng(1).uniform(0, 255, (2, 5, 4, 3)).astype(np.float32)
    kind = applications.PREPROCESSING[module]
    pictures = keras.Input((5, 4, 3))
    made = keras.Model(pictures, applications._preprocessed(pictures, kind))

    own = sys.modules[f"keras.src.applications.{module}"].preprocess_input(raw.copy())

    if kind == "efficientnet":
        # It standardises by itself, but for a factor that comes with Keras's own weights.
        means, deviations = (np.array(one) for one in (applications.MEANS, applications.DEVIATIONS))
        standard = (made(raw).numpy() / 255 - means) / deviations
        expected = (own / 255 - means) / deviations / np.sqrt(deviations)
        np.testing.assert_allclose(standard, expected, rtol=1e-4, atol=1e-4)
        return
    np.testing.assert_allclose(made(raw).numpy(), own, rtol=1e-5, atol=1e-4)


def test_every_network_has_its_preprocessing_and_its_smallest_side():
    for name in applications.names():
        one = source(name)
        assert applications._module(one) in applications.PREPROCESSING
        least = applications._least(one)
        made = getattr(keras.applications, name)
        with pytest.raises(ValueError, match=f"at least {least}x{least}"):
            made(include_top=False, weights=None, input_shape=(least - 1, least, 3))


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        ("MobileNet2", {}, "has no network 'MobileNet2'; did you mean MobileNetV2"),
        ("__import__", {}, "has no network"),
        ("resnet", {}, "has no network"),
        ("MobileNetV2", {"width": 2}, "options.width: it has no such option: alpha, size"),
        ("MobileNetV2", {"include_top": True}, "options.include_top: it has no such option"),
        ("MobileNetV2", {"alpha": "wide"}, "'wide' was given; it is usually 1.0"),
        ("MobileNetV2", {"alpha": 1e9}, "was given; it is usually 1.0"),
        ("MobileNet", {"depth_multiplier": 0.5}, "'0.5' was given; it is usually 1"),
        ("MobileNetV2", {"size": 16}, "'16' was given; .* from 32 to 1024"),
        ("Xception", {"size": 70}, "'70' was given; .* from 71 to 1024"),
        ("MobileNetV2", {"size": True}, "'True' was given"),
    ],
)
def test_what_there_is_not_is_refused(weighted, given, options, told):
    with pytest.raises(InputError, match=told):
        applications.check(source(given, **options), str(weighted), (40, 40, 3))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ("other.weights.h5", "there is no 'other.weights.h5' in it"),
        ("../some.weights.h5", "leads outside"),
        ("/etc/some.weights.h5", "leads outside"),
        ("some.npz", "it is imagenet, or a file that ends in .weights.h5 or .h5"),
        ("deep.weights.h5", "is a folder, and MobileNetV2 needs a weights file"),
    ],
)
def test_weights_lie_in_the_folder_that_was_given(weighted, weights, told):
    with pytest.raises(InputError, match=told):
        applications.check(source(weights=weights), str(weighted), (40, 40, 3))
    with pytest.raises(InputError, match=r"finetune.pretrained is\s+null"):
        applications.check(source(), None, (40, 40, 3))


@pytest.mark.parametrize(
    ("weights", "options", "told"),
    [
        ("hostile.weights.h5", SMALL, "no weights of MobileNetV2 with alpha 0.35"),
        ("torn.weights.h5", SMALL, "no weights of MobileNetV2 with alpha 0.35"),
        ("lost.weights.h5", SMALL, "some of its numbers are not finite"),
        ("some.weights.h5", {"alpha": 0.5}, "Its options have to be those of the file"),
    ],
)
def test_weights_of_something_else_are_refused_in_words(weighted, weights, options, told):
    with pytest.raises(InputError, match=told) as raised:
        applications._trained(source(weights=weights, **options), str(weighted))
    assert len(str(raised.value).splitlines()) <= 3


def test_without_a_network_it_is_said_how_to_give_a_file(monkeypatch):
    whole = keras.applications.MobileNetV2

    @functools.wraps(whole)
    def away(**_):
        raise Exception("URL fetch failure on https://storage.example/x.h5: None -- no route")

    monkeypatch.setattr(keras.applications, "MobileNetV2", away)
    with pytest.raises(InputError, match="URL fetch failure") as raised:
        applications._trained(source(weights="imagenet"), None)
    assert "its path as finetune.pretrained" in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([0.0, 0.3, 1.0], (0, 1)),
        ([0.0, 3.0, 16.0], (0, 16)),
        ([4.0, 30.0, 200.0], (0, 255)),
        ([0.0, 30.0, 255.0], (0, 255)),
        ([-1.0, 0.0, 1.0], (-1, 1)),
        ([0.0, 1000.0, 4000.0], (0, 4000)),
    ],
)
def test_black_and_white_are_told_from_the_pictures(raw, expected):
    values = np.array(raw, np.float32).reshape(-1, 1, 1, 1)
    mean, scale = float(values.mean()), float(values.std())
    found = applications.span((values - mean) / scale, mean, scale)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "size"),
    [
        ((40, 50, 3), {}, (40, 50)),
        ((8, 16, 1), {}, (96, 192)),
        ((40, 40, 1), {"size": 32}, (32, 32)),
    ],
)
def test_a_base_shows_the_network_what_it_was_trained_on(shape, options, size):
    determinism.start(1)
    one = source(**SMALL, **options)
    base = applications.build(one, shape, 5.0, 4.0, 0.0, 16.0)
    raw = np.random.default_rng(1).uniform(0, 16, (2, *shape)).astype(np.float32)

    found = base((raw - 5) / 4, training=False).numpy()

    network = applications._made(one)
    bases.copy_weights(base, network)
    colours = np.repeat(raw * 255 / 16, 3 // shape[-1], axis=-1)
    resized = keras.ops.image.resize(colours, size, interpolation="bilinear")
    prepared = keras.applications.mobilenet_v2.preprocess_input(np.array(resized))
    plain = applications._known(one)(
        include_top=False, weights=None, input_shape=(*size, 3), **SMALL
    )
    bases.copy_weights(network, plain)
    expected = plain(prepared, training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert found.shape == base.compute_output_shape((2, *shape))


@pytest.mark.parametrize("name", ["VGG16", "MobileNetV3Small", "EfficientNetB0"])
def test_other_families_are_saved_and_loaded(name, tmp_path):
    determinism.start(1)
    base = applications.build(source(name), (32, 32, 1), 0.0, 1.0, 0.0, 1.0)
    base = bases.rebuilt(base, 1)
    archive.save(base, tmp_path / "base.keras")

    loaded = archive.load(tmp_path / "base.keras")

    pictures = np.random.default_rng(1).uniform(0, 1, (2, 32, 32, 1)).astype(np.float32)
    np.testing.assert_array_equal(loaded(pictures), base(pictures))
    seeds = [layer.seed for layer in loaded.layers if isinstance(layer, keras.layers.Dropout)]
    assert None not in seeds


def test_blocks_of_networks_are_in_their_order():
    determinism.start(1)
    base = applications.build(source(**SMALL), (32, 32, 3), 0.0, 1.0, 0.0, 1.0)
    names = [[layer.name for layer in stage] for stage in bases.stages(base)]
    assert len(names) == 19
    assert names[0] == ["Conv1"]
    assert names[1] == ["expanded_conv_depthwise", "expanded_conv_project"]
    assert names[4] == ["block_3_expand", "block_3_depthwise", "block_3_project"]
    assert names[-1] == ["Conv_1"]
    for name, key in [
        ("conv2_block1_1_conv", "conv2_block1"),
        ("block2a_expand_conv", "block2a"),
        ("expanded_conv_5_squeeze_excite_conv", "expanded_conv_5"),
        ("conv_dw_7", "7"),
        ("conv_pw_7", "7"),
        ("block4_conv2", "block4"),
        ("block14_sepconv1", "block14"),
        ("block35_3_conv", "block35_3"),
        ("convnext_tiny_stage_2_block_3_depthwise_conv", "convnext_tiny_stage_2_block_3"),
        ("separable_conv_1_normal_left1_3", "3"),
        ("reduction_conv_1_stem_1", "stem_1"),
        ("conv2d_17", "conv2d_17 itself"),
    ]:
        assert bases._block(name) == key


def run(development, base, folder, **changes):
    values = {
        "development": str(development.path),
        "folder": str(folder),
        "spec": small.spec(),
        "settings": small.settings(epochs=1, learning_rate=0.001),
        "seed": 1,
        "name": "run",
        "base": str(base),
        "head": Head(pooling="average", hidden=0, dropout=0.0),
        "share": 1.0,
        "frozen": small.settings(epochs=1),
        "unfreeze": 2,
        "layer_decay": 0.5,
    }
    return TransferRun(**values | changes)


def test_a_candidate_on_a_network_of_pictures_predicts_raw_ones(weighted, tmp_path):
    development = small.pictures(tmp_path / "development")
    data = training.encoded(str(development.path))
    bytes_of = []
    for name in "ab":
        base = tmp_path / f"{name}.keras"
        applications.write(source(**SMALL, size=32), str(weighted), data, base)
        told = phases.transfer(run(development, base, tmp_path / name))
        bytes_of.append((base.read_bytes(), (tmp_path / name / "seed-1.keras").read_bytes()))

    assert bytes_of[0] == bytes_of[1]
    model = archive.load(tmp_path / "a" / "seed-1.keras")
    found = training.predict(model, development.validation())
    np.testing.assert_allclose(found, told.tuned.predictions, rtol=1e-4, atol=1e-6)
    before = archive.load(tmp_path / "a.keras")
    after = model.get_layer("network").get_layer("base")
    moved = {
        layer.name
        for layer in before.layers
        if any(
            not np.array_equal(*pair)
            for pair in zip(
                layer.get_weights(), after.get_layer(layer.name).get_weights(), strict=True
            )
        )
    }
    assert moved == {"Conv_1", "block_16_expand", "block_16_depthwise", "block_16_project"}


def test_real_weights_are_told_apart_from_others(tmp_path):
    if not REAL.is_file():
        pytest.skip(f"{REAL} is absent")
    given = str(Path(REAL))
    made = applications._trained(source(weights=REAL.name, **SMALL), given)
    # What nets learn first: filters that answer to edges and colours, none of them at random.
    assert made.get_layer("Conv1").get_weights()[0].std() > 0.1
    with pytest.raises(InputError, match="no weights of MobileNetV2"):
        applications._trained(source(weights=REAL.name), given)
