"""What an optimizer does to weights in one step, as functions of tensors.

Keras's optimizers hold their state in variables, so a graph belongs to one of them. Here state goes
in and comes out: one graph serves every fit. The formulas are those of Keras's optimizers
(`models.fitting.optimizer` makes these), to which a test holds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from models.fitting.optimizer import DECAYED
from models.fitting.tensors import Tensors
from models.settings import FitSettings

FIRST, SECOND = 0.9, 0.999
"""How much of the averages of gradients and of their squares a step of Adam keeps."""
MEAN = 0.9
"""The same of the squares for RMSprop."""
LEAST = 1e-7
"""What keeps a denominator from being 0."""
SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adam": 2, "adamw": 2}
"""Tensors that an optimizer keeps for every weight."""


@dataclass(frozen=True)
class Rule:
    """How weights follow from gradients; all that a graph is made of, and no rate."""

    optimizer: str
    momentum: float
    clip: str
    clip_at: float
    ema: float | None
    factors: tuple[float, ...]
    """Of the learning rate, one for each weight; (): 1 for all of them."""
    names: tuple[str, ...]
    """Of the weights."""

    @classmethod
    def of(cls, settings: FitSettings, names: Sequence[str], factors: Sequence[float]) -> "Rule":
        """What the settings say; values that do not matter to them are left out."""
        turning = settings.optimizer in ("momentum", "nesterov")
        paced = any(factor != 1 for factor in factors)
        return cls(
            settings.optimizer,
            settings.momentum if turning else 0.0,
            settings.clip,
            settings.clip_at if settings.clip != "none" else 0.0,
            settings.ema,
            tuple(factors) if paced else (),
            tuple(names),
        )

    def slots(self, weights: Tensors) -> Tensors:
        """What is kept between steps, at the beginning."""
        return [tf.zeros_like(one) for _ in range(SLOTS[self.optimizer]) for one in weights]

    def step(
        self, gradients: Tensors, weights: Tensors, slots: Tensors, at: Any, rate: Any, decay: Any
    ) -> tuple[Tensors, Tensors]:
        """Weights and slots after a step.

        gradients: as a tape gives them, None where a weight has none and stays as it is. `at`:
        steps before this one; `rate`: the learning rate; `decay`: the weight decay of adamw.
        """
        places = [place for place, one in enumerate(gradients) if one is not None]
        # An embedding's come row by row, a word that occurs twice with two rows.
        dense = [tf.convert_to_tensor(gradients[place]) for place in places]
        count, after, kept = len(weights), list(weights), list(slots)
        for place, gradient in zip(places, self._bounded(dense), strict=True):
            own = rate * self.factors[place] if self.factors else rate
            weight = weights[place]
            if self.optimizer == "adamw" and self.names[place] in DECAYED:
                weight = weight - weight * decay * own
            held = [slots[number * count + place] for number in range(SLOTS[self.optimizer])]
            after[place], held = _KINDS[self.optimizer](self, gradient, weight, held, at, own)
            for number, slot in enumerate(held):
                kept[number * count + place] = slot
        return after, kept

    def averaged(self, average: Tensors, weights: Tensors, at: Any) -> Tensors:
        """The average of the weights after a step; the first step's are the weights."""
        if self.ema is None:
            return average
        share = tf.where(at > 0, self.ema, 0.0)
        return [
            share * mean + (1 - share) * weight
            for mean, weight in zip(average, weights, strict=True)
        ]

    def _bounded(self, gradients: Tensors) -> Tensors:
        at = self.clip_at
        if self.clip == "value":
            return [tf.clip_by_value(one, -at, at) for one in gradients]
        if self.clip == "norm":
            return [tf.clip_by_norm(one, at) for one in gradients]
        if self.clip == "global_norm":
            squares = tf.stack([tf.reduce_sum(tf.square(one)) for one in gradients])
            norm = tf.sqrt(tf.reduce_sum(squares))
            # The last term is 0, or no number where the norm is none.
            scale = at * tf.minimum(1 / norm, 1 / at) + (norm - norm)
            return [one * scale for one in gradients]
        return gradients


_Stepped = tuple[Any, Tensors]


def _descent(rule: Rule, gradient: Any, weight: Any, held: Tensors, at: Any, rate: Any) -> _Stepped:
    return weight - gradient * rate, held


def _momentum(
    rule: Rule, gradient: Any, weight: Any, held: Tensors, at: Any, rate: Any
) -> _Stepped:
    velocity = held[0] * rule.momentum - gradient * rate
    if rule.optimizer == "nesterov":
        return weight + (velocity * rule.momentum - gradient * rate), [velocity]
    return weight + velocity, [velocity]


def _rmsprop(rule: Rule, gradient: Any, weight: Any, held: Tensors, at: Any, rate: Any) -> _Stepped:
    mean = MEAN * held[0] + (1 - MEAN) * tf.square(gradient)
    return weight - rate * gradient / tf.sqrt(mean + LEAST), [mean]


def _adam(rule: Rule, gradient: Any, weight: Any, held: Tensors, at: Any, rate: Any) -> _Stepped:
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, end of section 2."""
    step = tf.cast(at + 1, tf.float32)
    alpha = rate * tf.sqrt(1 - tf.pow(SECOND, step)) / (1 - tf.pow(FIRST, step))
    first = held[0] + (gradient - held[0]) * (1 - FIRST)
    second = held[1] + (tf.square(gradient) - held[1]) * (1 - SECOND)
    return weight - first * alpha / (tf.sqrt(second) + LEAST), [first, second]


_KINDS = {
    "sgd": _descent,
    "momentum": _momentum,
    "nesterov": _momentum,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,
}
