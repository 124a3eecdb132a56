import keras
import numpy as np
import pytest

from models import archive
from models.fitting import determinism
from models.networks import network
from models.networks.layout import Layout, TextLayout
from models.transfer import source_base
from tests.models import small

LAYOUT = Layout(3, (TextLayout("a", 4, ("x", "y")), TextLayout("b", 2, ("u",))), 3)
CHANGES = {
    "table": {"noise": 0.5, "feature_swap": 0.5, "word_dropout": 0.5},
    "pictures": {"flip": "both", "contrast": 0.5, "cutout": 0.5, "randaugment": 0.5},
}


@pytest.mark.parametrize(
    ("shape", "architecture", "layout"),
    [
        ((9,), "plain", LAYOUT),
        ((9,), "residual", LAYOUT),
        ((9,), "tabm", LAYOUT),
        ((8, 8, 3), "plain", None),
        ((8, 8, 3), "resnet", None),
    ],
)
def test_a_base_gives_what_the_last_layer_is_given(tmp_path, shape, architecture, layout):
    determinism.start(1)
    changes = CHANGES["table" if layout else "pictures"]
    spec = small.spec(architecture=architecture, batch_norm=True, members=2, depth=2, **changes)
    built = network.build(shape, 3, spec, 1, layout, "classification")
    shown = np.random.default_rng(1).integers(0, 3, (20, *shape)).astype(np.float32)
    last = keras.Model(built.input, built.get_layer("logits").input)

    base = source_base.cut(built, "base")

    archive.save(base, tmp_path / "base.keras")
    loaded = archive.load(tmp_path / "base.keras")
    expected = last(shown, training=False).numpy()
    for one in (base, loaded):
        np.testing.assert_array_equal(one(shown, training=False), expected)
    names = {layer.name for layer in base.layers}
    kept = {layer.name for layer in built.layers} - {"logits"}
    assert {"swap", "noise", "hide_words", "move", "cutout"}.isdisjoint(names)
    assert names == kept - {"swap", "noise", "hide_words", "move", "contrast"} - {
        "cutout",
        "randaugment",
    }


def test_a_base_has_weights_of_its_own():
    determinism.start(1)
    built = network.build((5,), 3, small.SPEC, 1)
    base = source_base.cut(built, "base")
    before = base.get_weights()

    built.set_weights([weights + 1 for weights in built.get_weights()])

    for weights, old in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, old)


def test_a_network_in_the_network_stays_one_layer(tmp_path):
    determinism.start(1)
    inner = source_base.cut(network.build((8, 8, 1), 3, small.SPEC, 1), "base")
    encoded = keras.Input((8, 8, 1), name="input")
    features = keras.layers.Dense(4, name="dense")(inner(encoded))
    outer = keras.Model(encoded, keras.layers.Dense(2, name="logits")(features), name="network")
    archive.save(outer, tmp_path / "outer.keras")
    loaded = archive.load(tmp_path / "outer.keras")
    shown = np.random.default_rng(1).normal(size=(5, 8, 8, 1)).astype(np.float32)

    base = source_base.cut(loaded, "trunk")

    assert [layer.name for layer in base.layers] == ["input", "base", "dense"]
    expected = keras.Model(encoded, features)(shown, training=False)
    np.testing.assert_array_equal(base(shown, training=False), expected)
