"""Metrics by name, and the one that everything is chosen by: params.yaml's section `objective`."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dataset.target import Target, Task
from metrics import classification, multilabel, regression
from metrics.classification import Figure, Predictions, Truth
from metrics.intervals import effective
from metrics.readings import Reading
from metrics.weighted import even
from pipeline.errors import InputError
from pipeline.params import Section

Importance = npt.NDArray[np.floating] | None
"""`(n,)`, how much each example counts; None: all alike."""
Name = Literal[
    "accuracy",
    "balanced_accuracy",
    "recall",
    "precision",
    "macro_f1",
    "recall_at_precision",
    "auc",
    "log_loss",
    "rmse",
    "mae",
    "r2",
    "pinball",
]
"""What an objective may be."""
SHOWN = 8
"""Classes that an error message lists at most."""


@dataclass(frozen=True)
class Metric:
    """What is known of a metric before any data are."""

    name: str
    title: str
    """For people, as it stands in a sentence."""
    direction: Literal["higher", "lower"]
    """Which is better."""
    share: bool
    """From 0 to 1, and shown in per cent."""
    unit: Literal["", "nats", "target"]
    """"target": the target's own."""
    tasks: tuple[Task, ...]
    """Those that it is for."""
    decided: bool
    """Whether it looks at decisions, which depend on a threshold, rather than at probabilities."""
    trials: Literal["", "examples", "positives"]
    """Where it is "right / all": what all are. Otherwise ""."""


_CHOICE: tuple[Task, ...] = ("classification", "multilabel")
_QUANTITY: tuple[Task, ...] = ("regression",)


def _share(
    name: str,
    title: str,
    tasks: tuple[Task, ...],
    *,
    decided: bool = True,
    trials: Literal["", "examples", "positives"] = "",
) -> Metric:
    return Metric(name, title, "higher", True, "", tasks, decided, trials)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _share("accuracy", "accuracy", _CHOICE, trials="examples"),
        _share("balanced_accuracy", "balanced accuracy", ("classification",)),
        _share("exact_match", "share with every label right", ("multilabel",), trials="examples"),
        _share("macro_f1", "macro F1", _CHOICE),
        _share("recall", "recall", _CHOICE, trials="positives"),
        _share("precision", "precision", _CHOICE),
        _share("recall_at_precision", "recall", ("classification",), decided=False),
        _share("auc", "area under the ROC curve", _CHOICE, decided=False),
        Metric("log_loss", "log loss", "lower", False, "nats", _CHOICE, False, ""),
        Metric("ece", "calibration error", "lower", True, "", ("classification",), False, ""),
        Metric("rmse", "root mean squared error", "lower", False, "target", _QUANTITY, False, ""),
        Metric("mae", "mean absolute error", "lower", False, "target", _QUANTITY, False, ""),
        Metric("r2", "R²", "higher", False, "", _QUANTITY, False, ""),
        Metric("pinball", "pinball loss", "lower", False, "target", _QUANTITY, False, ""),
    )
}
"""By name, in the order in which they are shown."""


