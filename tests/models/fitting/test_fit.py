import logging

import numpy as np
import pytest

from models.fitting import criterion, determinism, fit, progress, rows
from models.fitting.rows import BLOCK_ROWS, FileRows
from models.networks import network
from tests.models import small

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(100, 3)).astype(np.float32)
CODES = (INPUTS[:, 0] > 0).astype(np.int32)
OTHER = GENERATOR.normal(size=(40, 3)).astype(np.float32)
OTHER_CODES = (OTHER[:, 0] > 0).astype(np.int32)
SPEC = small.spec(width=4, depth=1, text="pool", embedding=2)


def fitted(learning_rate=0.01, epochs=3, patience=None, seed=1, l2=0.0, codes=OTHER_CODES):
    determinism.start(seed)
    spec = SPEC.model_copy(update={"width": 8, "l2": l2})
    built = network.build((3,), 2, spec, seed=1)
    settings = small.settings(
        learning_rate=learning_rate, batch_size=32, epochs=epochs, patience=patience
    )
    return built, fit.fit(
        built, (INPUTS, CODES), (OTHER, codes), settings, seed, name=f"seed {seed}"
    )


def test_every_epoch_holds_every_example_once_in_another_order():
    determinism.start(1)
    places = np.arange(10)

    dataset, steps = fit.batches(places, [places * 2], size=4, seed=1)

    taken = [tuple(part.numpy() for part in batch) for batch in dataset.take(2 * steps)]
    assert [len(inputs) for inputs, _ in taken] == [4, 4, 2, 4, 4, 2]
    first = np.concatenate([inputs for inputs, _ in taken[:3]])
    second = np.concatenate([inputs for inputs, _ in taken[3:]])
    assert sorted(first) == sorted(second) == list(places)
    assert not np.array_equal(first, second)
    assert all((targets == 2 * inputs).all() for inputs, targets in taken)


def test_the_order_follows_from_the_seed():
    determinism.start(1)
    places = np.arange(50)

    def order(seed):
        dataset, _ = fit.batches(places, [places], size=50, seed=seed)
        return next(iter(dataset))[0].numpy().tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.fixture(scope="module")
def many():
    """Rows of a file, each its own number: five blocks, of which the last is short."""
    count = 4 * BLOCK_ROWS + 100
    rows = FileRows((1,))
    rows.append(np.arange(count, dtype=np.float32)[:, None])
    return rows


def test_rows_of_a_file_come_once_an_epoch_in_another_order_within_pools(many, monkeypatch):
    determinism.start(1)
    monkeypatch.setattr(fit, "pool_blocks", lambda rows: 2)
    numbers = np.arange(len(many))

    dataset, steps = fit.batches(many, [numbers], size=1000, seed=1)

    taken = [tuple(part.numpy() for part in batch) for batch in dataset.take(2 * steps)]
    assert all((inputs[:, 0] == codes).all() for inputs, codes in taken)
    first, second = (np.concatenate([codes for _, codes in half]) for half in halves(taken))
    assert (np.sort(first) == numbers).all()
    assert (np.sort(second) == numbers).all()
    assert not np.array_equal(first, second)
    # Two blocks are mixed with each other, and with no third.
    pool = first[: 2 * BLOCK_ROWS] // BLOCK_ROWS
    assert len(set(pool.tolist())) == 2
    assert 0.4 < (pool[:1000] == pool[0]).mean() < 0.6


def test_a_batch_is_as_large_as_asked_for_however_large_its_rows_are(monkeypatch):
    determinism.start(1)
    monkeypatch.setattr(rows, "POOL_BYTES", 160)
    kept = FileRows((10,))
    kept.append(np.arange(1000, dtype=np.float32).reshape(100, 10))
    # A pool has room for four of these rows.
    assert rows.block_rows(kept) * rows.pool_blocks(kept) <= 4
    dataset, steps = fit.batches(kept, [np.arange(100)], size=32, seed=1)
    sizes = [len(codes) for _, codes in dataset.take(steps)]
    assert sizes == [32, 32, 32, 4]


def halves(items):
    middle = len(items) // 2
    return items[:middle], items[middle:]


