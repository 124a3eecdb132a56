"""The decision threshold: from which probability on the answer is yes, chosen on validation.

Between two classes it is one threshold on the positive class's probability, with labels one a
label. Among more classes the likeliest is the answer, and a quantity is its own answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataset.target import Target, Task
from metrics.classification import Figure, Predictions, Truth, precision_of
from metrics.objective import Importance, Measure, Objective
from metrics.weighted import Values, Weights, mean_of_known, ratio

HALF = 0.5


class Decision(BaseModel):
    """How predictions become answers; kept beside the chosen model as decision.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    positive: int | None
    """The place of the class that the threshold is about; None where there is no such class."""
    thresholds: tuple[float, ...]
    """One between two classes, one a label; the answer is yes above it. Empty: the likeliest class
    is the answer, or the predicted quantity."""

    def sharp(self, predictions: Predictions) -> npt.NDArray[np.float32]:
        """Predictions `(n, k)` after the decision, `(n, k)` float32: 1 for each answer and 0 for
        the rest; quantities as they are."""
        if self.task == "regression":
            return predictions.astype(np.float32)
        # In float64, since a threshold may lie between two neighbours in float32.
        exact = predictions.astype(np.float64)
        if self.task == "multilabel":
            return (exact > np.array(self.thresholds)).astype(np.float32)
        sharp = np.zeros(predictions.shape, dtype=np.float32)
        sharp[np.arange(len(sharp)), self._likeliest(exact)] = 1
        return sharp

    def answers(self, predictions: Predictions) -> npt.NDArray[Any]:
        """The answers in the form of the truth: `(n,)` int32 places of classes, `(n, k)` float32 of
        0 and 1, or `(n, k)` float32 quantities."""
        sharp = self.sharp(predictions)
        return np.argmax(sharp, axis=1).astype(np.int32) if self.task == "classification" else sharp

    def measured(self, measure: Measure) -> Figure:
        """The measure's figure after this decision, where it is about decisions at all."""
        if not measure.metric.decided:
            return measure.figure

        def figure(predictions: Predictions, truth: Truth, weights: Weights) -> Values:
            return measure.figure(self.sharp(predictions), truth, weights)

        return figure

    def _likeliest(self, exact: Values) -> npt.NDArray[np.int64]:
        if not self.thresholds or self.positive is None:
            places: npt.NDArray[np.int64] = np.argmax(exact, axis=1)
            return places
        yes = exact[:, self.positive] > self.thresholds[0]
        return np.where(yes, self.positive, 1 - self.positive)


