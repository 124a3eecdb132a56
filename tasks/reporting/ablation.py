"""The report's section about the ablation: what each technique was worth, both ways."""

from collections.abc import Mapping, Sequence
from typing import Any

from metrics.readings import Reading
from models.judging.ablation import KEPT
from pipeline import axes
from pipeline.axes import Axis, near
from tasks.reporting import plots
from tasks.reporting.text import minus, percent

WAYS = {"added": "accent", "removed": "plain"}
"""How each way is drawn: added alone, and removed from all."""


def section(rows: Sequence[Mapping[str, Any]], reading: Reading) -> dict[str, Any] | None:
    """What the template draws of ablation.csv; None where there was no ablation.

    A row is a technique, its two intervals drawn below each other.
    """
    if not rows:
        return None
    names = list(dict.fromkeys(row["technique"] for row in rows))
    scale = _scale(rows, reading)
    level = next(row["level"] for row in rows)
    return {
        "points": reading.points.strip(),
        "better": "above" if reading.sign > 0 else "below",
        "each": percent(level, digits=2),
        "comparisons": sum(row["difference"] is not None for row in rows),
        "scale": plots.scale_labels(scale),
        "rows": [
            _row(name, [row for row in rows if row["technique"] == name], reading, scale)
            for name in names
        ],
    }


def _row(
    name: str, rows: Sequence[Mapping[str, Any]], reading: Reading, scale: Axis
) -> dict[str, Any]:
    known = [row for row in rows if row["difference"] is not None and row["low"] is not None]
    told = {row["way"]: _figure(row, reading) for row in known}
    words = "; ".join(f"{way} {text}" for way, text in told.items())
    drawn = [(row["difference"], row["low"], row["high"], WAYS[row["way"]]) for row in known]
    return {
        "name": name.replace("_", " "),
        "cells": [told.get(way, "") for way in WAYS],
        "plot": plots.whiskers(drawn, scale, f"{name}: {words}") if drawn else "",
        "decision": rows[0]["decision"],
        "kept": rows[0]["decision"] in KEPT,
        "reason": rows[0]["reason"],
        "epochs": sum(int(row["epochs"]) for row in rows),
    }


def _figure(row: Mapping[str, Any], reading: Reading) -> str:
    value, low, high = (reading.difference(row[end]) for end in ("difference", "low", "high"))
    return minus(f"{value} ({low} to {high})")


def _scale(rows: Sequence[Mapping[str, Any]], reading: Reading) -> Axis:
    """Over zero and all intervals but those that would squeeze the others."""
    ends = [(row["low"], row["high"]) for row in rows if row["low"] is not None]
    held = [(0.0, 0.0), *(near(ends, 0.0, ends) if ends else [])]
    low, high = min(one for one, _ in held), max(one for _, one in held)
    if not reading.share:
        return axes.plain_axis(low, high)
    return axes.axis(low, high, lambda value: minus(f"{100 * value + 0.0:+.1f}"))
