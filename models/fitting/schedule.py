"""How the learning rate changes while a fit goes on, as a function of the step.

Rates are reckoned before an epoch begins, one for each step, and handed to it.
"""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from models.settings import FitSettings

START, END = 25.0, 1e4
"""One cycle begins at the rate over `START` and ends at it over `END`."""
PIECES = (0.5, 0.75)
"""Shares of the steps after which piecewise lowers the rate, as for He et al.'s networks, 2016."""
RISING = 0.3
"""Share of one cycle in which the rate rises, where `warmup` does not say."""


def learning_rate(settings: FitSettings, steps: int) -> Any:
    """What a Keras optimizer takes as its learning rate; `steps` an epoch.

    A number where it is fixed, or falls with the validation loss (`plateau`, see
    `models.fitting.course`); else a schedule.
    """
    total = settings.epochs * steps
    if settings.schedule == "plateau":
        return settings.learning_rate
    if settings.schedule == "one_cycle":
        return OneCycle(settings.learning_rate, total, settings.warmup or RISING)
    rising = math.floor(settings.warmup * total)
    after = _after(settings, steps, total - rising)
    if not rising:
        return after
    return WarmUp(after, settings.learning_rate, rising)


def _after(settings: FitSettings, steps: int, total: int) -> Any:
    """The rate once it has risen; `total` steps are left."""
    rate, every = settings.learning_rate, settings.decay_epochs * steps
    schedules = keras.optimizers.schedules
    if settings.schedule in ("exponential", "staircase"):
        stairs = settings.schedule == "staircase"
        return schedules.ExponentialDecay(rate, every, settings.decay, staircase=stairs)
    if settings.schedule == "piecewise":
        # A bound belongs to the value before it.
        bounds = [math.ceil(share * total) - 1 for share in PIECES]
        values = [rate * settings.decay**place for place in range(len(PIECES) + 1)]
        return schedules.PiecewiseConstantDecay(bounds, values)
    if settings.schedule == "cosine":
        return schedules.CosineDecay(rate, total)
    if settings.schedule == "restarts":
        return schedules.CosineDecayRestarts(rate, every)
    return rate


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Rises linearly to `peak` within `rising` steps, then follows `after`, a rate or a schedule.

    Goyal et al., "Accurate, large minibatch SGD", 2017.
    """

    def __init__(self, after: Any, peak: float, rising: int) -> None:
        super().__init__()
        self.after = after
        self.peak = peak
        self.rising = rising

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0; the first one's is not 0."""
        place = keras.ops.cast(step, "float32")
        later = keras.ops.maximum(place - self.rising, 0.0)
        after = self.after(later) if callable(self.after) else self.after
        risen = self.peak * (place + 1) / self.rising
        return keras.ops.where(place < self.rising, risen, keras.ops.cast(after, "float32"))


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Once up from `peak / START` and down to `peak / END`, both along half a cosine.

    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018, https://arxiv.org/abs/1708.07120. `rising` is the share of the way up.
    """

    def __init__(self, peak: float, total: int, rising: float) -> None:
        super().__init__()
        self.peak = peak
        self.total = total
        self.top = rising * total

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        place = keras.ops.cast(step, "float32")
        up = _between(self.peak / START, self.peak, place / self.top)
        down = _between(
            self.peak, self.peak / END, (place - self.top) / max(self.total - self.top, 1.0)
        )
        return keras.ops.where(place < self.top, up, down)


def _between(first: float, last: float, share: Any) -> Any:
    """From the first to the last value along half a cosine."""
    turned = (1 - keras.ops.cos(math.pi * keras.ops.clip(share, 0.0, 1.0))) / 2
    return first + (last - first) * turned


def rates(settings: FitSettings, steps: int, epoch: int) -> npt.NDArray[np.float32]:
    """The learning rate of each of an epoch's `steps`, epochs counted from 0."""
    planned = learning_rate(settings, steps)
    if not callable(planned):
        return np.full(steps, planned, np.float32)
    places = keras.ops.arange(epoch * steps, (epoch + 1) * steps)
    told: npt.NDArray[np.float32] = keras.ops.convert_to_numpy(planned(places)).astype(np.float32)
    return told
