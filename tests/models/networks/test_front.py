"""Numbers as vectors beside what stays as it is."""

import keras
import numpy as np
import pytest

from models.fitting import determinism
from models.networks import count, network
from models.networks.layout import Layout, NumberLayout, TextLayout
from tests.models import small

QUANTILES = tuple(np.linspace(-2, 2, 257).tolist())
NUMBERS = (NumberLayout(0, QUANTILES), NumberLayout(3, (1.0,) * 257))
TEXT = TextLayout("a", 3, ("x", "y"))
DENSE, BOTH = Layout(5, (), embedded=NUMBERS), Layout(5, (TEXT,), embedded=NUMBERS)
ROWS = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
ROWS[:, 5:] = [[2, 3, 0], [1, 0, 0], [0, 0, 0], [3, 3, 3]]


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def built(layout, numbers, **changes):
    settings = {"numbers": numbers, "number_size": 6, "number_bins": 4, "embedding": 3, **changes}
    width = layout.dense + sum(text.length for text in layout.texts)
    return network.build((width,), 2, small.spec(**settings), 1, layout)


def part(model, name, rows):
    return keras.Model(model.input, model.get_layer(name).output)(rows).numpy()


@pytest.mark.parametrize("numbers", ["piecewise", "periodic"])
def test_vectors_of_numbers_stand_beside_the_other_columns_and_texts(numbers):
    model = built(BOTH, numbers)

    joined = part(model, "joined", ROWS)

    assert joined.shape == (4, 2 * 6 + 3 + 2 * 3)
    spread = part(model, "bins" if numbers == "piecewise" else "waves", ROWS)
    kernel, bias = model.get_layer("vectors").get_weights()
    for place in range(2):
        expected = np.maximum(spread[:, place] @ kernel[place] + bias[place], 0)
        found = joined[:, 6 * place : 6 * (place + 1)]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(joined[:, 12:15], ROWS[:, [1, 2, 4]])
    np.testing.assert_array_equal(joined[:, 15:], part(model, "text_0_pooled", ROWS))


def test_bins_are_between_the_quantiles_of_each_number():
    model = built(DENSE, "piecewise")

    assert model.get_layer("bins").edges == [[-2, -1, 0, 1, 2], [1, 2]]


def test_waves_begin_as_the_recipe_says():
    model = built(DENSE, "periodic", number_bins=256, frequency=3.0)

    assert model.get_layer("waves").kernel.numpy().std() == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("layout", [Layout(5, ()), None])
@pytest.mark.parametrize("numbers", ["piecewise", "periodic"])
def test_without_numbers_nothing_becomes_a_vector(numbers, layout):
    model = network.build((5,), 2, small.spec(numbers=numbers), 1, layout)

    assert [layer.name for layer in model.layers] == ["input", "dense_0", "relu_0", "logits"]


def test_plain_numbers_enter_as_they_are():
    assert "joined" not in [layer.name for layer in built(DENSE, "plain").layers]


def test_numbers_alone_are_enough():
    model = built(Layout(1, (), embedded=NUMBERS[:1]), "periodic")

    assert model(ROWS[:, :1]).shape == (4, 2)
    assert "joined" not in [layer.name for layer in model.layers]


def test_vectors_of_numbers_are_counted_by_hand():
    piecewise, periodic = built(DENSE, "piecewise"), built(DENSE, "periodic")

    body = (2 * 6 + 3) * 4 + 4 * 2
    assert count.multiply_adds(piecewise) == 2 * 4 * 6 + body
    assert count.multiply_adds(periodic) == 2 * 8 * 6 + body
    biases = 2 * 6 + 4 + 2
    assert count.parameters(piecewise) == 2 * 4 * 6 + body + biases
    assert count.parameters(periodic) == 2 * 4 + 2 * 8 * 6 + body + biases


def test_kernels_of_vectors_are_penalised_and_frequencies_are_not():
    model = built(DENSE, "periodic", l1=0.01, l2=0.1)

    names = ("vectors", "dense_0", "logits")
    kernels = [model.get_layer(name).kernel.numpy().astype(float) for name in names]
    expected = sum(0.01 * abs(kernel).sum() + 0.1 * (kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
