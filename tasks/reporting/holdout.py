"""The report's section about the holdout: figures of every task, and what is looked at in each."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from markupsafe import Markup

from metrics.objective import METRICS
from metrics.readings import Reading
from metrics.threshold import HALF
from models.judging.evaluation import Details, Label
from pipeline import axes
from pipeline.axes import Axis, share_axis
from tasks.reporting import plots
from tasks.reporting.text import axis, bare, figure, heading, percent, tidy

MOST_CELLS, MOST_ROWS, MOST_ABSENT, MOST_TARGETS = 20, 40, 20, 12
"""Classes of a confusion matrix, rows of recalls, names without examples and targets with drawings
that are shown at the most."""
AT_HALF = (
    "The ledger compares the candidates at 0.5; the holdout's figures are with the thresholds."
)
CONSIDERABLE = (0.01, 0.99)
"""Quantiles of the predictions that a drawing's axis reaches to."""

Interval = Mapping[str, float]
Figures = Mapping[str, Interval]
RECALL = Reading(title="recall", sign=1, share=True, unit="")


def figures(chosen: Figures, baseline: Figures, details: Details) -> list[dict[str, Any]]:
    """The figures of the chosen model and the baseline, the objective first; shares of which more
    is better have one scale together, so that they can be compared."""
    order = [details.objective, *(name for name in METRICS if name != details.objective)]
    names = [name for name in order if name in chosen and name in baseline]
    readings = {name: details.figures[name] for name in names}
    shares = [name for name in names if readings[name].share and readings[name].sign > 0]
    rows = []
    for name in names:
        reading = readings[name]
        together = shares if name in shares else [name]
        scale = _scale(reading, [model[one] for one in together for model in (chosen, baseline)])
        rows.append(
            {
                "title": heading(reading),
                "objective": name == details.objective,
                "lower": reading.sign < 0,
                # Neighbours on one scale need its ends once.
                "first": name not in shares[1:],
                "scale": plots.scale_labels(scale),
                **_compared(reading.title, chosen[name], baseline[name], scale, reading),
            }
        )
    return rows


def recalls(metrics: Mapping[str, Any], details: Details) -> dict[str, Any] | None:
    """How much of each class or label is found; of very many those found least often. None for
    quantities."""
    if "recall" not in metrics:
        return None
    chosen, baseline = metrics["recall"]["chosen"], metrics["recall"]["baseline"]
    names = [name for name in details.names if name in chosen and name in baseline]
    shown = names
    if len(names) > MOST_ROWS:
        shown = sorted(names, key=lambda name: chosen[name]["value"])[:MOST_ROWS]
    held = [model[name] for name in shown for model in (chosen, baseline)]
    scale = share_axis(
        min((one["low"] for one in held), default=0.0),
        max((one["high"] for one in held), default=1.0),
    )
    examples, particulars = _examples(details), _particulars(details)
    return {
        "rows": [
            {
                "name": name,
                "examples": examples[name],
                **_compared(name, chosen[name], baseline[name], scale, RECALL),
                **particulars.get(name, {}),
            }
            for name in shown
        ],
        "scale": plots.scale_labels(scale),
        "hidden": len(names) - len(shown),
        "absent": [name for name in details.names if name not in chosen],
        "most_absent": MOST_ABSENT,
    }


def threshold(details: Details) -> list[str]:
    """What became of the threshold, in sentences; none where none decides."""
    tuned = details.thresholds.get("chosen")
    if tuned is None:
        return []
    reading = details.figures[details.objective]
    half, best = (tidy(reading.text(value)) for value in (tuned.half, tuned.tuned))
    moved = any(value != HALF for value in tuned.thresholds)
    title = reading.title
    if details.task == "multilabel":
        if not moved:
            return [
                "A label is the answer where its probability is above 0.5.",
                f"On validation, the {title} is {half} with that.",
            ]
        return [
            "A label is the answer where its probability is above a threshold of its own, which "
            "was chosen on validation.",
            f"There the {title} is {half} with 0.5 for every label, and {best} with these.",
            AT_HALF,
        ]
    if not moved:
        return [
            f"“{details.positive}” is the answer where its probability is above 0.5: no other "
            "threshold was asked for, or none did better on validation.",
            f"There the {title} is {half}.",
        ]
    return [
        f"“{details.positive}” is the answer where its probability is above "
        f"{tuned.thresholds[0]:.4g}. This threshold was chosen on validation.",
        f"There the {title} is {half} at 0.5, and {best} at {tuned.thresholds[0]:.4g}.",
        AT_HALF,
    ]


def confusion(details: Details) -> list[dict[str, Any]] | None:
    """The matrix's rows, each cell with its share of the row; None for too many classes."""
    if len(details.names) > MOST_CELLS:
        return None
    return [
        {
            "name": name,
            "cells": [
                {
                    "count": count,
                    "right": at == place,
                    # Roots, so that a few errors among many examples are seen.
                    "tint": round(60 * (count / sum(row)) ** 0.5) if count else 0,
                }
                for at, count in enumerate(row)
            ],
        }
        for place, (name, row) in enumerate(zip(details.names, details.confusion, strict=True))
    ]


