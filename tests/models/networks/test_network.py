import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dataset.target import Target, learn
from models import archive
from models.fitting import determinism, fit
from models.networks import count, encode, layers, network, text_layers
from models.networks.layout import Layout, NumberLayout, TextLayout
from tests.models import small

REGULARISED = small.spec(
    width=4, depth=2, dropout=0.5, l2=0.01, batch_norm=True, text="pool", embedding=4
)
LAYOUT = Layout(2, (TextLayout("a", 5, ("x", "y", "z")), TextLayout("b", 1, ())))
"""Two dense columns, five words and one."""
READERS = ("pool", "convolution", "transformer")
CLASSES = Target(task="classification", names=("no", "yes"), quantities=(), class_weights=())


def plain(width, depth, text="pool"):
    return small.spec(width=width, depth=depth, text=text, embedding=4)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


KINDS = {
    "table": ((8,), ("plain", "residual", "tabm")),
    "numbers": ((5,), ("plain", "residual", "tabm")),
    "pictures": ((9, 6, 3), ("plain", "residual", "resnet", "separable")),
    "points": ((1, 1, 1), ("plain", "residual", "resnet", "separable")),
}
EVERY = [(kind, name) for kind, (_, architectures) in KINDS.items() for name in architectures]


def names(model):
    return [layer.name for layer in model.layers]


def test_a_table_gets_dense_blocks():
    built = network.build((5,), 3, plain(4, 2), seed=1)

    assert names(built) == ["input", "dense_0", "relu_0", "dense_1", "relu_1", "logits"]
    assert built.output_shape == (None, 3)


def test_pictures_get_convolutions_halved_while_they_can_be():
    built = network.build((8, 8, 1), 3, plain(4, 3), seed=1)

    assert built.get_layer("flatten").output.shape == (None, 2 * 2 * 4)
    assert "pool_1" in names(built)
    assert "pool_2" not in names(built)


def test_a_picture_of_one_point_is_no_error():
    assert network.build((1, 1, 1), 2, plain(4, 2), seed=1).output_shape == (None, 2)


def test_regularisation_is_built_in():
    built = network.build((5,), 3, REGULARISED, seed=1)

    assert "norm_0" in names(built)
    assert built.get_layer("dropout_1").rate == 0.5
    assert not built.get_layer("dense_0").use_bias
    assert len(built.losses) == 3


def test_the_trunk_is_all_but_the_last_layer():
    built = network.build((5,), 3, plain(4, 1), seed=1)

    assert [layer.name for layer in network.trunk(built)] == ["input", "dense_0", "relu_0"]