def test_weights_say_how_much_an_example_counts():
    # Two examples that contradict each other: the heavier one wins.
    inputs = np.ones((2, 3), dtype=np.float32)
    for heavier in (0, 1):
        determinism.start(1)
        built = network.build((3,), 2, SPEC, seed=1)
        weights = np.float32([3, 1] if heavier == 0 else [1, 3])
        settings = small.settings(learning_rate=0.05, batch_size=2, epochs=80, patience=None)
        part = (inputs, np.array([0, 1], dtype=np.int32))
        result = fit.fit(built, part, part, settings, 1, name="w", weights=(weights, weights))
        odds = np.exp(result.outputs[0, heavier] - result.outputs[0, 1 - heavier])
        assert odds == pytest.approx(3, rel=0.05)
        assert result.epochs[-1].val_loss == pytest.approx(0.5623, rel=1e-2)


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_labels_and_quantities_are_learned(kind):
    determinism.start(1)
    codes = np.stack([INPUTS[:, 0] > 0, INPUTS[:, 1] > 0], axis=1).astype(np.float32)
    used = criterion.CLASSIFY_LABELS if kind == "multilabel" else criterion.REGRESS
    settings = small.settings(learning_rate=0.02, batch_size=32, epochs=40, patience=None)
    built = network.build((3,), 2, SPEC.model_copy(update={"width": 16}), seed=1)
    result = fit.fit(
        built, (INPUTS, codes), (INPUTS, codes), settings, 1, name=kind, criterion=used
    )
    assert result.epochs[-1].val_loss < result.epochs[0].val_loss / 2
    assert (result.epochs[-1].val_accuracy is None) == (kind == "regression")


def test_it_learns_and_says_so_in_one_line(caplog):
    with caplog.at_level(logging.INFO, logger="fettle"):
        _, result = fitted(epochs=15)

    assert [row.epoch for row in result.epochs] == list(range(1, 16))
    assert result.epochs[-1].loss < result.epochs[0].loss / 2
    assert result.epochs[-1].val_accuracy > 0.9
    assert [record.message for record in caplog.records] == [
        f"seed 1: 15 epochs, validation loss {result.epochs[-1].val_loss:.4f}, "
        f"accuracy {result.epochs[-1].val_accuracy:.4f}"
    ]


