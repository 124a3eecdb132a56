import json

import keras
import numpy as np
import pytest

from dataset.target import Target
from models import archive
from models.fitting import determinism
from models.networks import count, encode, network
from models.transfer import bases, source_base
from models.transfer.transfer_settings import Head
from tests.models import small

HEAD = Head(pooling="average", hidden=0, dropout=0.0)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def cut(shape=(8, 8, 1), seed=1, **spec):
    """The base of a network of the project's own."""
    built = network.build(shape, 3, small.spec(**spec), seed, task="classification")
    return source_base.cut(built, bases.BASE)


def mapped():
    """A base that gives maps, as those of keras.applications do."""
    pictures = keras.Input((8, 8, 3), name="input")
    hidden = keras.layers.Conv2D(4, 3, name="block_0_conv")(pictures)
    hidden = keras.layers.BatchNormalization(momentum=0.999, name="block_0_norm")(hidden)
    hidden = keras.layers.Dropout(0.5, name="drop")(hidden)
    hidden = keras.layers.Conv2D(5, 3, name="block_1_conv")(hidden)
    return keras.Model(pictures, hidden, name=bases.BASE)


def around(base, outputs=3, seed=1, head=HEAD, **spec):
    return bases.around(base, outputs, small.spec(**spec), head, seed, None, "classification")


def names(base):
    return [[layer.name for layer in stage] for stage in bases.stages(base)]


def shown(base, count=4):
    shape = (count, *base.input_shape[1:])
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"architecture": "plain"}, [["conv_0"], ["conv_1"]]),
        (
            {"architecture": "residual"},
            [["stem"], ["first_0", "second_0"], ["first_1", "second_1"]],
        ),
        (
            {"architecture": "separable"},
            [["conv_0"], ["depthwise_1", "pointwise_1"]],
        ),
        (
            {"architecture": "resnet"},
            [
                ["stem"],
                ["first_0_0", "second_0_0"],
                ["first_0_1", "second_0_1"],
                ["first_1_0", "second_1_0", "shortcut_1_0"],
                ["first_1_1", "second_1_1"],
            ],
        ),
    ],
)
def test_blocks_are_told_by_the_names_of_layers(spec, expected):
    found = names(cut(depth=2, batch_norm=True, **spec))

    assert [sorted(stage) for stage in found] == expected


def test_what_has_no_block_s_name_is_a_block_of_its_own():
    entry = keras.Input((4,))
    hidden = keras.layers.Dense(2, name="one")(entry)
    inner = keras.Model(entry, keras.layers.Dense(2, name="two")(hidden), name="inner")
    outer = keras.Input((4,))
    sequence = keras.Sequential([keras.layers.Dense(3, name="three")], name="sequence")
    base = keras.Model(outer, sequence(inner(outer)), name=bases.BASE)

    assert names(base) == [["one"], ["two"], ["sequence"]]


@pytest.mark.parametrize("top", [1, 2, 3, 50, "all"])
def test_the_last_blocks_are_trained_and_no_normalisation(top):
    base = cut(depth=3, batch_norm=True)
    bases.freeze(base)
    assert base.trainable_variables == []

    bases.unfreeze(base, top)

    trained = {variable.path.split("/")[-2] for variable in base.trainable_variables}
    last = {1: ["conv_2"], 2: ["conv_1", "conv_2"]}.get(top, ["conv_0", "conv_1", "conv_2"])
    assert trained == set(last)
    bases.release(base)
    assert any("norm" in variable.path for variable in base.trainable_variables)


def test_rates_fall_by_depth():
    built = around(cut(depth=3), head=HEAD.model_copy(update={"hidden": 2}))
    bases.unfreeze(built.base, 2)

    found = dict(
        zip(
            [variable.path.split("base/")[-1] for variable in built.whole.trainable_variables],
            bases.rates(built.whole, 0.5),
            strict=True,
        )
    )

    kernels = {path: rate for path, rate in found.items() if path.endswith("kernel")}
    assert kernels == {
        "conv_1/kernel": 0.25,
        "conv_2/kernel": 0.5,
        "hidden/kernel": 1.0,
        "logits/kernel": 1.0,
    }
    assert bases.rates(built.whole, 1.0) == ()