class Tuned(BaseModel):
    """Thresholds, and what they changed on validation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: tuple[float, ...]
    half: float
    """The objective with every threshold at 0.5."""
    tuned: float
    """The objective with these."""


@dataclass(frozen=True)
class _Cuts:
    """All ways to part n examples by one probability, `(m,)` each: `thresholds`, and the weights
    of the positive ones above (`found`), of all above (`answered`), of all positive ones
    (`actual`) and of all."""

    thresholds: Values
    found: Values
    answered: Values
    actual: Values
    all: Values


def half(target: Target, objective: Objective) -> Decision:
    """The likeliest class, or every label whose probability is above 0.5."""
    labels = len(target.names) if target.task == "multilabel" else 0
    return Decision(task=target.task, positive=objective.place(target), thresholds=(HALF,) * labels)


def choose(
    how: Literal["half", "tuned"],
    target: Target,
    objective: Objective,
    predictions: Predictions,
    truth: Truth,
    importance: Importance,
) -> tuple[Decision, Tuned | None]:
    """The decision, and for two classes or labels what its thresholds changed.

    predictions `(n, k)`, truth and importance `(n,)` are those of the validation examples. "half"
    leaves every threshold at 0.5. "tuned" takes those that are best for the objective, of equally
    good ones the nearest to 0.5; for recall_at_precision the one with the highest recall among
    those that are precise enough. 0.5 stays where the objective does not depend on decisions, and
    for recall and precision, which alone would have everything or next to nothing answered yes.
    """
    plain = half(target, objective)
    columns = _columns(plain, target, predictions, truth)
    if not columns:
        return plain, None
    criterion = _criterion(target, objective)
    thresholds = tuple(
        HALF
        if how == "half" or criterion is None
        else _best(_cuts(scores, positive, importance), criterion)
        for scores, positive in columns
    )
    tuned = plain.model_copy(update={"thresholds": thresholds})
    start = plain.model_copy(update={"thresholds": (HALF,) * len(thresholds)})
    values = [
        _value(decision, target, objective, predictions, truth, importance)
        for decision in (start, tuned)
    ]
    return tuned, Tuned(thresholds=thresholds, half=values[0], tuned=values[1])


def _columns(
    plain: Decision, target: Target, predictions: Predictions, truth: Truth
) -> list[tuple[Predictions, npt.NDArray[np.bool_]]]:
    """Each probability that has a threshold, with what is true of it."""
    if target.task == "multilabel":
        return [
            (predictions[:, place], truth[:, place] > HALF) for place in range(len(target.names))
        ]
    if target.task == "classification" and len(target.names) == 2 and plain.positive is not None:
        return [(predictions[:, plain.positive], truth == plain.positive)]
    return []


def _cuts(scores: Predictions, positive: npt.NDArray[np.bool_], importance: Importance) -> _Cuts:
    """A cut below all values, between any two neighbours, and above all; 0.5 in its place."""
    weights = np.ones(len(scores)) if importance is None else importance.astype(np.float64)
    values, places = np.unique(scores.astype(np.float64), return_inverse=True)
    above = np.bincount(places, weights, minlength=len(values))
    right = np.bincount(places, weights * positive, minlength=len(values))
    edges = np.concatenate([[0.0], values, [1.0]])
    thresholds = (edges[:-1] + edges[1:]) / 2
    thresholds[np.searchsorted(values, HALF, side="right")] = HALF
    # Added from the top, so that above all values is exactly nothing.
    answered = np.append(np.cumsum(above[::-1])[::-1], 0.0)
    found = np.append(np.cumsum(right[::-1])[::-1], 0.0)
    # Nothing lies below 0: a first value of 0 cannot be above a threshold.
    real = slice(1, None) if values[0] <= 0 else slice(None)
    return _Cuts(
        thresholds[real],
        found[real],
        answered[real],
        np.full_like(found, found[0])[real],
        np.full_like(found, answered[0])[real],
    )


def _best(cuts: _Cuts, criterion: Callable[[_Cuts], Values]) -> float:
    values = np.nan_to_num(criterion(cuts), nan=0.0)
    best = cuts.thresholds[values == values.max()]
    return float(best[np.abs(best - HALF).argmin()])


def _criterion(target: Target, objective: Objective) -> Callable[[_Cuts], Values] | None:
    """What a threshold is chosen by; None where 0.5 stays."""
    if objective.metric == "accuracy":
        return _accuracy
    if objective.metric == "macro_f1":
        return _f1 if target.task == "multilabel" else _macro_f1
    if objective.metric == "balanced_accuracy":
        return _balanced_accuracy
    if objective.metric == "recall_at_precision":
        return lambda cuts: _recall_at(cuts, objective.precision)
    return None


def _accuracy(cuts: _Cuts) -> Values:
    return ratio(cuts.found + _true_negatives(cuts), cuts.all)


def _balanced_accuracy(cuts: _Cuts) -> Values:
    recalls = [
        ratio(cuts.found, cuts.actual),
        ratio(_true_negatives(cuts), cuts.all - cuts.actual),
    ]
    return mean_of_known(np.stack(recalls, axis=1))


def _f1(cuts: _Cuts) -> Values:
    return ratio(2 * cuts.found, cuts.answered + cuts.actual)


def _macro_f1(cuts: _Cuts) -> Values:
    others = ratio(2 * _true_negatives(cuts), 2 * cuts.all - cuts.answered - cuts.actual)
    return mean_of_known(np.stack([_f1(cuts), others], axis=1))


def _recall_at(cuts: _Cuts, least: float) -> Values:
    enough = precision_of(cuts.found, cuts.answered, cuts.actual) >= least
    return np.where(enough, ratio(cuts.found, cuts.actual), 0.0)


def _true_negatives(cuts: _Cuts) -> Values:
    return cuts.all - cuts.answered - cuts.actual + cuts.found


def _value(
    decision: Decision,
    target: Target,
    objective: Objective,
    predictions: Predictions,
    truth: Truth,
    importance: Importance,
) -> float:
    """The objective after the decision; recall_at_precision is 0 where it is not precise enough."""
    measure = objective.metric_for(target)
    if objective.metric == "recall_at_precision":
        [(scores, positive)] = _columns(decision, target, decision.sharp(predictions), truth)
        cuts = _cuts(scores, positive, importance)
        at = cuts.thresholds == HALF
        return float(_recall_at(cuts, objective.precision)[at][0])
    sharp = decision.sharp(predictions) if measure.metric.decided else predictions
    return measure.score(sharp, truth, importance)
