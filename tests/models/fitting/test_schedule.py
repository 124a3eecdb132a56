import math

import numpy as np
import pytest

from models.fitting import determinism, schedule
from tests.models import small

STEPS, EPOCHS = 10, 20
TOTAL = STEPS * EPOCHS


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def rates(places, **changes):
    settings = small.settings(epochs=EPOCHS, learning_rate=0.1, decay=0.5, **changes)
    planned = schedule.learning_rate(settings, STEPS)
    if not callable(planned):
        return [planned for _ in places]
    return [float(np.asarray(planned(place))) for place in places]


PLACES = [0, 1, 9, 10, 19, 20, 49, 50, 99, 100, 149, 150, 199]


def cosine(share):
    return (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fixed", lambda step: 0.1),
        ("exponential", lambda step: 0.1 * 0.5 ** (step / (2 * STEPS))),
        ("staircase", lambda step: 0.1 * 0.5 ** (step // (2 * STEPS))),
        ("piecewise", lambda step: 0.1 * 0.5 ** ((step >= TOTAL / 2) + (step >= TOTAL * 3 / 4))),
        ("cosine", lambda step: 0.1 * cosine(step / TOTAL)),
        # Cycles of 2, 4, 8 and 16 epochs begin at steps 0, 20, 60 and 140.
        (
            "restarts",
            lambda step: (
                0.1
                * next(
                    cosine((step - begin) / length)
                    for begin, length in ((140, 160), (60, 80), (20, 40), (0, 20))
                    if step >= begin
                )
            ),
        ),
    ],
)
def test_rates_are_those_of_the_formula(name, expected):
    told = rates(PLACES, schedule=name, decay_epochs=2)
    assert told == pytest.approx([expected(place) for place in PLACES], rel=1e-3)


@pytest.mark.parametrize("name", ["fixed", "exponential", "cosine", "restarts", "piecewise"])
def test_a_rate_rises_linearly_and_then_follows_the_schedule_of_what_is_left(name):
    rising = TOTAL // 10
    told = rates([0, 4, rising - 1, rising, 100], schedule=name, warmup=0.1, decay_epochs=2)
    assert told[:3] == pytest.approx([0.1 / rising, 0.1 * 5 / rising, 0.1])
    left = small.settings(epochs=EPOCHS - 2, learning_rate=0.1, decay=0.5, decay_epochs=2)
    after = schedule.learning_rate(left.model_copy(update={"schedule": name}), STEPS)
    for place, rate in zip((rising, 100), told[3:], strict=True):
        later = float(np.asarray(after(place - rising))) if callable(after) else after
        assert rate == pytest.approx(later)


def test_one_cycle_goes_up_once_and_down_once():
    told = rates(range(TOTAL), schedule="one_cycle", warmup=0.25)
    top = int(np.argmax(told))
    assert top == TOTAL / 4
    assert told[0] == pytest.approx(0.1 / 25)
    assert told[top] == pytest.approx(0.1)
    assert told[-1] < 0.1 / 1000
    assert np.all(np.diff(told[: top + 1]) > 0)
    assert np.all(np.diff(told[top:]) < 0)
    assert told[top // 2] == pytest.approx(0.1 / 25 + (0.1 - 0.1 / 25) / 2)


@pytest.mark.parametrize(
    "name",
    [
        "fixed",
        "exponential",
        "staircase",
        "cosine",
        "restarts",
        "piecewise",
        "one_cycle",
        "plateau",
    ],
)
@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_the_rates_of_an_epoch_are_those_of_its_steps(name, warmup):
    settings = small.settings(
        epochs=EPOCHS, learning_rate=0.1, schedule=name, warmup=warmup, decay_epochs=2
    )
    for epoch in (0, 3, EPOCHS - 1):
        told = schedule.rates(settings, STEPS, epoch)
        planned = schedule.learning_rate(settings, STEPS)
        places = range(epoch * STEPS, (epoch + 1) * STEPS)
        alone = [float(planned(place)) if callable(planned) else planned for place in places]
        assert told.dtype == np.float32
        assert told.tolist() == pytest.approx(alone, rel=1e-5)
