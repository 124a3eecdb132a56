"""Patience and plateaus are those of Keras's callbacks; a course says how a fit ended."""

from types import SimpleNamespace

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fitting import determinism
from models.fitting.course import Course, Plateau
from tests.models import small


@pytest.fixture(scope="module", autouse=True)
def _start():
    determinism.start(1)


LOSSES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12)


def course(stops=(), over=lambda: False, **changes):
    return Course(small.settings(**changes), stops, over)


@settings(deadline=None, max_examples=60)
@given(LOSSES, st.integers(1, 4))
def test_patience_is_keras_s(losses, patience):
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss", mode="min", patience=patience, restore_best_weights=True
    )
    now = [0]
    restored = []
    stopping.set_model(
        SimpleNamespace(
            stop_training=False, get_weights=lambda: now[0], set_weights=restored.append
        )
    )
    stopping.on_train_begin()
    mine = course(epochs=len(losses), patience=patience)

    for number, loss in enumerate(losses):
        now[0] = number
        stopping.on_epoch_end(number, {"val_loss": loss})
        mine.after((1.0, loss), number)
        assert mine.ended == (stopping.model.stop_training or number + 1 == len(losses))
        if mine.ended:
            break
    stopping.on_train_end()

    assert [mine.kept] == restored


@settings(deadline=None, max_examples=60)
@given(LOSSES, st.integers(1, 4))
def test_a_plateau_is_keras_s(losses, patience):
    falling = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", mode="min", factor=0.5, patience=patience, min_delta=0
    )
    falling.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=1.0)))
    falling.on_train_begin()
    mine = Plateau(0.5, patience)
    for number, loss in enumerate(losses):
        falling.on_epoch_end(number, {"val_loss": loss})
        mine.after(loss)
        assert mine.share == falling.model.optimizer.learning_rate


def test_without_patience_the_last_epoch_is_kept():
    mine = course(epochs=3)
    for number, loss in enumerate([0.1, 0.3, 0.2]):
        assert not mine.ended
        mine.after((1.0, loss), number)
    assert (mine.ended, mine.kept) == (True, 2)


def test_no_number_ends_it_and_is_no_improvement():
    for losses in ((float("nan"), 0.1), (0.1, float("inf"))):
        mine = course(epochs=9, patience=3)
        mine.after((1.0, 0.5), "good")
        mine.after(losses, "bad")
        assert (mine.ended, mine.diverged, mine.stopped, mine.kept) == (True, True, False, "good")


def test_a_hopeless_one_is_stopped_by_its_best_loss():
    mine = course(stops=(1.0, 0.4, 0.4), epochs=9)
    mine.after((1.0, 0.3), 1)
    mine.after((1.0, 0.9), 2)
    assert not mine.ended
    late = course(stops=(1.0, 0.4, 0.4), epochs=9)
    late.after((1.0, 0.5), 1)
    late.after((1.0, 0.5), 2)
    assert (late.ended, late.stopped, late.out_of_time) == (True, True, False)


def test_time_ends_only_what_would_go_on():
    cut = course(over=lambda: True, epochs=2)
    cut.after((1.0, 0.5), 1)
    assert (cut.ended, cut.out_of_time) == (True, True)
    whole = course(over=lambda: True, epochs=1)
    whole.after((1.0, 0.5), 1)
    assert (whole.ended, whole.out_of_time) == (True, False)