def test_a_long_one_says_how_far_it_is(monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    with caplog.at_level(logging.INFO, logger="fettle.progress"):
        fitted()
    told = [record.message for record in caplog.records if record.name == "fettle.progress"]
    assert [line.split(",")[0] for line in told] == [
        f"seed 1: epoch {epoch} of 3 at most" for epoch in (1, 2)
    ]


def test_outputs_are_what_the_network_gives_without_training():
    built, result = fitted(epochs=1)

    np.testing.assert_allclose(result.outputs, built(OTHER, training=False), atol=1e-6)
    np.testing.assert_array_equal(fit.outputs(built, OTHER), result.outputs)


def test_validation_loss_holds_no_penalty():
    _, plain = fitted(epochs=1, learning_rate=1e-6)
    _, penalised = fitted(epochs=1, learning_rate=1e-6, l2=1.0)

    assert penalised.epochs[0].loss > plain.epochs[0].loss + 0.5
    assert penalised.epochs[0].val_loss == pytest.approx(plain.epochs[0].val_loss, abs=1e-3)


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    # Wrong labels: the better it learns, the worse it validates.
    _, result = fitted(epochs=30, patience=2, codes=1 - OTHER_CODES)

    losses = [row.val_loss for row in result.epochs]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30
    loss, _ = criterion.measure_classes(1 - OTHER_CODES, result.outputs)
    assert loss == pytest.approx(losses[best], rel=1e-4)


def test_a_fit_that_diverges_ends_and_is_recorded():
    broken = INPUTS.copy()
    broken[5] = np.inf
    determinism.start(1)
    built = network.build((3,), 2, SPEC, seed=1)
    settings = small.settings(learning_rate=0.01, batch_size=32, epochs=9, patience=3)

    result = fit.fit(built, (broken, CODES), (OTHER, OTHER_CODES), settings, 1, name="broken")

    assert result.diverged
    assert len(result.epochs) == 1


def test_a_seed_fixes_everything():
    first, once = fitted(seed=4, epochs=1)
    weights = first.get_weights()
    second, again = fitted(seed=4, epochs=1)
    _, other = fitted(seed=5, epochs=1)

    assert once.epochs == again.epochs
    assert all(map(np.array_equal, weights, second.get_weights()))
    assert once.epochs != other.epochs


def averaged_by_hand(settings, inputs, codes):
    """A linear network by plain gradient descent: the average of its kernel after every epoch."""
    kernel, average, averages = np.zeros((1, 1)), None, []
    for _ in range(settings.epochs):
        gradient = 2 * inputs.T @ (inputs @ kernel - codes) / len(inputs)
        kernel = kernel - settings.learning_rate * gradient
        momentum = 0 if average is None else settings.ema
        average = momentum * (0 if average is None else average) + (1 - momentum) * kernel
        averages.append(average)
    return averages


def linear():
    import keras

    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("patience", [None, 2])
def test_the_average_of_the_weights_is_validated_and_kept(patience):
    determinism.start(1)
    inputs = GENERATOR.normal(size=(50, 1)).astype(np.float32)
    codes = 3 * inputs
    # Best for validation is a kernel of 1, which is passed on the way to 3.
    told = 1 * inputs if patience else codes
    settings = small.settings(
        optimizer="sgd", learning_rate=0.05, ema=0.8, batch_size=50, epochs=12, patience=patience
    )
    built = linear()
    fitted = fit.fit(
        built, (inputs, codes), (inputs, told), settings, 1, name="", criterion=criterion.REGRESS
    )

    averages = averaged_by_hand(settings, inputs.astype(float), codes.astype(float))
    losses = [float(((inputs @ one - told) ** 2).mean()) for one in averages]
    assert [epoch.val_loss for epoch in fitted.epochs] == pytest.approx(
        losses[: len(fitted.epochs)], rel=1e-3
    )
    last = int(np.argmin(losses)) if patience else len(averages) - 1
    assert built.get_weights()[0] == pytest.approx(averages[last], rel=1e-3)
    assert len(fitted.epochs) == (last + 1 + patience if patience else settings.epochs)


def test_the_rate_in_the_curve_is_that_of_an_epoch_s_last_step():
    determinism.start(1)
    settings = small.settings(schedule="staircase", decay=0.1, decay_epochs=1, learning_rate=0.01)
    built = network.build((3,), 2, SPEC, seed=1)
    fitted = fit.fit(built, (INPUTS, CODES), (OTHER, OTHER_CODES), settings, 1, name="")
    assert [epoch.learning_rate for epoch in fitted.epochs] == pytest.approx([0.01, 0.001])


def test_a_plateau_lowers_the_rate_once_nothing_improves():
    determinism.start(1)
    settings = small.settings(
        schedule="plateau", decay=0.5, decay_epochs=1, learning_rate=1e-9, epochs=4, optimizer="sgd"
    )
    built = network.build((3,), 2, SPEC, seed=1)
    fitted = fit.fit(built, (INPUTS, CODES), (OTHER, OTHER_CODES), settings, 1, name="")
    rates = [epoch.learning_rate for epoch in fitted.epochs]
    assert rates[0] == pytest.approx(1e-9)
    assert rates[-1] < 6e-10


def test_a_normalised_network_is_as_good_at_inference_as_in_training_after_few_steps():
    determinism.start(1)
    inputs = 5 + 3 * GENERATOR.normal(size=(160, 3)).astype(np.float32)
    codes = (inputs[:, 0] > 5).astype(np.int32)
    settings = small.settings(learning_rate=0.01, batch_size=32, epochs=8)
    built = network.build((3,), 2, small.spec(width=16, depth=2, batch_norm=True), seed=1)

    fitted = fit.fit(built, (inputs, codes), (inputs, codes), settings, 1, name="")

    last = fitted.epochs[-1]
    assert last.accuracy > 0.9
    assert last.val_accuracy > last.accuracy - 0.05


def clocked(monkeypatch, *seconds):
    """The clock of fits, which says these one after the other and then stands still."""
    said = iter(seconds)
    monkeypatch.setattr(fit, "monotonic", lambda: next(said, seconds[-1]))


def in_minutes(minutes, *, epochs=5, patience=None, codes=OTHER_CODES):
    determinism.start(1)
    built = network.build((3,), 2, SPEC.model_copy(update={"width": 8}), seed=1)
    settings = small.settings(learning_rate=0.01, batch_size=32, epochs=epochs, patience=patience)
    result = fit.fit(
        built, (INPUTS, CODES), (OTHER, codes), settings, 1, name="seed 1", minutes=minutes
    )
    return built, result


def test_a_fit_out_of_time_ends_after_the_epoch_under_way_and_says_so(monkeypatch, caplog):
    clocked(monkeypatch, 100, 219, 220, 221)
    with caplog.at_level(logging.INFO, logger="fettle"):
        built, cut = in_minutes(2)

    assert cut.out_of_time
    assert not cut.stopped
    assert len(cut.epochs) == 2
    assert caplog.records[-1].message.endswith(", out of time")
    # The weights are those of a fit that has these epochs alone.
    whole, plain = fitted(epochs=2)
    assert cut.epochs == plain.epochs
    assert all(map(np.array_equal, built.get_weights(), whole.get_weights()))
    np.testing.assert_array_equal(cut.outputs, plain.outputs)


def test_with_patience_a_fit_out_of_time_keeps_its_best_weights(monkeypatch):
    # Wrong labels: the first epoch validates best.
    clocked(monkeypatch, 0, 1, 1, 60)
    _, cut = in_minutes(1, epochs=30, patience=9, codes=1 - OTHER_CODES)

    losses = [row.val_loss for row in cut.epochs]
    assert cut.out_of_time
    assert len(losses) == 3
    assert int(np.argmin(losses)) == 0
    loss, _ = criterion.measure_classes(1 - OTHER_CODES, cut.outputs)
    assert loss == pytest.approx(losses[0], rel=1e-4)


def test_a_fit_that_came_to_its_end_was_not_cut_however_late(monkeypatch):
    clocked(monkeypatch, 0, 1, 1e9)
    _, late = in_minutes(1, epochs=2)
    assert (len(late.epochs), late.out_of_time) == (2, False)
