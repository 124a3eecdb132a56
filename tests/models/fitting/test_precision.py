import keras
import numpy as np
import pytest
import tensorflow as tf

from models.fitting import determinism, fit
from models.fitting.precision import FIRST, STEPS, Scaling, lowered
from models.networks import network
from models.settings import FitSettings
from tests.models import small

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(200, 6)).astype(np.float32)
CODES = (INPUTS[:, 0] * INPUTS[:, 1] > 0).astype(np.int32)
MIXED = ["mixed_bfloat16", "mixed_float16"]


def built(**changes):
    determinism.start(1)
    return network.build((6,), 2, small.spec(width=16, depth=2, **changes), seed=1)


def settings(precision, **changes) -> FitSettings:
    asked = {"learning_rate": 0.01, "epochs": 8, **changes}
    return small.settings(precision=precision, **asked)


def fitted(precision, scale=1.0, spec=None, **changes):
    own = built(**(spec or {}))
    data = INPUTS * np.float32(scale), CODES
    return own, fit.fit(own, data, data, settings(precision, **changes), 1, name=precision)


@pytest.mark.parametrize("precision", MIXED)
def test_layers_compute_in_16_bits_while_they_are_called_and_the_last_never_does(precision):
    own = built(batch_norm=True)
    names = [layer.name for layer in own.layers]

    with lowered(own, precision):
        inside = {layer.name: layer.compute_dtype for layer in own.layers}
        kept = {layer.name: layer.variable_dtype for layer in own.layers}

    short = precision.removeprefix("mixed_")
    assert {name for name in names if inside[name] != short} == {"input", "logits"}
    assert set(kept.values()) == {"float32"}
    assert {layer.compute_dtype for layer in own.layers} == {"float32"}


def test_layers_are_put_back_whatever_happens():
    own = built()
    with pytest.raises(KeyError), lowered(own, "mixed_bfloat16"):
        raise KeyError
    assert {layer.compute_dtype for layer in own.layers} == {"float32"}


def test_layers_of_our_own_and_those_that_change_pictures_stay_as_they_are():
    determinism.start(1)
    spec = small.spec(flip="horizontal", rotation=10.0, contrast=0.1, cutout=0.2)
    own = network.build((8, 8, 1), 3, spec, seed=1)
    with lowered(own, "mixed_bfloat16"):
        short = {layer.name for layer in own.layers if layer.compute_dtype == "bfloat16"}
    changing = {
        layer.name
        for layer in own.layers
        if not type(layer).__module__.startswith("keras.") or "preprocessing" in str(type(layer))
    }
    assert changing
    assert short
    assert not short & changing


@pytest.mark.parametrize("precision", MIXED)
@pytest.mark.parametrize("spec", [{}, {"batch_norm": True, "dropout": 0.2}])
def test_a_fit_in_16_bits_is_another_one_that_comes_to_much_the_same(precision, spec):
    _, whole = fitted("float32", spec=spec)
    _, half = fitted(precision, spec=spec)

    assert half.epochs != whole.epochs
    assert half.epochs[-1].val_loss == pytest.approx(whole.epochs[-1].val_loss, rel=0.05)


@pytest.mark.parametrize("precision", MIXED)
def test_what_is_said_of_it_is_said_of_the_float32_network_that_is_saved(precision):
    own, found = fitted(precision)

    assert np.allclose(fit.outputs(own, INPUTS), found.outputs, atol=1e-6)
    assert {one.dtype for one in own.variables if one.trainable} == {"float32"}


@pytest.mark.parametrize("precision", MIXED)
def test_the_same_fit_gives_the_same_bytes(precision):
    first, _ = fitted(precision)
    again, _ = fitted(precision)

    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_pictures_and_tabm_can_be_trained_in_16_bits():
    pictures = GENERATOR.normal(size=(20, 8, 8, 1)).astype(np.float32)
    codes = np.arange(20, dtype=np.int32) % 3
    for changes in ({"architecture": "resnet"}, {"architecture": "separable", "batch_norm": True}):
        determinism.start(1)
        own = network.build((8, 8, 1), 3, small.spec(**changes), seed=1)
        data = pictures, codes
        found = fit.fit(own, data, data, settings("mixed_bfloat16", epochs=1), 1, name="pictures")
        assert not found.diverged
    determinism.start(1)
    spec = small.spec(architecture="tabm")
    own = network.build((6,), 2, spec, seed=1, task="classification")
    data = INPUTS, CODES
    found = fit.fit(own, data, data, settings("mixed_float16", epochs=1), 1, name="tabm")
    assert not found.diverged


@pytest.mark.parametrize("scaled", [True, False])
def test_a_gradient_too_small_for_float16_is_not_lost(scaled, monkeypatch):
    """Below 6e-8 float16 knows nothing but 0."""
    determinism.start(1)
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(4, kernel_initializer="zeros", name="hidden")(inputs)
    faint = keras.layers.Rescaling(1e-7, name="faint")(hidden)
    own = keras.Model(inputs, keras.layers.Dense(2, name="logits")(faint), name=f"net{scaled}")
    if not scaled:
        monkeypatch.setattr(Scaling, "scaled", lambda self, loss, state: loss * 1.0)
        monkeypatch.setattr(Scaling, "restored", lambda self, gradients, state: gradients)
    tiny = settings("mixed_float16", learning_rate=1.0, epochs=1, optimizer="sgd")

    fit.fit(own, (INPUTS, CODES), (INPUTS, CODES), tiny, 1, name="tiny")

    assert own.get_layer("hidden").get_weights()[0].any() == scaled


def test_steps_that_are_too_large_for_float16_are_left_out_until_they_are_not():
    # Gradients of tens times a scale of 2^15 are beyond 65,504, the largest number of float16.
    weights, found = fitted("mixed_float16", scale=300.0, learning_rate=1e-4)

    assert not found.diverged
    assert all(np.isfinite(one).all() for one in weights.get_weights())


def test_a_fit_that_diverges_is_still_said_to():
    _, found = fitted("mixed_float16", learning_rate=10.0, optimizer="sgd", scale=1e30)
    assert found.diverged


def test_the_scale_follows_keras():
    ours = Scaling("mixed_float16")
    theirs = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    variable = keras.Variable([0.0])
    theirs.build([variable])
    state = ours.begin()
    assert float(state[0]) == float(theirs.dynamic_scale) == FIRST
    events = [True] * 3 + [False] * 2 + [True] * (STEPS + 2) + [False] + [True] * 5

    for well in events:
        gradient = tf.constant([1.0 if well else np.inf])
        theirs.apply([gradient], [variable])
        state = ours.after(ours.went_well([gradient, None]), state)
        assert float(state[0]) == float(theirs.dynamic_scale)


def test_nothing_is_scaled_that_need_not_be():
    for precision in ("float32", "mixed_bfloat16"):
        scaling = Scaling(precision)
        assert scaling.begin() == []
        assert scaling.scaled(3.0, []) == 3.0
        assert scaling.restored([1.0, None], []) == [1.0, None]