@pytest.mark.parametrize("pooling", ["average", "max", "flatten"])
def test_maps_are_pooled_in_front_of_the_head(pooling):
    base = mapped()
    head = Head(pooling=pooling, hidden=0, dropout=0.0)
    built = around(base, head=head)

    maps = base(shown(base), training=False).numpy()
    vectors = {
        "average": maps.mean(axis=(1, 2)),
        "max": maps.max(axis=(1, 2)),
        "flatten": maps.reshape(4, -1),
    }[pooling]
    kernel, bias = built.whole.get_layer("logits").get_weights()
    expected = vectors @ kernel + bias
    np.testing.assert_allclose(built.whole(shown(base)).numpy(), expected, rtol=1e-4, atol=1e-5)
    pooled = bases.pooled(base, pooling)(shown(base)).numpy()
    np.testing.assert_allclose(built.head(pooled).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_head_has_a_layer_of_its_own_and_dropout_if_wished():
    head = Head(pooling="average", hidden=6, dropout=0.5)
    built = around(mapped(), head=head, activation="tanh")

    assert [layer.name for layer in built.whole.layers] == [
        *("input", "base", "average", "hidden", "tanh_hidden", "head_dropout", "logits")
    ]
    again = around(mapped(), head=head, activation="tanh", seed=2)
    kernels = [one.head.get_layer("hidden").get_weights()[0] for one in (built, again)]
    assert not np.array_equal(*kernels)


def test_while_frozen_the_base_answers_as_at_inference_and_what_it_is_shown_changes():
    base = mapped()
    built = around(base, flip="horizontal")
    pictures = shown(base, 64)

    loose, frozen = built.whole(pictures, training=True), built.frozen(pictures, training=True)

    possible = np.stack([built.whole(p, training=False) for p in (pictures, pictures[:, :, ::-1])])
    apart = np.abs(possible - frozen.numpy()).max(axis=2).min(axis=0)
    assert apart.max() < 1e-5
    assert not np.allclose(frozen, built.whole(pictures, training=False))
    assert np.abs(possible - loose.numpy()).max(axis=2).min(axis=0).max() > 1e-3
    assert bases.augments(base, small.spec(flip="horizontal"), None)
    assert not bases.augments(base, small.spec(), None)


def test_members_keep_heads_of_their_own():
    base = cut((5,), architecture="tabm", members=3)
    assert base.output_shape == (None, 3, 4)

    built = around(base, head=Head(pooling="average", hidden=6, dropout=0.0))

    assert built.whole.output_shape == (None, 3)
    assert built.whole(shown(base), training=True).shape == (4, 3, 3)
    pooled = bases.pooled(base, "average")(shown(base))
    np.testing.assert_allclose(built.head(pooled), built.whole(shown(base)), rtol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        {"architecture": "plain", "batch_norm": True},
        {"architecture": "tabm", "members": 3},
        {"architecture": "residual"},
    ],
)
def test_fresh_weights_follow_from_the_seed_alone(spec):
    base = cut((5,), **spec)
    once, again, other = (bases.fresh(base, seed).get_weights() for seed in (2, 2, 3))

    for one, same in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, same)
    for drawn, given in ((once, other), (once, base.get_weights())):
        # Biases, scales and statistics begin alike.
        assert any(not np.array_equal(*pair) for pair in zip(drawn, given, strict=True))
        kernels = [not np.array_equal(*pair) for pair in zip(drawn, given, strict=True)]
        assert sum(kernels) >= len(bases.stages(base))


def test_a_fresh_base_forgets_all_but_what_standardises():
    entry = keras.Input((3,), name="input")
    standard = keras.layers.Normalization(name="standard")
    hidden = keras.layers.Dense(4, name="dense_0")(standard(entry))
    hidden = keras.layers.BatchNormalization(momentum=0.999, name="norm_0")(hidden)
    base = keras.Model(entry, hidden, name=bases.BASE)
    standard.set_weights([np.array([1.0, 2, 3]), np.array([4.0, 5, 6]), np.array(7)])
    bases.freeze(base)

    made = bases.fresh(base, 1)

    np.testing.assert_allclose(made.get_layer("standard").get_weights()[0], [1, 2, 3])
    assert made.get_layer("norm_0").momentum == 0.9
    assert made.trainable
    assert made.get_layer("dense_0").trainable


def test_a_rebuilt_base_is_equal_but_for_its_dropout():
    base = mapped()
    once, again, other = (bases.rebuilt(base, seed) for seed in (1, 1, 2))
    pictures = shown(base)

    np.testing.assert_array_equal(once(pictures), base(pictures))
    for one, equal in ((again, True), (other, False)):
        trained = [model.get_layer("drop")(np.ones((2, 9)), training=True) for model in (once, one)]
        assert np.array_equal(*trained) == equal


def test_a_network_in_the_network_is_saved_counted_and_run_like_any_other(tmp_path):
    determinism.start(1)
    development = small.pictures(tmp_path / "development")
    target = development.target()
    assert isinstance(target, Target)
    statistics = encode.learn(development.train(), development.schema())
    base = cut(architecture="residual", batch_norm=True)
    built = around(base, outputs=target.outputs)
    flat = network.build((8, 8, 1), target.outputs, small.spec(architecture="residual"), 1)
    whole = network.assemble(encode.build(statistics), built.whole, target)

    archive.save(whole, tmp_path / "model.keras")
    loaded = archive.load(tmp_path / "model.keras")

    told = encode.run(loaded, development.validation())
    np.testing.assert_array_equal(told, encode.run(whole, development.validation()))
    assert count.multiply_adds(built.whole) == count.multiply_adds(flat)
    assert count.parameters(built.whole) == sum(w.size for w in built.whole.get_weights())
    assert encode.rows(built.whole) == encode.rows(flat)
    config = json.dumps(loaded.get_config())
    assert '"trainable": false' not in config


def test_separable_convolutions_are_counted():
    pictures = keras.Input((6, 6, 3))
    layer = keras.layers.SeparableConv2D(5, 3, strides=2, padding="same")
    model = keras.Model(pictures, layer(pictures))

    assert count.multiply_adds(model) == 3 * 3 * (3 * 3 * 3 + 3 * 5)