class Objective(Section):
    """What candidates are chosen by; the section `objective`, which several stages share."""

    metric: Name
    positive: str | None
    """The class that recall, precision and recall_at_precision, and a threshold between two
    classes, are about; null: the last of the sorted classes. For classification alone."""
    precision: float = Field(gt=0, le=1)
    """For recall_at_precision: the least precision, from 0 to 1."""
    quantile: float = Field(gt=0, lt=1)
    """For pinball: the quantile that is predicted."""

    def metric_for(self, target: Target) -> "Measure":
        """The metric as it is measured on this target.

        Raises InputError where the metric does not fit the task, or there is no such class.
        """
        self.require_task(target.task)
        # Whatever the metric: a threshold is about this class too.
        self.place(target)
        return _with(self, METRICS[self.metric], target)

    def require_task(self, task: Task) -> None:
        """Raise InputError where the metric does not fit the task."""
        if task not in METRICS[self.metric].tasks:
            fitting = [name for name in get_args(Name) if task in METRICS[name].tasks]
            raise InputError(
                f"params.yaml: objective.metric: {self.metric} is not for {task}.\n"
                f"Choose one of {', '.join(fitting)}."
            )

    def place(self, target: Target) -> int | None:
        """The positive class's place among the classes; None where the task has no classes.

        Raises InputError where there is no such class.
        """
        if target.task != "classification":
            if self.positive is None:
                return None
            raise InputError(
                f"params.yaml: objective.positive: {self.positive!r} was given, but {target.task} "
                "has no classes.\nSet it to null."
            )
        if self.positive is None:
            return len(target.names) - 1
        if self.positive in target.names:
            return target.names.index(self.positive)
        near = difflib.get_close_matches(self.positive, target.names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        more = ", …" if len(target.names) > SHOWN else ""
        raise InputError(
            f"params.yaml: objective.positive: no training example has the class "
            f"{self.positive!r}{hint}\n"
            f"The classes are {', '.join(map(repr, target.names[:SHOWN]))}{more}."
        )


@dataclass(frozen=True)
class Measure:
    """A metric as it is measured on a target, and how its value reads.

    Made where it is used: figures are closures, which no process can send to another.
    """

    metric: Metric
    reading: Reading
    figure: Figure
    """`(predictions, truth, weights) -> (r,)`; see `metrics.classification`."""
    positive: int | None
    """The place of the class that it is about, if it is about one."""

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.metric.name

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return self.reading.sign

    def value(self, predictions: Predictions, truth: Truth, importance: Importance) -> float:
        """The value on some examples; NaN where they cannot tell, such as a recall without an
        example of the class, or where predictions are not finite (a fit diverged).

        predictions: `(n, k)`; truth: as `Target.truth` gives it.
        """
        if not np.isfinite(predictions).all():
            return float("nan")
        weights = even(len(predictions)) if importance is None else importance[np.newaxis]
        return float(self.figure(predictions, truth, weights.astype(np.float64))[0])

    def score(self, predictions: Predictions, truth: Truth, importance: Importance) -> float:
        """As `value`, for those who choose by it: raises InputError where these examples cannot
        tell; NaN is left for predictions that are not finite."""
        value = self.value(predictions, truth, importance)
        if np.isnan(value) and np.isfinite(predictions).all():
            raise InputError(
                f"params.yaml: objective.metric: {self.name}: the {self.reading.title} cannot be "
                f"measured on these {len(predictions):,} examples, which are all alike in it.\n"
                "Give every part examples of every kind (see split), or choose another metric."
            )
        return value

    def trials(self, truth: Truth, importance: Importance) -> float | None:
        """How many examples the share is of, for `Bootstrap.share`; None where it is not
        "right / all"."""
        if self.metric.trials == "examples":
            return effective(len(truth), importance)
        if self.metric.trials == "positives" and self.positive is not None:
            held = truth == self.positive
            return effective(int(held.sum()), None if importance is None else importance[held])
        return None


def plain_figures(task: Task) -> Mapping[str, Figure]:
    """The figures of a task that need no parameter, by name."""
    return _PLAIN[task]


def all_figures(target: Target, objective: Objective, bins: int) -> dict[str, Measure]:
    """The figures that a task is reported by, by name, the objective among them.

    `bins` is the number of bins of the calibration error. Recall and precision are those of the
    positive class, and there where two classes or the objective make one class special.
    """
    figures = {
        name: _resolved(METRICS[name], target, figure)
        for name, figure in plain_figures(target.task).items()
    }
    if target.task == "classification":
        figures["ece"] = _resolved(METRICS["ece"], target, classification.calibration_error(bins))
        if objective.metric in _OF_A_CLASS or len(target.names) == 2:
            for name in ("recall", "precision"):
                figures[name] = _with(objective, METRICS[name], target)
    figures[objective.metric] = objective.metric_for(target)
    return {name: figures[name] for name in METRICS if name in figures}


def loss_for(target: Target) -> Measure:
    """What stands beside the objective in the ledger: the log loss; of quantities the root mean
    squared error, which unlike the mean squared one is in the target's unit."""
    name = "rmse" if target.task == "regression" else "log_loss"
    return _resolved(METRICS[name], target, plain_figures(target.task)[name])


_PLAIN: dict[Task, dict[str, Figure]] = {
    "classification": {
        "accuracy": classification.accuracy,
        "balanced_accuracy": classification.balanced_accuracy,
        "macro_f1": classification.macro_f1,
        "auc": classification.auc,
        "log_loss": classification.log_loss,
    },
    "multilabel": {
        "accuracy": multilabel.accuracy,
        "exact_match": multilabel.exact_match,
        "macro_f1": multilabel.macro_f1,
        "recall": multilabel.recall,
        "precision": multilabel.precision,
        "auc": multilabel.auc,
        "log_loss": multilabel.log_loss,
    },
    "regression": {
        "rmse": regression.rmse,
        "mae": regression.mae,
        "r2": regression.r2,
    },
}
_OF_A_CLASS: dict[str, Callable[[int, Objective], Figure]] = {
    "recall": lambda place, _: classification.recall_of(place),
    "precision": lambda place, _: classification.precision_of_class(place),
    "recall_at_precision": lambda place, objective: classification.recall_at_precision(
        place, objective.precision
    ),
}


def _with(objective: Objective, metric: Metric, target: Target) -> Measure:
    """The metric with what the objective says about it."""
    place = objective.place(target)
    if place is not None and metric.name in _OF_A_CLASS:
        about = f" of {target.names[place]!r}"
        if metric.name == "recall_at_precision":
            about += f" at a precision of {100 * objective.precision:g} % or more"
        figure = _OF_A_CLASS[metric.name](place, objective)
        return _resolved(metric, target, figure, about=about, positive=place)
    if metric.name == "pinball":
        about = f" of the {100 * objective.quantile:g} % quantile"
        figure = regression.pinball(objective.quantile)
        return _resolved(metric, target, figure, about=about)
    return _resolved(metric, target, _PLAIN[target.task][metric.name])


def _resolved(
    metric: Metric,
    target: Target,
    figure: Figure,
    *,
    about: str = "",
    positive: int | None = None,
) -> Measure:
    several = target.task == "regression" and len(target.names) > 1
    reading = Reading(
        title=metric.title
        + about
        + (f", mean over {len(target.names)} targets" if several else ""),
        sign=1 if metric.direction == "higher" else -1,
        share=metric.share,
        unit=_unit(metric, target),
    )
    return Measure(metric, reading, figure, positive)


def _unit(metric: Metric, target: Target) -> str:
    if metric.unit != "target":
        return metric.unit
    # Of several targets' units there is no one name.
    return target.names[0] if len(target.names) == 1 else "units"
