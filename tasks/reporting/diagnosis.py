"""The report's section about what ails the candidates, and what more data would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataset.target import Task
from models.candidate import Record
from models.judging import diagnosis, power_law
from models.judging.diagnosis import Diagnosis, Limits, Patient
from models.judging.power_law import Forecast
from pipeline import axes
from pipeline.axes import share_axis
from tasks.reporting import plots
from tasks.reporting.text import count

TIMES = (2.0, 5.0)
"""How many times the data more of it is foretold for."""
CHECKS = ("drift", "target_drift", "unseen", "two_samples")
"""What findings on how the parts differ are called before the colon."""
STEPS = 24
"""Pieces of the curve that is drawn."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Seen:
    """What the section is drawn from."""

    task: Task
    records: Mapping[str, Record]
    curves: Mapping[str, Rows]
    """By candidate the means over seeds."""
    fits: Mapping[str, Rows]
    """By candidate the rows of fits.csv."""
    learning: Rows
    """The rows of learning.csv."""
    findings: Rows
    """What `split` found."""
    train: Mapping[str, int]
    """Training examples by class or label."""
    balanced: bool
    """Whether classes were made to count alike (`split.balance`)."""
    validation: int
    """How many validation examples there are."""
    level: float
    limits: Limits


def forecast(seen: Seen) -> Forecast:
    """What more data would gain."""
    if not seen.learning:
        return Forecast(None, (), "no shares of the rows were tried (baseline.shares)")
    errors: dict[int, list[float]] = {}
    for row in seen.learning:
        errors.setdefault(int(row["examples"]), []).append(float(row["error"]))
    examples = 0 if seen.task == "regression" else seen.validation
    return power_law.forecast(errors, TIMES, seen.level, examples)


def diagnoses(seen: Seen, told: Forecast) -> dict[str, Diagnosis]:
    """By candidate, of those that were trained."""
    patients = {name: _patient(name, seen) for name in seen.records if seen.curves[name]}
    reached = {name: diagnosis.reached(patient) for name, patient in patients.items()}
    found = {}
    for name, patient in patients.items():
        others = [value for other, value in reached.items() if other != name and value is not None]
        best = max if patient.classes else min
        rival = best(others) if others else None
        one = diagnosis.diagnose(replace(patient, rival=rival), told, seen.limits)
        if one is not None:
            found[name] = one
    return found


def section(seen: Seen, told: Forecast, found: Mapping[str, Diagnosis]) -> dict[str, Any]:
    """What the template draws."""
    return {
        "candidates": [
            {"name": name, "verdict": one.verdict, "evidence": one.evidence, "next": one.next}
            for name, one in found.items()
        ],
        "alike": alike(seen.findings),
        "learning": _learning(seen, told),
    }


def alike(findings: Rows) -> str:
    """Whether validation stands for the data, as the checks of `split` say."""
    names = [
        str(one["name"])
        for one in findings
        if str(one["name"]).split(":")[0] in CHECKS
        and "validation" in f"{one['name']} {one['evidence']}"
    ]
    if not names:
        return (
            "Validation stands for the training data as far as was looked: no column and no "
            "target is spread otherwise, and a small model that tried could not tell its rows "
            "from training rows."
        )
    return (
        f"Validation may not stand for the training data: {', '.join(names)} (see the data, looked "
        "at). A gap between the two can come from that as well."
    )


def _patient(name: str, seen: Seen) -> Patient:
    record = seen.records[name]
    return Patient(
        name=name,
        task=seen.task,
        curves=seen.curves[name],
        fits=[_last(seen.fits[name], seed) for seed in record.seeds],
        settings=record.settings,
        imitates=name == "distill",
        rival=None,
        constant=_constant(seen),
    )


def _last(fits: Rows, seed: int) -> Rows:
    """The last phase of a seed: what led to a candidate stands before it."""
    own = [row for row in fits if int(row["seed"]) == seed]
    last = max(int(row["fit"]) for row in own)
    return [row for row in own if int(row["fit"]) == last]


def _constant(seen: Seen) -> float | None:
    """What a constant answer reaches on training examples; None where it says nothing."""
    if seen.task == "regression":
        return 1.0
    # The commonest class is no measure for a network that was told to mind the others as much.
    if seen.task == "multilabel" or not seen.train or seen.balanced:
        return None
    return max(seen.train.values()) / sum(seen.train.values())


def _learning(seen: Seen, told: Forecast) -> dict[str, Any] | None:
    """The learning curve over shares of the rows; None where none were wished."""
    if not seen.learning:
        return None
    seeds = [(float(row["examples"]), float(row["error"])) for row in seen.learning]
    sizes = sorted({size for size, _ in seeds})
    means = [(size, float(np.mean([error for at, error in seeds if at == size]))) for size in sizes]
    curve, foretold = _curve(told, sizes)
    heights = [error for _, error in (*seeds, *curve)]
    classes = seen.task != "regression"
    y = share_axis(0.0, max(heights)) if classes else axes.plain_axis(0.0, max(heights))
    # A panel has room for few numbers of examples.
    x = axes.logarithmic_axis(sizes[0], max([sizes[-1], *(at for at, *_ in foretold)]))
    words = diagnosis.foretold(seen.task, told.gains) if told.gains else ""
    what = "errors" if classes else "squared error of the standardised target"
    label = f"{what} on validation of {len(seeds)} fits by number of training examples"
    return {
        "panel": plots.learning_panel(seeds, means, curve, foretold, x, y, label),
        "sizes": [count(size) for size in sizes],
        "what": what,
        "words": words,
        "untold": told.untold,
    }


def _curve(
    told: Forecast, sizes: Sequence[float]
) -> tuple[list[plots.Point], list[tuple[float, float, float, float]]]:
    """Points of the curve, and what it foretells: (examples, error, low, high)."""
    curve = told.curve
    if curve is None:
        return [], []
    now = curve.error(curve.most)
    foretold = [
        (gain.times * curve.most, now - gain.value, now - gain.high, now - gain.low)
        for gain in told.gains
    ]
    end = foretold[-1][0] if foretold else sizes[-1]
    places = np.geomspace(sizes[0], end, STEPS).tolist()
    return [(place, curve.error(place)) for place in places], foretold
