"""Ablation both ways: what each technique adds to the start, and what it is worth among all.

A technique that gains alone may be superfluous beside the others, and one that does nothing alone
may be what makes the others work. So each is added to the start by itself and removed from the full
set. Free of Keras.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from metrics import multiple
from metrics.classification import Truth
from metrics.intervals import Bootstrap, Interval, Sample
from metrics.objective import Importance, Measure
from models.training import Run

if TYPE_CHECKING:
    import pandas as pd

Way = Literal["added", "removed"]
Decision = Literal["earned", "cheaper", "neutral", "harmful"]
KEPT: tuple[Decision, ...] = ("earned", "cheaper")
"""The decisions by which a technique is kept."""
SAVING = 0.1
"""Share of the epochs that a technique has to save, both ways, to be called cheaper."""
Techniques = Mapping[str, Mapping[str, Any]]
"""By name the values that differ."""


@dataclass(frozen=True)
class Variant:
    """A set of techniques that is trained: the changes it makes to the start."""

    name: str
    """For people: "start", "with dropout", "without dropout", "all techniques"."""
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Design:
    """What an ablation compares: techniques by name, in order, and the settings of the start.

    Sets of changes that come to the same network, because one technique overrides another or the
    start has its value already, are one variant, which is trained once.
    """

    techniques: Techniques
    start: Mapping[str, Any]
    """Empty where it is not known yet."""

    def changes(self, names: Collection[str]) -> dict[str, Any]:
        """Those of the named techniques; where two name one setting, the later counts."""
        every: dict[str, Any] = {}
        for name, changes in self.techniques.items():
            if name in names:
                every |= changes
        return {
            name: value
            for name, value in every.items()
            if name not in self.start or self.start[name] != value
        }

    @property
    def all(self) -> dict[str, Any]:
        """The changes of all techniques."""
        return self.changes(self.techniques)

    def without(self, name: str) -> dict[str, Any]:
        """The changes of all techniques but one."""
        return self.changes([other for other in self.techniques if other != name])

    def variants(self) -> list[Variant]:
        """What there is to be trained: the start, each technique alone, all but each, and all."""
        every = [
            Variant("start", {}),
            *(Variant(f"with {_words(name)}", self.changes([name])) for name in self.techniques),
            *(Variant(f"without {_words(name)}", self.without(name)) for name in self.techniques),
            Variant("all techniques", self.all),
        ]
        return [
            one
            for at, one in enumerate(every)
            if one.changes not in [other.changes for other in every[:at]]
        ]


def _words(name: str) -> str:
    return name.replace("_", " ")


@dataclass(frozen=True)
class Outcome:
    """One row of ablation.csv: a technique, one of the two ways.

    The difference is what the objective is with the technique above what it is without, in the
    metric's own unit, whether the technique was added or removed; likewise for all that follows
    from it. None where a fit diverged, or where the technique changes nothing there.
    """

    technique: str
    way: Way
    difference: float | None
    low: float | None
    high: float | None
    level: float
    """Of this interval alone, so that all of them hold together at the level asked for."""
    decision: Decision
    """On the technique, both ways together."""
    reason: str
    fits: int
    """That were trained for this row, without those of the start and of all techniques."""
    epochs: int


def table(outcomes: Sequence[Outcome]) -> "pd.DataFrame":
    """ablation.csv; without outcomes its header alone."""
    import pandas as pd

    columns = [field.name for field in fields(Outcome)]
    return pd.DataFrame([asdict(outcome) for outcome in outcomes], columns=columns)


@dataclass(frozen=True)
class _Trained:
    """All seeds of one variant."""

    name: str
    score: Sample | None
    """Of the objective; None where a fit diverged."""
    fits: int
    epochs: int
    multiply_adds: int
    lost: str
    """Which fit diverged, in words; else empty."""


@dataclass(frozen=True)
class _Comparison:
    """A technique one way: the variants with it and without it."""

    technique: str
    way: Way
    own: _Trained
    """The one that was trained for this comparison."""
    with_it: _Trained
    without_it: _Trained

    @property
    def same(self) -> bool:
        """Whether the technique changes nothing here: another one overrides it."""
        return self.with_it is self.without_it

    @property
    def lost(self) -> str:
        """Which fit diverged, in words; else empty."""
        return self.with_it.lost or self.without_it.lost


class Ablation:
    """Compares what was trained and decides on each technique.

    runs: by the name of each of the design's variants those of all seeds. truth, importance: of
    the validation examples. bootstrap: its level is that of all comparisons together. Raises
    InputError where these examples cannot tell the objective.
    """

    def __init__(
        self,
        design: Design,
        runs: Mapping[str, Sequence[Run]],
        measure: Measure,
        truth: Truth,
        importance: Importance,
        bootstrap: Bootstrap,
    ) -> None:
        self._design = design
        self._measure = measure
        self._bootstrap = bootstrap
        self._trained = [
            (one.changes, self._summed(one.name, runs[one.name], truth, importance))
            for one in design.variants()
        ]

    def outcomes(self) -> list[Outcome]:
        """Two for each technique, added and removed, in their order."""
        compared = list(self._comparisons())
        told = [one for one in compared if not one.same and not one.lost]
        differences = [self._difference(one, self._bootstrap) for one in told]
        draws = [_draws(one) for one in told]
        p_values = [
            multiple.p_value(found.value, drawn)
            for found, drawn in zip(differences, draws, strict=True)
        ]
        proven = multiple.holm(p_values, 1 - self._bootstrap.level)
        level = multiple.simultaneous(self._bootstrap.level, len(told))
        wide = replace(self._bootstrap, level=level)
        seen = {
            (one.technique, one.way): _Seen(
                self._difference(one, wide), self._gain(plain), is_proven
            )
            for one, plain, is_proven in zip(told, differences, proven, strict=True)
        }
        return [
            outcome
            for name in self._design.techniques
            for outcome in self._decided(
                [one for one in compared if one.technique == name], seen, level
            )
        ]

    def _comparisons(self) -> Iterator[_Comparison]:
        start, full = self._at({}), self._at(self._design.all)
        for name in self._design.techniques:
            alone, rest = (
                self._at(self._design.changes([name])),
                self._at(self._design.without(name)),
            )
            yield _Comparison(name, "added", alone, alone, start)
            yield _Comparison(name, "removed", rest, full, rest)

    def _at(self, changes: Mapping[str, Any]) -> _Trained:
        return next(trained for held, trained in self._trained if held == changes)

    def _summed(
        self, name: str, runs: Sequence[Run], truth: Truth, importance: Importance
    ) -> _Trained:
        lost = [run for run in runs if run.diverged]
        score = None
        if not lost:
            predictions = np.stack([run.predictions for run in runs])
            self._measure.score(predictions[0], truth, importance)
            figures = {"score": self._measure.figure}
            score = self._bootstrap.sample(figures, predictions, truth, importance)["score"]
        return _Trained(
            name,
            score,
            len(runs),
            sum(run.epochs for run in runs),
            runs[0].multiply_adds,
            f"the fit {name} with seed {lost[0].seed} diverged in epoch {lost[0].epochs}"
            if lost
            else "",
        )

    def _difference(self, compared: _Comparison, bootstrap: Bootstrap) -> Interval:
        one, other = _score(compared.with_it), _score(compared.without_it)
        return bootstrap.difference(one, other)

    def _gain(self, difference: Interval) -> Interval:
        """Turned so that more is better."""
        if self._measure.sign > 0:
            return difference
        return Interval(-difference.value, -difference.high, -difference.low)

    def _decided(
        self,
        compared: Sequence[_Comparison],
        seen: Mapping[tuple[str, Way], "_Seen"],
        level: float,
    ) -> Iterator[Outcome]:
        decision, reason = self._decide(compared, seen)
        for one in compared:
            found = seen.get((one.technique, one.way))
            ends = (found.shown.value, found.shown.low, found.shown.high) if found else ()
            known = [None if np.isnan(end) else self._rounded(end) for end in ends]
            value, low, high = known or (None, None, None)
            yield Outcome(
                technique=one.technique,
                way=one.way,
                difference=value,
                low=low,
                high=high,
                level=round(level, 6),
                decision=decision,
                reason=reason,
                fits=one.own.fits,
                epochs=one.own.epochs,
            )

    def _rounded(self, value: float) -> float:
        """As the file holds it."""
        scores = [one.score for _, one in self._trained if one.score is not None]
        return self._measure.reading.rounded(value, abs(float(scores[0].value)))

    def _decide(
        self, compared: Sequence[_Comparison], seen: Mapping[tuple[str, Way], "_Seen"]
    ) -> tuple[Decision, str]:
        told = [
            (one, seen[one.technique, one.way]) for one in compared if not one.same and not one.lost
        ]
        figures = "; ".join(self._words(one, found) for one, found in told)
        gains = [one for one, found in told if found.proven and found.gain.value > 0]
        losses = [one for one, found in told if found.proven and found.gain.value < 0]
        if not told:
            lost = next((one.lost for one in compared if one.lost), "")
            return "neutral", f"Not known: {lost}." if lost else "It changes nothing."
        if gains:
            also = f", though {_HARM[losses[0].way]}" if losses else ""
            return (
                "earned",
                f"{_capital(' and '.join(_GAIN[one.way] for one in gains))}{also}: {figures}.",
            )
        if losses:
            return (
                "harmful",
                f"{_capital(' and '.join(_HARM[one.way] for one in losses))}: {figures}.",
            )
        saved = _saved([one for one, _ in told])
        # A doubt as to what is lost must not profit from the correction.
        if saved and all(found.gain.high >= 0 for _, found in told):
            return "cheaper", f"No difference is proven, and {saved}: {figures}."
        return "neutral", f"No difference is proven, and it is not cheaper: {figures}."

    def _words(self, one: _Comparison, found: "_Seen") -> str:
        reading = self._measure.reading
        # Of what the file holds: rounded from more digits they may differ in the last one.
        value, low, high = (
            reading.difference(self._rounded(end))
            for end in (found.shown.value, found.shown.low, found.shown.high)
        )
        place = "added to the start" if one.way == "added" else "in the full set"
        return f"{place} {value}{reading.points} ({low} to {high})"


_GAIN: dict[Way, str] = {
    "added": "added alone it gains",
    "removed": "without it the others lose",
}
_HARM: dict[Way, str] = {
    "added": "added alone it loses",
    "removed": "without it the others gain",
}


@dataclass(frozen=True)
class _Seen:
    """What a comparison says: the interval that is shown, wide enough for all of them to hold
    together; the gain with that of its own; whether it is proven."""

    shown: Interval
    gain: Interval
    proven: bool


def _score(trained: _Trained) -> Sample:
    if trained.score is None:
        raise ValueError(f"{trained.name} has no figures")
    return trained.score


def _draws(compared: _Comparison) -> npt.NDArray[np.float64]:
    difference: npt.NDArray[np.float64] = (
        _score(compared.with_it).draws - _score(compared.without_it).draws
    )
    return difference


def _saved(compared: Sequence[_Comparison]) -> str:
    """What the technique saves both ways, in words; empty where it does not."""
    pairs = [(one.with_it, one.without_it) for one in compared]
    if all(one.multiply_adds < other.multiply_adds for one, other in pairs):
        return "it takes fewer multiply-adds an example"
    if any(one.multiply_adds > other.multiply_adds for one, other in pairs):
        return ""
    shares = [1 - one.epochs / other.epochs for one, other in pairs]
    if min(shares) < SAVING:
        return ""
    told = " and ".join(dict.fromkeys(f"{100 * share:.0f} %" for share in shares))
    return f"it saves {told} of the epochs"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
