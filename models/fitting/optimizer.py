"""Keras's optimizers as the settings name them."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from models.fitting import schedule
from models.settings import FitSettings

DECAYED = ("kernel", "embeddings")
"""Variables that weight decay is for, by name; not biases, scales and normalisations: their size
says nothing of how complex a function is (Loshchilov and Hutter, 2019, and common practice)."""


def build(
    settings: FitSettings, steps: int, variables: Sequence[Any], factors: Sequence[float] = ()
) -> keras.Optimizer:
    """An optimizer for the trainable `variables`, built; `steps` an epoch.

    `factors`: of the learning rate, one for each variable; (): 1 for all of them.

    Built at once, since variables made while the training step is traced would have it traced a
    second time.
    """
    kind = _KINDS[settings.optimizer]
    bounded = kind if settings.clip == "none" else _summing(kind)
    if any(factor != 1 for factor in factors):
        bounded = _paced(bounded, factors)
    optimizer = bounded(schedule.learning_rate(settings, steps), **_options(settings))
    if settings.optimizer == "adamw":
        optimizer.exclude_from_weight_decay(
            var_list=[variable for variable in variables if variable.name not in DECAYED]
        )
    optimizer.build(variables)
    return optimizer


def _options(settings: FitSettings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if settings.optimizer in ("momentum", "nesterov"):
        options = {"momentum": settings.momentum, "nesterov": settings.optimizer == "nesterov"}
    if settings.optimizer == "adamw":
        options = {"weight_decay": settings.weight_decay}
    if settings.clip != "none":
        clips = {"value": "clipvalue", "norm": "clipnorm", "global_norm": "global_clipnorm"}
        options[clips[settings.clip]] = settings.clip_at
    if settings.ema is not None:
        options |= {"use_ema": True, "ema_momentum": settings.ema}
    return options


_KINDS: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "momentum": keras.optimizers.SGD,
    "nesterov": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


def _summing(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """The optimizer, which adds up the gradients of an embedding's rows before they are bounded.

    They come row by row, a word that occurs twice with two rows: Keras would bound what is not
    what is added to the weights, or cannot bound it at all.
    """

    class Summing(kind):  # type: ignore[misc]
        def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
            summed = [None if one is None else tf.convert_to_tensor(one) for one in grads]
            super().apply(summed, trainable_variables)

    return Summing


def _paced(
    kind: type[keras.optimizers.Optimizer], factors: Sequence[float]
) -> type[keras.optimizers.Optimizer]:
    """The optimizer with a learning rate for each variable: its own, times the variable's factor.

    What is multiplied is the rate and not the gradient, whose size Adam and its kin take out again.
    A weight decays at the variable's rate too, or what is hardly trained would mostly decay.
    """

    class Paced(kind):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self._factor(variable))

        def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
            if self.weight_decay is None:
                return
            for variable in variables:
                if self._use_weight_decay(variable):
                    share = self.learning_rate * self._factor(variable) * self.weight_decay
                    variable.assign_sub(variable * share)

        def _factor(self, variable: Any) -> float:
            place: int = self._get_variable_index(variable)
            return factors[place]

    return Paced
