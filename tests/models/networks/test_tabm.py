"""Many networks in one: each learns by itself, and they answer together."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from models.fitting import criterion, determinism, fit
from models.networks import count, encode, network
from models.networks.layout import Layout, TextLayout
from tests.models import small

TASKS = ("classification", "multilabel", "regression")
GENERATOR = np.random.default_rng(1)
INPUTS = GENERATOR.normal(size=(200, 6)).astype(np.float32)
HIDDEN = INPUTS[:, 0] * INPUTS[:, 1]
CODES = {
    "classification": np.digitize(HIDDEN, [-0.3, 0.3]).astype(np.int32),
    "multilabel": np.stack([HIDDEN > 0, INPUTS[:, 2] > 0], axis=1).astype(np.float32),
    "regression": np.stack([HIDDEN, INPUTS[:, 2]], axis=1).astype(np.float32),
}
OUTPUTS = {"classification": 3, "multilabel": 2, "regression": 2}
CRITERIA = {
    "classification": criterion.CLASSIFY,
    "multilabel": criterion.CLASSIFY_LABELS,
    "regression": criterion.REGRESS,
}
MEMBERS = 5


def built(task, **changes):
    determinism.start(1)
    settings = {"architecture": "tabm", "members": MEMBERS, "width": 8, "depth": 2, **changes}
    return network.build((6,), OUTPUTS[task], small.spec(**settings), 1, None, task)


def fitted(model, task, weights=(None, None), **changes):
    settings = small.settings(batch_size=50, patience=None, **changes)
    data = (INPUTS, CODES[task])
    return fit.fit(
        model, data, data, settings, 1, name="t", criterion=CRITERIA[task], weights=weights
    )


def decoded(task, outputs):
    if task == "classification":
        return softmax(outputs, axis=-1)
    return expit(outputs) if task == "multilabel" else outputs


@pytest.mark.parametrize("task", TASKS)
def test_predictions_are_the_mean_of_the_members(task):
    model = built(task)

    each = model(INPUTS, training=True).numpy()
    together = model(INPUTS).numpy()

    assert each.shape == (200, MEMBERS, OUTPUTS[task])
    assert each.std(axis=1).min() > 0
    expected = decoded(task, each).mean(axis=1)
    np.testing.assert_allclose(decoded(task, together), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", [None, np.tile(np.float32([1, 3]), 100)], ids=["even", "not"])
@pytest.mark.parametrize("task", TASKS)
def test_what_is_minimised_is_the_mean_of_the_members_own_losses(task, weights):
    model = built(task)
    each = model(INPUTS, training=True).numpy()

    # So slow that the weights do not change while the figures of the epoch are taken.
    told = fitted(model, task, (weights, None), epochs=1, learning_rate=1e-12)

    measured = [CRITERIA[task].measure(CODES[task], each[:, m], weights) for m in range(MEMBERS)]
    assert told.epochs[0].loss == pytest.approx(np.mean([loss for loss, _ in measured]), rel=1e-4)
    if task != "regression" and weights is None:
        right = np.mean([share for _, share in measured])
        assert told.epochs[0].accuracy == pytest.approx(right, rel=1e-4)
    together = CRITERIA[task].measure(CODES[task], model(INPUTS).numpy(), None)
    assert told.epochs[0].val_loss == pytest.approx(together[0], rel=1e-4)
    assert told.epochs[0].val_loss < np.mean(
        [CRITERIA[task].measure(CODES[task], each[:, m], None)[0] for m in range(MEMBERS)]
    )


@pytest.mark.parametrize("task", TASKS)
def test_members_learn(task):
    model = built(task)

    told = fitted(model, task, epochs=80, learning_rate=0.03)

    assert told.epochs[-1].val_loss < 0.4 * told.epochs[0].val_loss


def test_members_are_trained_apart():
    import tensorflow as tf

    model = built("classification")
    codes = tf.constant(CODES["classification"])
    with tf.GradientTape() as tape:
        each = model(INPUTS, training=True)
        told = criterion.EachMember(criterion.CLASSIFY.loss)(codes, each)
    gradient = tape.gradient(told, model.get_layer("logits").kernel).numpy()

    own = softmax(each.numpy(), axis=2) - np.eye(3)[CODES["classification"]][:, None]
    hidden = inner(model)
    expected = np.einsum("nmi,nmo->mio", hidden, own) / (len(INPUTS) * MEMBERS)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-6)


def inner(model):
    import keras

    return keras.Model(model.input, model.layers[-2].output)(INPUTS).numpy()


def test_members_of_a_table_with_texts_read_them_once():
    layout = Layout(2, (TextLayout("a", 3, ("x", "y")), TextLayout("b", 1, ())))
    spec = small.spec(architecture="tabm", members=3, dropout=0.2, batch_norm=True)
    rows = np.float32([[0.5, -1, 2, 3, 0, 1], [1, 1, 0, 0, 0, 0]])

    model = network.build((6,), 2, spec, 1, layout, "classification")

    assert model(rows).shape == (2, 2)
    assert model(rows, training=True).shape == (2, 3, 2)
    assert [layer.name for layer in network.trunk(model)][-1] == "dropout_0"


def test_members_are_counted_by_hand():
    model = built("classification")

    first, second = 6 * 8 + MEMBERS * (6 + 8 + 8), 8 * 8 + MEMBERS * (8 + 8 + 8)
    assert count.parameters(model) == first + second + MEMBERS * (8 * 3 + 3)
    assert count.multiply_adds(model) == MEMBERS * (6 * 8 + 8 * 8 + 8 * 3)


def test_a_batch_is_bounded_by_what_all_members_hold():
    spec = small.spec(architecture="tabm", members=256, width=4)
    wide = network.build((3000,), 2, spec, 1, None, "regression")
    answers = network.build((3,), 3000, spec, 1, None, "regression")

    for model in (wide, answers):
        assert encode.rows(model) == encode.MEMORY // (4 * 256 * 3000)


def test_kernels_alone_are_penalised():
    model = built("classification", l2=0.1)

    kernels = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")]

    expected = 0.1 * sum((kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert len(kernels) == 3


def test_members_cannot_be_averaged_where_nobody_says_what_they_answer():
    with pytest.raises(ValueError, match="task"):
        network.build((6,), 2, small.spec(architecture="tabm"), 1)
