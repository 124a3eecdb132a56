"""What ails a candidate, told from its learning curves: rules on figures, with their evidence.

The rules are asked in this order, and the first that applies is the verdict:

1. unstable: the training loss ends far above where it was, or the validation loss jumps;
2. underfit: it was still getting better when its epochs ended, or training itself goes worse than
   another candidate does on validation, or hardly better than a constant answer;
3. too little data: training goes better than validation by more than the limit, and the learning
   curve over shares of the rows foretells that more of them would help;
4. overfit: the same, and nothing is foretold;
5. good fit.

Free of Keras.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dataset.target import Task
from metrics.readings import significant
from models.judging.power_law import Forecast, Gain

Verdict = Literal["unstable", "underfit", "too little data", "overfit", "good fit"]
Line = Mapping[str, Any]
"""An epoch: epoch, loss, accuracy, val_loss, val_accuracy; None where not known."""
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")

RISEN = 0.5
"""Share of its fall by which a training loss has to rise again, to have diverged."""
FEW_EPOCHS = 6
"""Fewer say nothing of jumps."""
JUMP = 0.01
"""Jumps smaller than this share of what the loss fell in all are those of a loss near zero."""
LITTLE = 0.1
"""Share of a constant answer's errors that a network has to do away with, on the examples that it
was trained on."""
FALLING = 0.01
"""Share of its whole fall that a loss has to fall in the last tenth of the epochs, to be still
getting better."""


@dataclass(frozen=True)
class Limits:
    """From params.yaml, section `report`."""

    gap: float
    noise: float
    gain: float


@dataclass(frozen=True)
class Patient:
    """A candidate, as the rules look at it."""

    name: str
    task: Task
    curves: Sequence[Line]
    """Means over its seeds."""
    fits: Sequence[Sequence[Line]]
    """Of each seed the epochs of its last phase."""
    settings: Mapping[str, Any]
    imitates: bool
    """Whether its training loss is about another network."""
    rival: float | None
    """The best that another candidate reaches on validation: accuracy, or of quantities the loss;
    None without others."""
    constant: float | None
    """What a constant answer reaches; None where that is not known."""

    @property
    def classes(self) -> bool:
        """Whether there is an accuracy; quantities have none."""
        return self.task != "regression"

    @property
    def kept_lines(self) -> list[Line]:
        """Of each seed the epoch whose weights are kept: the best one where fits stop early, else
        the last."""
        early = self.settings.get("patience")
        found = [best(fit) if early else fit[-1] for fit in self.fits if fit]
        return [line for line in found if line is not None]

    @property
    def kept(self) -> Line | None:
        """The mean of these over the seeds; a figure that one of them has not is None."""
        lines = self.kept_lines
        if not lines:
            return None
        return {name: _mean([line[name] for line in lines]) for name in lines[0] if name in FIGURES}


@dataclass(frozen=True)
class Diagnosis:
    """What ails a candidate, what shows it, and what to try."""

    verdict: Verdict
    evidence: str
    next: tuple[str, ...]


def _mean(values: Sequence[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def best(lines: Sequence[Line]) -> Line | None:
    """The epoch with the lowest validation loss; None without epochs."""
    known = [line for line in lines if line["val_loss"] is not None]
    return min(known, key=lambda line: float(line["val_loss"])) if known else None


def reached(patient: Patient) -> float | None:
    """What it reaches on validation: its accuracy, or of quantities its loss."""
    kept = patient.kept
    if kept is None:
        return None
    found = kept["val_accuracy" if patient.classes else "val_loss"]
    return None if found is None else float(found)


def diagnose(patient: Patient, forecast: Forecast, limits: Limits) -> Diagnosis | None:
    """The verdict on one candidate; None without curves."""
    kept = patient.kept
    if kept is None:
        return None
    unstable = _unstable(patient, limits)
    if unstable:
        return Diagnosis("unstable", unstable, _calmer(patient))
    underfit = _underfit(patient, kept, limits)
    if underfit:
        return Diagnosis("underfit", underfit, _more(patient))
    gap = _gap(patient, kept)
    more = _data(patient, forecast)
    if gap is not None and gap >= limits.gap:
        evidence = f"{_compared(patient, kept)}: {_gap_words(patient, gap, limits)}"
        if _helps(forecast, limits):
            return Diagnosis(
                "too little data",
                f"{evidence}, and {_told(patient, forecast)}.",
                ("Collect more data.", *_less(patient)),
            )
        return Diagnosis("overfit", f"{evidence}.", (*_less(patient), more))
    found = _compared(patient, kept) or f"Validation loss {_loss(kept['val_loss'])}"
    close = f": a gap of {_amount(patient, gap)}, within the limit" if gap is not None else ""
    return Diagnosis("good fit", f"{found}{close}; the curve came to rest.", (more,))


def noise(losses: Sequence[float]) -> float:
    """How far a loss jumps from epoch to epoch in the second half of a fit, as a share of its level
    there: the mean distance from the middle of its neighbours, which a smooth curve, however it
    rises or falls, stays close to. 0 where there are too few epochs."""
    if len(losses) < FEW_EPOCHS:
        return 0.0
    values = np.array(losses, dtype=np.float64)
    half = values[len(values) // 2 :]
    distance = float(np.abs(half[1:-1] - (half[:-2] + half[2:]) / 2).mean())
    if distance <= JUMP * (values[0] - values.min()):
        return 0.0
    level = float(half.mean())
    return distance / level if level > 0 else 0.0


def _unstable(patient: Patient, limits: Limits) -> str:
    for fit in patient.fits:
        losses = [float(line["loss"]) for line in fit]
        lowest = min(losses)
        fall = losses[0] - lowest
        if losses[-1] - lowest > RISEN * fall and losses[-1] > losses[0] * (
            1 + RISEN * (fall == 0)
        ):
            return (
                f"The training loss rose to {_loss(losses[-1])} from {_loss(lowest)} in epoch "
                f"{int(fit[losses.index(lowest)]['epoch'])}: the fit diverges."
            )
    heard = [noise([float(line["val_loss"]) for line in fit]) for fit in patient.fits]
    loudest = float(np.median(heard)) if heard else 0.0
    if loudest < limits.noise:
        return ""
    return (
        f"In the second half of the epochs the validation loss jumps by {100 * loudest:.0f} % of "
        f"itself from one to the next, where {100 * limits.noise:g} % is the limit."
    )


def _underfit(patient: Patient, kept: Line, limits: Limits) -> str:
    falling = _falling(patient)
    if falling:
        return falling
    train = _training(patient, kept)
    if train is None:
        return ""
    sign = 1 if patient.classes else -1
    figure = _figure(patient, train)
    if patient.constant is not None:
        own, constant = _error(patient, train), _error(patient, patient.constant)
        if own > (1 - LITTLE) * constant:
            compared = "hardly better" if own < constant else "no better"
            return (
                f"On its own training examples its {_title(patient)} is {figure}, {compared} than "
                f"the {_figure(patient, patient.constant)} of a constant answer."
            )
    if patient.rival is not None and sign * (patient.rival - train) >= limits.gap:
        return (
            f"On its own training examples its {_title(patient)} is {figure}, while another "
            f"candidate has {_figure(patient, patient.rival)} on validation: it could be better."
        )
    return ""


def _falling(patient: Patient) -> str:
    """Whether most seeds were best in their last epoch, and their loss still fell noticeably."""
    still = []
    for fit in patient.fits:
        losses = [float(line["val_loss"]) for line in fit]
        tenth = max(1, len(losses) // 10)
        whole = losses[0] - losses[-1]
        if len(losses) > 1 and losses[-1] == min(losses) and whole > 0:
            still.append((losses[-1 - tenth] - losses[-1]) / whole >= FALLING)
    if 2 * sum(still) <= len(patient.fits):
        return ""
    last = max(fit[-1]["epoch"] for fit in patient.fits)
    return (
        f"The validation loss of {sum(still)} of {len(patient.fits)} seeds was lowest in the last "
        f"epoch, {last:g}, and still falling: it was getting better when its epochs ended."
    )


def _error(patient: Patient, value: float) -> float:
    return 1 - value if patient.classes else value


def _training(patient: Patient, kept: Line) -> float | None:
    """What it reaches on training examples; None where that says nothing."""
    if not patient.classes and patient.imitates:
        return None
    found = kept["accuracy" if patient.classes else "loss"]
    return None if found is None else float(found)


def _gap(patient: Patient, kept: Line) -> float | None:
    train, validation = _training(patient, kept), reached(patient)
    if train is None or validation is None:
        return None
    return train - validation if patient.classes else validation - train


def _compared(patient: Patient, kept: Line) -> str:
    train, validation = _training(patient, kept), reached(patient)
    if train is None or validation is None:
        return ""
    epochs = sorted({int(line["epoch"]) for line in patient.kept_lines})
    which = (
        f"In epoch {epochs[0]}, whose weights are kept,"
        if len(epochs) == 1
        else f"In the epochs whose weights are kept, {epochs[0]} to {epochs[-1]} by seed,"
    )
    return (
        f"{which} its {_title(patient)} is {_figure(patient, train)} on training and "
        f"{_figure(patient, validation)} on validation examples"
    )


def _gap_words(patient: Patient, gap: float, limits: Limits) -> str:
    return f"a gap of {_amount(patient, gap)}, where {100 * limits.gap:g} is the limit"


def _title(patient: Patient) -> str:
    titles = {
        "classification": "accuracy",
        "multilabel": "share of right labels",
        "regression": "squared error of the standardised target",
    }
    return titles[patient.task]


def _figure(patient: Patient, value: float) -> str:
    return f"{100 * value:.1f} %" if patient.classes else significant(value, 3)


def _amount(patient: Patient, value: float) -> str:
    unit = "percentage points" if patient.classes else "% of the target's variance"
    return f"{100 * value:.1f} {unit}"


def _loss(value: Any) -> str:
    return significant(float(value), 3)


def _helps(forecast: Forecast, limits: Limits) -> bool:
    """Whether the nearest forecast is a gain of at least the limit, as a share of the error."""
    if forecast.curve is None or not forecast.gains:
        return False
    return forecast.gains[0].value >= limits.gain * forecast.curve.error(forecast.curve.most)


def _told(patient: Patient, forecast: Forecast) -> str:
    return f"more data are foretold to help: {foretold(patient.task, forecast.gains)}"


def foretold(task: Task, gains: Sequence[Gain]) -> str:
    """The gains in words, with their intervals."""
    unit = (
        "% of the target's variance less squared error"
        if task == "regression"
        else "percentage points fewer errors"
    )
    told = [
        f"{gain.times:g} times as many rows {100 * gain.value:.2f} "
        f"({100 * gain.low:.2f} to {100 * gain.high:.2f})"
        for gain in gains
    ]
    return f"{', '.join(told)} {unit}"


def _data(patient: Patient, forecast: Forecast) -> str:
    """What more data would do, or that it cannot be told."""
    if forecast.untold:
        return f"What more data would gain cannot be told: {forecast.untold}."
    return (
        "Collect more data: the curve over shares of the rows, of the baseline's recipe, foretells "
        f"of {foretold(patient.task, forecast.gains)}."
    )


def _calmer(patient: Patient) -> tuple[str, ...]:
    settings, steps = patient.settings, []
    if "learning_rate" in settings:
        steps.append(f"A lower learning_rate than {settings['learning_rate']:g}.")
    if settings.get("clip", "") == "none":
        steps.append("Bounded gradients (clip: global_norm).")
    if settings.get("warmup", 1) == 0 and settings.get("schedule") != "plateau":
        steps.append("A rate that rises first and then falls (warmup, schedule: cosine).")
    if "batch_size" in settings:
        steps.append(f"Larger batches than {settings['batch_size']}.")
    return tuple(steps)


def _more(patient: Patient) -> tuple[str, ...]:
    settings, steps = patient.settings, []
    if "epochs" in settings:
        steps.append(f"More epochs than {settings['epochs']}, or a higher learning_rate.")
    if "width" in settings:
        steps.append(
            f"A larger network than width {settings['width']} and depth {settings.get('depth')}."
        )
    held = [name for name in _BRAKES if settings.get(name)]
    if held:
        steps.append(f"Less of what holds it back: {', '.join(held)}.")
    return tuple(steps)


def _less(patient: Patient) -> tuple[str, ...]:
    settings, steps = patient.settings, []
    if "patience" in settings and settings["patience"] is None:
        steps.append("Fits that stop early (patience).")
    brakes = _BRAKES if patient.classes else _BRAKES_OF_QUANTITIES
    unused = [name for name in brakes if name in settings and not settings[name]]
    if unused:
        steps.append(f"What is not used yet: {', '.join(unused)}, in regularize.techniques.")
    if "width" in settings:
        steps.append(f"A smaller network than width {settings['width']}.")
    return tuple(steps)


_BRAKES = ("dropout", "l2", "label_smoothing", "mixup")
"""Settings that every kind of data has and that keep a network from learning by heart."""
_BRAKES_OF_QUANTITIES = tuple(name for name in _BRAKES if name != "label_smoothing")