def mistakes(details: Details) -> list[dict[str, Any]]:
    """The five commonest mistakes."""
    every = [
        {"actual": actual, "predicted": predicted, "count": count, "of": sum(row)}
        for actual, row in zip(details.names, details.confusion, strict=True)
        for predicted, count in zip(details.names, row, strict=True)
        if count and actual != predicted
    ]
    return sorted(every, key=lambda one: -int(str(one["count"])))[:5]


def calibration(details: Details) -> Markup:
    """Accuracy by confidence, of both models."""
    bins = {
        name: [{**one, **_wilson(one["accuracy"], one["examples"], details.level)} for one in held]
        for name, held in details.calibration.items()
    }
    lowest = min(
        value for held in bins.values() for one in held for value in (one["confidence"], one["low"])
    )
    scale = share_axis(lowest, 1.0)
    most = max(bins["chosen"], key=lambda one: one["examples"])
    right = figure(RECALL, most["accuracy"], most["low"], most["high"])
    label = (
        f"Accuracy by confidence; the bin with most examples, {most['examples']:g}, has a mean "
        f"confidence of {percent(most['confidence'])} and is right for {right}"
    )
    return plots.calibration_panel(bins, scale, scale, label)


def quantities(details: Details) -> list[dict[str, Any]]:
    """For each target predicted against actual values, and how far predictions lie off."""
    return [
        {
            "name": name,
            "drawn": len(details.points[name].actual),
            "panel": _scatter(name, details),
            **_residuals({model: held[name] for model, held in details.residuals.items()}, name),
        }
        for name in details.names[:MOST_TARGETS]
    ]


def _scatter(name: str, details: Details) -> Markup:
    points = details.points[name]
    # A few wild predictions would squeeze all others.
    likely = np.quantile(points.predicted, CONSIDERABLE).tolist()
    every = [*points.actual, *likely]
    scale = axes.plain_axis(min(every), max(every))
    label = f"{name}: predicted against actual values of {len(points.actual):,} examples"
    pairs = list(zip(points.actual, points.predicted, strict=True))
    return plots.scatter_panel(pairs, scale, scale, "actual", label)


def _residuals(held: Mapping[str, Sequence[float]], name: str) -> dict[str, Any]:
    """Quantiles of prediction minus truth as texts, and their middle nine tenths as a drawing."""
    reading = Reading(title=name, sign=-1, share=False, unit="")
    ends = [value for one in held.values() for value in one]
    scale = axes.plain_axis(min(*ends, 0.0), max(*ends, 0.0))
    rows = []
    for model, kind in (("chosen", "accent"), ("baseline", "plain")):
        low, _, middle, _, high = held[model]
        texts = [bare(reading, value) for value in held[model]]
        label = f"{name}, {model}: median {texts[2]}, 5 to 95 % {texts[0]} to {texts[4]}"
        plot = plots.whiskers([(middle, low, high, kind)], scale, label)
        rows.append({"model": model, "cells": texts, "plot": plot})
    return {"rows": rows, "scale": plots.scale_labels(scale)}


def _examples(details: Details) -> dict[str, int]:
    """Holdout examples of each class or label."""
    if details.task == "multilabel":
        return {label.name: label.examples for label in details.labels["chosen"]}
    return dict(zip(details.names, map(sum, details.confusion), strict=True))


def _particulars(details: Details) -> dict[str, dict[str, str]]:
    """Of labels what is known beside their recall: precisions and thresholds."""
    if details.task != "multilabel":
        return {}
    tuned = details.thresholds["chosen"].thresholds if "chosen" in details.thresholds else ()
    thresholds = [f"{value:.3g}" for value in tuned] or [""] * len(details.names)
    return {
        chosen.name: {
            "precision": _precision(chosen),
            "precision_baseline": _precision(baseline),
            "threshold": said,
        }
        for chosen, baseline, said in zip(
            details.labels["chosen"], details.labels["baseline"], thresholds, strict=True
        )
    }


def _precision(label: Label) -> str:
    if label.precision is None:
        return "never said"
    return f"{percent(label.precision)} of {label.answers:,}"


def _scale(reading: Reading, held: Sequence[Interval]) -> Axis:
    """Of what had better be low, from 0; else over what there is."""
    low, high = min(one["low"] for one in held), max(one["high"] for one in held)
    return axis(reading, min(0.0, low) if reading.sign < 0 else low, high)


def _compared(
    title: str, chosen: Interval, baseline: Interval, scale: Axis, reading: Reading
) -> dict[str, Any]:
    """One figure of both models, as text and as a drawing."""
    texts = {
        name: figure(reading, one["value"], one["low"], one["high"])
        for name, one in (("chosen", chosen), ("baseline", baseline))
    }
    intervals = [
        (one["value"], one["low"], one["high"], kind)
        for kind, one in (("accent", chosen), ("plain", baseline))
    ]
    label = f"{title}: chosen {texts['chosen']}; baseline {texts['baseline']}"
    return {**texts, "plot": plots.whiskers(intervals, scale, label)}


def _wilson(share: float, examples: float, level: float) -> dict[str, float]:
    """The interval of a share among few examples (Wilson, 1927): {"low", "high"}."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    weight = z * z / examples
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / examples + weight / examples / 4)
    return {"low": max(0.0, middle - reach), "high": min(1.0, middle + reach)}
