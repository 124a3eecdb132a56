"""What a model's outputs mean: classes, labels or quantities, and how to get from one to the other.

Learned from the training examples by `split` and kept beside them. Three forms of the same thing:

- *truth*: what the examples say. Classification: `(n,)` int32 places in the classes; multilabel:
  `(n, k)` float32 of 0 and 1; regression: `(n, k)` float32 in the targets' own units.
- *code*: what a network is trained on. As the truth, but that quantities are transformed and then
  standardised, so that one learning rate suits all of them.
- *prediction*: what a model says. `(n, classes)` probabilities that add up to 1, `(n, k)`
  probabilities, or `(n, k)` float32 in the targets' own units.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataset.quantiles import normal_scores
from metrics import scores

Task = Literal["classification", "multilabel", "regression"]
Transform = Literal["none", "log", "quantile"]

Array = npt.NDArray[Any]


class Quantity(BaseModel):
    """How one target of a regression is transformed; statistics of the training rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transform: Transform
    shift: float
    """Log: added first, so that the least training value becomes 1; else 0."""
    knots: tuple[float, ...]
    """Quantile: the values at evenly spaced quantiles, rising; else empty."""
    scores: tuple[float, ...]
    """Quantile: the standard normal score of each knot; else empty."""
    mean: float
    """Of the transformed training values."""
    scale: float
    """Their standard deviation, 1 where nothing varies."""

    def encode(self, values: Array) -> Array:
        """`(n,)` in the target's unit to `(n,)` float64 codes."""
        return (self._forward(values.astype(np.float64)) - self.mean) / self.scale

    def decode(self, codes: Array) -> Array:
        """`(n,)` codes to `(n,)` float64 in the target's unit."""
        transformed = codes.astype(np.float64) * self.scale + self.mean
        if self.transform == "log":
            return np.exp(np.minimum(transformed, LARGEST_EXPONENT)) - self.shift
        if self.transform == "quantile":
            return np.interp(transformed, self.scores, self.knots)
        return transformed

    def _forward(self, values: Array) -> Array:
        if self.transform == "log":
            # Unseen values may lie below all training values.
            return np.log(np.maximum(values + self.shift, LEAST))
        if self.transform == "quantile":
            return np.interp(values, self.knots, self.scores)
        return values


LEAST = 1e-3
"""What a shifted value counts as at the least, before its logarithm."""
LARGEST_EXPONENT = 80.0
"""float32 ends at about exp(88)."""


class Target(BaseModel):
    """What is to be predicted; written by `split` as target.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    names: tuple[str, ...]
    """Classes in the order of the outputs (sorted), or names of labels or target columns."""
    quantities: tuple[Quantity, ...]
    """Of a regression, one a target; else empty."""
    class_weights: tuple[float, ...]
    """How much an example of each class counts in the loss, 1 on average; empty: all alike."""

    @property
    def outputs(self) -> int:
        """How many numbers a network gives for an example."""
        return len(self.names)

    def truth(self, targets: Array) -> Array:
        """What `Examples.targets` say, as this module's *truth*; KeyError for an unknown class."""
        if self.task != "classification":
            return targets.astype(np.float32)
        places = {label: place for place, label in enumerate(self.names)}
        return np.array([places[label] for label in targets.tolist()], dtype=np.int32)

    def weights(
        self, truth: Array, importance: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32] | None:
        """How much each example counts in the loss, `(n,)`: its own importance times its class's
        weight; None where all count alike."""
        if not self.class_weights:
            return importance
        by_class = np.array(self.class_weights, dtype=np.float32)[truth]
        return by_class if importance is None else by_class * importance

    def encode(self, truth: Array) -> Array:
        """Truth to code: `(n,)` int32 or `(n, k)` float32."""
        if self.task != "regression":
            return truth
        columns = [
            quantity.encode(truth[:, place]) for place, quantity in enumerate(self.quantities)
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def decode(self, outputs: Array) -> npt.NDArray[np.float32]:
        """A network's outputs `(n, k)` float32 to predictions `(n, k)` float32."""
        if self.task == "classification":
            return scores.softmax(outputs)
        if self.task == "multilabel":
            return scores.sigmoid(outputs)
        columns = [
            quantity.decode(outputs[:, place]) for place, quantity in enumerate(self.quantities)
        ]
        return np.stack(columns, axis=1).astype(np.float32)


def learn(
    task: Task, names: Sequence[str], targets: Array, transform: Transform, *, balanced: bool
) -> Target:
    """The target as the training examples show it.

    names: the target columns; of a classification they are replaced by the classes. targets: as in
    `dataset.examples.Examples`. `transform` is for a regression; `balanced`, for a classification:
    every class counts as much as every other, whatever its number of examples.
    """
    if task == "classification":
        counts = sorted(Counter(targets.tolist()).items())
        # As scikit-learn's "balanced" (King and Zeng, "Logistic regression in rare events data",
        # Political Analysis 2001): the mean over the examples is 1.
        weights = [len(targets) / (len(counts) * count) for _, count in counts]
        return Target(
            task=task,
            names=tuple(name for name, _ in counts),
            quantities=(),
            class_weights=tuple(weights) if balanced else (),
        )
    quantities = (
        [_quantity(column, transform) for column in targets.astype(np.float64).T]
        if task == "regression"
        else []
    )
    return Target(task=task, names=tuple(names), quantities=tuple(quantities), class_weights=())


def _quantity(values: Array, transform: Transform) -> Quantity:
    shift = 1.0 - float(values.min()) if transform == "log" else 0.0
    knots, normal = normal_scores(values) if transform == "quantile" else ((), ())
    plain = Quantity(
        transform=transform, shift=shift, knots=knots, scores=normal, mean=0.0, scale=1.0
    )
    transformed = plain.encode(values)
    mean, scale = float(transformed.mean()), float(transformed.std())
    varies = scale > 1e-6 * max(abs(mean), 1e-6)
    return plain.model_copy(update={"mean": mean, "scale": scale if varies else 1.0})
