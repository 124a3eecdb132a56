"""Blocks that add: with nothing to add they are what they were given."""

import numpy as np
import pytest

from models.fitting import determinism
from models.networks import count, network
from tests.models import small

TABLE = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
PICTURES = np.random.default_rng(1).normal(size=(5, 16, 12, 2)).astype(np.float32)


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def built(shape, **changes):
    settings = {"architecture": "residual", "width": 4, "depth": 3, **changes}
    return network.build(shape, 3, small.spec(**settings), seed=1)


def inner(model, layer, inputs):
    import keras

    return keras.Model(model.input, model.get_layer(layer).output)(inputs).numpy()


def silence(model):
    """The last linear layers of all blocks answer 0."""
    for layer in model.layers:
        if layer.name.startswith("second_"):
            layer.set_weights([0 * weight for weight in layer.get_weights()])


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_silent_blocks_of_a_table_pass_on_what_they_are_given(activation, batch_norm):
    model = built((7,), activation=activation, batch_norm=batch_norm)
    assert not np.allclose(inner(model, "stem", TABLE), inner(model, "sum_2", TABLE))

    silence(model)

    np.testing.assert_array_equal(inner(model, "stem", TABLE), inner(model, "sum_2", TABLE))


def test_silent_blocks_of_pictures_pass_on_what_they_are_given():
    model = built((16, 12, 2), depth=1)
    silence(model)

    np.testing.assert_array_equal(inner(model, "stem", PICTURES), inner(model, "sum_0", PICTURES))


def test_where_shapes_differ_a_silent_block_is_its_projection():
    model = built((16, 12, 2), architecture="resnet", depth=2)
    silence(model)

    found = inner(model, "sum_1_0", PICTURES)

    given = np.maximum(inner(model, "sum_0_1", PICTURES), 0)
    [kernel] = model.get_layer("shortcut_1_0").get_weights()
    np.testing.assert_allclose(found, given[:, ::2, ::2] @ kernel[0, 0], rtol=1e-4, atol=1e-5)
    assert found.shape == (5, 8, 6, 8)


def test_a_block_of_a_table_is_what_the_paper_says():
    model = built((7,), depth=1)
    stem, first, bias, second = (
        model.get_layer(name).get_weights()[place]
        for name, place in (("stem", 0), ("first_0", 0), ("first_0", 1), ("second_0", 0))
    )
    given = TABLE @ stem

    expected = given + np.maximum(np.maximum(given, 0) @ first + bias, 0) @ second

    np.testing.assert_allclose(inner(model, "sum_0", TABLE), expected, rtol=1e-4, atol=1e-5)


def test_deep_networks_begin_with_answers_of_the_usual_size():
    sizes = [built((7,), depth=depth, width=32)(TABLE).numpy().std() for depth in (1, 64)]

    assert sizes[1] < 3 * sizes[0]


def test_residual_networks_are_halved_behind_each_block_while_they_can_be():
    model = built((16, 12, 2), dropout=0.1)

    assert model.get_layer("pool_1").output.shape == (None, 4, 3, 4)
    assert "pool_2" not in [layer.name for layer in model.layers]
    assert model.get_layer("dropout_0").rate == 0.1


def test_stages_of_resnet_halve_and_double():
    model = built((16, 12, 2), architecture="resnet", depth=4)

    shapes = [model.get_layer(f"sum_{stage}_1").output.shape[1:] for stage in range(4)]

    assert shapes == [(16, 12, 4), (8, 6, 8), (4, 3, 16), (4, 3, 16)]
    assert model.get_layer("average").output.shape == (None, 16)


def test_residual_networks_of_tables_are_counted_by_hand():
    model = built((7,), depth=2)

    assert count.multiply_adds(model) == 7 * 4 + 2 * 2 * 4 * 4 + 4 * 3
    assert count.parameters(model) == (7 * 4 + 4) + 2 * (4 * 4 + 4 + 4 * 4) + (4 * 3 + 3)


def test_normalised_networks_have_no_other_biases_and_are_counted_by_hand():
    model = built((7,), depth=2, batch_norm=True)

    assert count.parameters(model) == 7 * 4 + 2 * (2 * 4 * 4 + 2 * 16) + 16 + (4 * 3 + 3)


def test_resnets_are_counted_by_hand():
    model = built((8, 8, 1), architecture="resnet", depth=2)

    first = 64 * 9 * (4 + 4 * 4 * 4)
    second = 16 * (9 * (4 * 8 + 3 * 8 * 8) + 4 * 8)
    assert count.multiply_adds(model) == first + second + 8 * 3
