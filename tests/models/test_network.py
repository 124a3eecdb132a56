import numpy as np
import pytest

from models import count, determinism, encode, network
from models.settings import NetworkSpec
from tests.models import small

REGULARISED = NetworkSpec(width=4, depth=2, dropout=0.5, l2=0.01, batch_norm=True)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def names(model):
    return [layer.name for layer in model.layers]


def test_a_table_gets_dense_blocks():
    built = network.build((5,), 3, NetworkSpec.plain(4, 2), seed=1)

    assert names(built) == ["input", "dense_0", "relu_0", "dense_1", "relu_1", "logits"]
    assert built.output_shape == (None, 3)


def test_pictures_get_convolutions_halved_while_they_can_be():
    built = network.build((8, 8, 1), 3, NetworkSpec.plain(4, 3), seed=1)

    assert built.get_layer("flatten").output.shape == (None, 2 * 2 * 4)
    assert "pool_1" in names(built)
    assert "pool_2" not in names(built)


def test_a_picture_of_one_point_is_no_error():
    assert network.build((1, 1, 1), 2, NetworkSpec.plain(4, 2), seed=1).output_shape == (None, 2)


def test_regularisation_is_built_in():
    built = network.build((5,), 3, REGULARISED, seed=1)

    assert "norm_0" in names(built)
    assert built.get_layer("dropout_1").rate == 0.5
    assert not built.get_layer("dense_0").use_bias
    assert len(built.losses) == 3


def test_the_trunk_is_all_but_the_last_layer():
    built = network.build((5,), 3, NetworkSpec.plain(4, 1), seed=1)

    assert [layer.name for layer in network.trunk(built)] == ["input", "dense_0", "relu_0"]


def test_the_whole_model_takes_raw_values_and_gives_probabilities(tmp_path):
    development = small.table(tmp_path)
    train = development.train()
    encoder = encode.build(encode.learn(train, development.schema()))
    built = network.build(encoder.output_shape[1:], 2, REGULARISED, seed=1)

    whole = network.assemble(encoder, built)

    probabilities = encode.run(whole, train)
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    logits = whole.get_layer("network")(encode.run(whole.get_layer("encoder"), train)).numpy()
    odds = np.exp(logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(probabilities[:, 1] / probabilities[:, 0], odds, rtol=1e-4)


def test_dense_layers_are_counted_by_hand():
    built = network.build((5,), 3, NetworkSpec.plain(4, 2), seed=1)

    assert count.parameters(built) == (5 * 4 + 4) + (4 * 4 + 4) + (4 * 3 + 3)
    assert count.multiply_adds(built) == 5 * 4 + 4 * 4 + 4 * 3


def test_convolutions_are_counted_by_hand():
    built = network.build((8, 6, 2), 3, NetworkSpec.plain(4, 1), seed=1)

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

    assert count.multiply_adds(network.assemble(encoder, built)) == count.multiply_adds(built)
