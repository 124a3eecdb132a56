"""What models said about single classes, labels, targets and examples of the holdout."""

import numpy as np
import numpy.typing as npt

from dataset.target import Target
from metrics import classification, multilabel
from metrics.classification import Predictions, Truth
from metrics.readings import significant
from metrics.weighted import even
from models.judging.evaluation import Label, Points

DRAWN = 500
"""Examples of a drawing of predicted against actual values, at the most."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DIGITS = 7
"""Significant digits, as many as float32 holds."""


def confusion(sharp: Predictions, truth: Truth) -> tuple[tuple[int, ...], ...]:
    """Counts of examples: actual class by answered class; `sharp` are the decided predictions."""
    counts = classification.confusion(sharp, truth, even(len(truth)))[0].astype(int)
    return tuple(tuple(row) for row in counts.tolist())


def labels(sharp: Predictions, truth: Truth, target: Target) -> tuple[Label, ...]:
    """How each label fared, in the order of the outputs."""
    right, answers, actual = (
        counts[0].astype(int).tolist()
        for counts in multilabel.counts(sharp, truth, even(len(truth)))
    )
    return tuple(
        Label(
            name=name,
            examples=actual[place],
            answers=answers[place],
            right=right[place],
            recall=_share(right[place], actual[place]),
            precision=_share(right[place], answers[place]),
        )
        for place, name in enumerate(target.names)
    )


def residuals(
    predictions: Predictions, truth: Truth, target: Target
) -> dict[str, tuple[float, ...]]:
    """By target, quantiles of prediction minus truth; see `QUANTILES`."""
    errors = predictions.astype(np.float64) - truth.astype(np.float64)
    return {
        name: _rounded(np.quantile(errors[:, place], QUANTILES))
        for place, name in enumerate(target.names)
    }


def points(predictions: Predictions, truth: Truth, target: Target) -> dict[str, Points]:
    """By target, at most `DRAWN` evenly spaced examples."""
    number = min(len(truth), DRAWN)
    rows = np.linspace(0, len(truth) - 1, number).astype(np.int64)
    return {
        name: Points(
            actual=_rounded(truth[rows, place]), predicted=_rounded(predictions[rows, place])
        )
        for place, name in enumerate(target.names)
    }


def answers(given: Truth, truth: Truth, target: Target) -> tuple[list[str], list[str]]:
    """Actual and answered, as texts that a matrix can be made of, one an example.

    given, truth: in the form of the truth. Classes by their names, sets of labels as one text, and
    of the first quantity the tenth of the actual values, since single values hardly ever meet.
    """
    if target.task == "classification":
        return [target.names[at] for at in truth], [target.names[at] for at in given]
    if target.task == "multilabel":
        return _sets(truth, target), _sets(given, target)
    edges = np.unique(np.quantile(truth[:, 0].astype(np.float64), np.linspace(0.1, 0.9, 9)))
    return _tenths(truth[:, 0], edges), _tenths(given[:, 0], edges)


def _sets(held: Truth, target: Target) -> list[str]:
    names = target.names
    sets = [
        " + ".join(name for name, has in zip(names, row, strict=True) if has > 0.5) for row in held
    ]
    return [text or "none" for text in sets]


def _tenths(values: Truth, edges: npt.NDArray[np.float64]) -> list[str]:
    """The interval of each value, numbered so that texts sort as values do."""
    ends = [significant(edge) for edge in edges.tolist()]
    names = [
        f"01: below {ends[0]}",
        *(f"{at:02d}: from {low}" for at, low in enumerate(ends, start=2)),
    ]
    places = np.searchsorted(edges, values.astype(np.float64), side="right")
    return [names[place] for place in places]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _rounded(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values.tolist())