def test_the_whole_model_takes_raw_values_and_gives_probabilities(tmp_path):
    development = small.table(tmp_path)
    train = development.train()
    encoder = encode.build(encode.learn(train, development.schema()))
    built = network.build(encoder.output_shape[1:], 2, REGULARISED, seed=1)

    whole = network.assemble(encoder, built, CLASSES)

    probabilities = encode.run(whole, train)
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    logits = whole.get_layer("network")(encode.run(whole.get_layer("encoder"), train)).numpy()
    odds = np.exp(logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(probabilities[:, 1] / probabilities[:, 0], odds, rtol=1e-4)


def test_dense_layers_are_counted_by_hand():
    built = network.build((5,), 3, plain(4, 2), seed=1)

    assert count.parameters(built) == (5 * 4 + 4) + (4 * 4 + 4) + (4 * 3 + 3)
    assert count.multiply_adds(built) == 5 * 4 + 4 * 4 + 4 * 3


def test_convolutions_are_counted_by_hand():
    built = network.build((8, 6, 2), 3, plain(4, 1), seed=1)

    assert count.parameters(built) == (3 * 3 * 2 * 4 + 4) + (4 * 3 * 4 * 3 + 3)
    assert count.multiply_adds(built) == (8 * 6) * (3 * 3 * 2 * 4) + (4 * 3 * 4) * 3


def test_normalisation_counts_four_numbers_a_unit_and_dropout_none():
    built = network.build((5,), 3, REGULARISED, seed=1)

    assert count.parameters(built) == (5 * 4 + 16) + (4 * 4 + 16) + (4 * 3 + 3)


def test_other_convolutions_are_counted_by_hand():
    import keras

    inputs = keras.Input((8, 8, 4))
    depthwise = keras.layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same")
    grouped = keras.layers.Conv2D(6, 1, groups=2)
    model = keras.Model(inputs, grouped(depthwise(inputs)))

    assert count.multiply_adds(model) == (4 * 4) * (3 * 3 * 4 * 2) + (4 * 4) * (8 // 2 * 6)


def test_parts_of_a_model_are_counted_too(tmp_path):
    development = small.table(tmp_path)
    encoder = encode.build(encode.learn(development.train(), development.schema()))
    built = network.build(encoder.output_shape[1:], 2, REGULARISED, seed=1)

    whole = network.assemble(encoder, built, CLASSES)
    assert count.multiply_adds(whole) == count.multiply_adds(built)


def test_of_large_maps_only_the_means_go_on():
    built = network.build((64, 48, 3), 3, plain(4, 2), seed=1)

    assert built.get_layer("average").input.shape == (None, 16, 12, 4)
    assert built.output_shape == (None, 3)
    kept = network.build((64, 48, 3), 3, plain(4, 3), seed=1)
    assert kept.get_layer("flatten").output.shape == (None, 8 * 6 * 4)


def test_digits_network_is_what_it_was():
    # Seeds are drawn in the order of the layers: what has no texts must not notice that others do.
    built = network.build((8, 8, 1), 10, plain(4, 2), seed=1)
    seeds = np.random.default_rng(1)
    for name in ("conv_0", "conv_1", "logits"):
        initializer = built.get_layer(name).kernel_initializer
        assert initializer.seed == int(seeds.integers(2**31))


@pytest.fixture
def written():
    """Rows of two dense columns, a text of up to five words, and one of none or an unknown one."""
    generator = np.random.default_rng(1)
    rows = np.zeros((12, 8), dtype=np.float32)
    rows[:, :2] = generator.normal(size=(12, 2))
    for row in rows[1:]:
        length = generator.integers(1, 6)
        row[2 : 2 + length] = generator.integers(1, 5, length)
        row[7] = generator.integers(2)
    return rows


@pytest.mark.parametrize("text", READERS)
def test_texts_are_read_beside_the_dense_columns(text, written):
    built = network.build((8,), 3, plain(4, 1, text), 1, LAYOUT)

    outputs = built(written).numpy()

    assert outputs.shape == (12, 3)
    assert np.isfinite(outputs).all()
    for column in (0, 2, 7):
        other = written.copy()
        other[0, column] += 1
        assert not np.array_equal(built(other).numpy()[0], outputs[0])


@pytest.mark.parametrize("text", READERS)
def test_texts_alone_are_enough(text, written):
    built = network.build((6,), 3, plain(4, 1, text), 1, Layout(0, LAYOUT.texts))

    assert built(written[:, 2:]).shape == (12, 3)


@pytest.mark.parametrize("text", ["pool", "transformer"])
def test_padding_does_not_count(text):
    short, long = (Layout(0, (TextLayout("a", n, ("x", "y", "z")),)) for n in (3, 7))
    words = np.float32([[2, 3, 4]])
    padded = np.pad(words, ((0, 0), (0, 4)))
    spec = plain(4, 1, text)
    first, second = (
        network.build((n,), 2, spec, 1, layout) for n, layout in ((3, short), (7, long))
    )
    if text == "transformer":
        positions = second.get_layer("text_0_positions").get_weights()[0]
        first.get_layer("text_0_positions").set_weights([positions[:3]])

    np.testing.assert_allclose(first(words), second(padded), rtol=1e-4, atol=1e-7)


def test_padding_is_neither_mean_nor_largest():
    vectors = np.float32([[[1, -3], [3, -5], [9, 9]], [[9, 9], [9, 9], [9, 9]]])
    places = np.int32([[2, 3, 0], [0, 0, 0]])

    np.testing.assert_array_equal(text_layers.Mean()(vectors, places), [[2, -4], [0, 0]])
    np.testing.assert_array_equal(text_layers.Largest()(vectors, places), [[3, -3], [0, 0]])


def test_attention_is_that_of_keras():
    import keras

    queries, keys, values = np.random.default_rng(1).normal(size=(3, 2, 4, 6)).astype(np.float32)
    places = np.int32([[2, 3, 4, 0], [2, 0, 0, 0]])

    found = text_layers.Attend(2)(queries, keys, values, places)

    parted = [part.reshape(2, 4, 2, 3) for part in (queries, keys, values)]
    mask = np.broadcast_to((places != 0)[:, None, None, :], (2, 2, 4, 4))
    expected = keras.ops.dot_product_attention(*parted, mask=mask)
    np.testing.assert_allclose(found, np.reshape(expected, (2, 4, 6)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", READERS)
def test_networks_of_texts_follow_from_the_seed_and_are_saved(text, written, tmp_path):
    spec = REGULARISED.model_copy(update={"text": text})
    builds = []
    for place, seed in enumerate((1, 1, 2)):
        determinism.start(place)  # the seed given is the only one that matters
        builds.append(network.build((8,), 3, spec, seed, LAYOUT))

    first, again, other = (built(written).numpy() for built in builds)

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    archive.save(network.clean(builds[0]), tmp_path / "model.keras")
    np.testing.assert_array_equal(archive.load(tmp_path / "model.keras")(written), first)


def test_every_part_has_a_seed_of_its_own():
    built = network.build((8,), 3, plain(4, 1, "transformer"), 1, LAYOUT)

    kernels = [built.get_layer(f"text_0_{part}").kernel for part in ("queries", "keys", "values")]

    assert not np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])


def test_readers_of_texts_are_counted_by_hand():
    texts, dense = Layout(0, (TextLayout("a", 5, ("x", "y", "z")),)), 3 * 2

    def counted(text):
        built = network.build((5,), 2, plain(3, 1, text), 1, texts)
        return count.parameters(built), count.multiply_adds(built)

    embedding, last = (3 + 2) * 4, dense + 2
    assert counted("pool") == (embedding + 8 * 3 + 3 + last, 8 * 3 + dense)
    windows = (3 + 4 + 5) * 4 * 3
    assert counted("convolution") == (
        embedding + windows + 3 * 3 + 9 * 3 + 3 + last,
        5 * windows + 9 * 3 + dense,
    )
    linear = 4 * 4 * 4 + 4 * 8 + 8 * 4
    assert counted("transformer") == (
        embedding + 5 * 4 + linear + 4 * 4 + 8 + 4 + 3 * 8 + 4 * 3 + 3 + last,
        5 * linear + 2 * 5 * 5 * 4 + 4 * 3 + dense,
    )


QUANTITIES = np.random.default_rng(1).lognormal(3, 2, (500, 2))


@pytest.mark.parametrize("transform", ["none", "log", "quantile"])
@pytest.mark.parametrize("values", [QUANTITIES, QUANTITIES[:1].repeat(9, axis=0)])
def test_a_saved_model_gives_quantities_in_their_own_units(transform, values, tmp_path):
    target = learn("regression", ("a", "b"), values.astype(np.float32), transform, balanced=False)
    rows = small.told(60, 1, "regression")
    encoder = encode.build(encode.learn(rows, small.schema("x", "y")))
    built = network.build((2,), 2, plain(4, 1), seed=1)
    # Codes far outside of what was seen, and at every knot.
    built.get_layer("logits").set_weights(
        [8 * weights for weights in built.get_layer("logits").get_weights()]
    )

    archive.save(network.assemble(encoder, built, target), tmp_path / "model.keras")

    found = encode.run(archive.load(tmp_path / "model.keras"), rows)
    expected = target.decode(built(encode.run(encoder, rows)).numpy())
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None)
def test_quantities_are_undone_as_the_target_does(codes):
    for transform in ("none", "log", "quantile"):
        target = learn("regression", ("a", "b"), QUANTITIES, transform, balanced=False)
        outputs = np.stack([codes, codes[::-1]], axis=1).astype(np.float32)
        layer = layers.Quantities([part.model_dump(mode="json") for part in target.quantities])
        np.testing.assert_allclose(layer(outputs), target.decode(outputs), rtol=1e-6)


def test_a_saved_model_gives_a_probability_for_each_label():
    target = learn("multilabel", ("a", "b", "c"), np.zeros((2, 3)), "none", balanced=False)
    rows = small.told(60, 1, "multilabel")
    encoder = encode.build(encode.learn(rows, small.schema("x", "y")))
    built = network.build((2,), 3, plain(4, 1), seed=1)

    found = encode.run(network.assemble(encoder, built, target), rows)

    logits = built(encode.run(encoder, rows)).numpy()
    np.testing.assert_allclose(found, target.decode(logits), rtol=1e-5)


@pytest.mark.parametrize("text", READERS)
def test_a_saved_model_reads_raw_texts_and_times(text, tmp_path):
    rows = small.letters(50, 1)
    rows.features["time"][:] = 20_000 + np.arange(50) / 86_400
    statistics = encode.learn(rows, small.schema("text", "time", "number", "text b"))
    encoder = encode.build(statistics)
    built = network.build(encoder.output_shape[1:], 2, plain(4, 1, text), 1, statistics.layout)

    archive.save(network.assemble(encoder, built, CLASSES), tmp_path / "model.keras")

    whole = archive.load(tmp_path / "model.keras")
    found = encode.run(whole, rows)
    logits = built(encode.run(encoder, rows)).numpy()
    np.testing.assert_allclose(found, CLASSES.decode(logits), rtol=1e-5)
    assert {value.name: value.dtype for value in whole.inputs}["time"] == "float64"
    # Seconds reach the network, not only the encoder by itself.
    assert len({row.tobytes() for row in encode.run(encoder, rows)[:, 1:4]}) == 50


def architected(kind, architecture, task, **changes):
    shape, _ = KINDS[kind]
    quantiles = tuple(np.linspace(-2, 2, 257).tolist())
    layout = {
        "table": LAYOUT,
        "numbers": Layout(5, (), embedded=(NumberLayout(1, quantiles), NumberLayout(2, quantiles))),
    }.get(kind, Layout(0, ()))
    numbers = {"numbers": "piecewise"} if kind == "numbers" else {}
    spec = small.spec(architecture=architecture, depth=3, members=3, **numbers, **changes)
    return network.build(shape, 3, spec, 1, layout, task)


def inputs_of(kind, count=16):
    generator = np.random.default_rng(1)
    if kind == "table":
        return generator.integers(0, 2, (count, 8)).astype(np.float32)
    return generator.normal(size=(count, *KINDS[kind][0])).astype(np.float32)


@pytest.mark.parametrize(("kind", "architecture"), EVERY)
def test_every_architecture_answers_for_every_kind_of_data(kind, architecture):
    built = architected(kind, architecture, "classification")

    assert built(inputs_of(kind)).shape == (16, 3)
    assert built.output_shape == (None, 3)


@pytest.mark.parametrize(("kind", "architecture"), EVERY)
def test_every_architecture_is_regularised_and_follows_from_its_seed(kind, architecture):
    changes = {"batch_norm": True, "dropout": 0.3, "l1": 0.001, "l2": 0.01, "activation": "silu"}
    given, first = inputs_of(kind), architected(kind, architecture, "regression", **changes)
    determinism.start(7)  # the seed given is the only one that matters
    again = network.clean(architected(kind, architecture, "regression", **changes))

    assert any(name.startswith("norm_") for name in names(first))
    assert any("dropout_" in name for name in names(first))
    assert not any(name.startswith("relu_") and name != "relu_vectors" for name in names(first))
    assert first.losses
    np.testing.assert_array_equal(first(given), again(given))
    assert not np.array_equal(first(given), first(given, training=True))
    seeds = [
        weight.value.numpy().tobytes()
        for weight in first.weights
        if "seed_generator" in weight.path
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("architecture", ["residual", "tabm", "resnet", "separable"])
def test_every_architecture_can_learn(architecture):
    pictures = architecture in ("resnet", "separable")
    shape = (6, 6, 1) if pictures else (4,)
    inputs = np.random.default_rng(1).normal(size=(256, *shape)).astype(np.float32)
    seen = inputs.reshape(256, -1)
    codes = ((seen[:, 0] > 0) != (seen[:, 1] > 0)).astype(np.int32)
    if pictures:
        # A brighter half, the upper or the left.
        inputs[codes == 0, :3] += 1
        inputs[codes == 1, :, :3] += 1
    spec = small.spec(architecture=architecture, width=16, depth=2, members=4)
    built = network.build(shape, 2, spec, 1, None, "classification")

    fitted = fit.fit(
        built,
        (inputs, codes),
        (inputs, codes),
        small.settings(epochs=30, learning_rate=0.01, batch_size=32),
        1,
        name=architecture,
    )

    assert fitted.epochs[-1].val_accuracy > 0.9


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.2 * x)),
        ("elu", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        ("gelu", lambda x: x * norm.cdf(x)),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("tanh", np.tanh),
    ],
)
def test_blocks_are_activated_as_the_recipe_says(activation, expected):
    import keras

    built = network.build((5,), 3, small.spec(activation=activation), 1)
    inputs = np.random.default_rng(1).normal(0, 3, (20, 5)).astype(np.float32)
    parts = [built.get_layer(name).output for name in ("dense_0", f"{activation}_0")]

    linear, activated = keras.Model(built.input, parts)(inputs)

    np.testing.assert_allclose(activated, expected(linear.numpy()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", ["convolution", "transformer"])
def test_readers_of_texts_are_activated_alike(text):
    built = network.build((8,), 3, small.spec(activation="tanh", text=text), 1, LAYOUT)

    part = "text_0_conv_3" if text == "convolution" else "text_0_wide"
    assert built.get_layer(part).activation.__name__ == "tanh"


def test_kernels_alone_are_penalised():
    built = network.build((5,), 3, small.spec(l1=0.1, l2=0.01, batch_norm=True), 1)

    kernels = [built.get_layer(name).kernel.numpy() for name in ("dense_0", "logits")]

    expected = sum(0.1 * abs(kernel).sum() + 0.01 * (kernel**2).sum() for kernel in kernels)
    assert float(sum(built.losses)) == pytest.approx(expected, rel=1e-5)
