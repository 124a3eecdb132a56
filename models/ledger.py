"""The ledger: what each step gained on validation, what it cost, and the decision.

A gain is a claim to be proven. The candidates are met in story order with an incumbent: the first
network, and from then on whichever took over last. A candidate takes over where its paired
interval against the incumbent proves a gain of the objective, or where it is cheaper at inference
and the interval proves that it loses no more than the tolerance. Everything else is reported and
left out.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from metrics.intervals import Bootstrap, Interval, Sample
from metrics.readings import Reading
from models.candidate import Record

Verdict = Literal["yardstick", "off", "left out", "kept", "chosen"]


@dataclass(frozen=True)
class Entrant:
    """One candidate's figures on validation; yardsticks have no record, switched-off stages no
    figures."""

    name: str
    record: Record | None
    score: Sample | None
    """Of the objective."""
    loss: float | None
    """Log loss; of quantities the root mean squared error."""


@dataclass(frozen=True)
class Row:
    """One row of the ledger.

    `score` is the objective's value and `difference` what it is above the reference's, both in the
    metric's own unit (shares from 0 to 1): where lower is better, a gain is a difference below 0.
    """

    candidate: str
    reference: str | None
    score: float | None
    score_low: float | None
    score_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    loss: float | None
    parameters: int | None
    multiply_adds: int | None
    fits: int | None
    epochs: int | None
    examples: int | None
    decision: Verdict
    reason: str

    def values(self) -> dict[str, Any]:
        """The columns in order."""
        return asdict(self)


@dataclass(frozen=True)
class Judge:
    """Writes the ledger's rows.

    objective: how it reads. trials: of how many validation examples a score is the share; None
    where it is no such share. tolerance: how much worse in the objective a cheaper candidate may
    be at the most: for figures without a unit, as shares from 0 to 1 are, so much of the figure
    itself; for figures with one so large a part of the incumbent's value.
    """

    bootstrap: Bootstrap
    objective: Reading
    loss: Reading
    trials: float | None
    tolerance: float

    def walk(self, yardsticks: Sequence[Entrant], networks: Sequence[Entrant]) -> list[Row]:
        """One row for each entrant; exactly one of the networks is chosen.

        yardsticks: the constant and the linear model, in this order. networks: in story order; the
        first must have figures.
        """
        constant, linear = yardsticks
        first, *later = networks
        rows = [
            self._row(constant, None, "yardstick", "Says the same of every example."),
            self._row(
                linear, constant, "yardstick", "What a network must beat to be worth having."
            ),
            self._row(first, linear, "kept", self._first(first, linear)),
        ]
        incumbent = first
        for entrant in later:
            if entrant.score is None:
                rows.append(self._row(entrant, None, "off", "Switched off in params.yaml."))
                continue
            takes_over, reason = self._compare(entrant, incumbent)
            decision: Verdict = "kept" if takes_over else "left out"
            rows.append(self._row(entrant, incumbent, decision, reason))
            if takes_over:
                incumbent = entrant
        return [
            Row(**{**asdict(row), "decision": "chosen"}) if row.candidate == incumbent.name else row
            for row in rows
        ]

    def _compare(self, entrant: Entrant, incumbent: Entrant) -> tuple[bool, str]:
        """Whether the entrant takes over, and the reason."""
        gain = self._gain(entrant, incumbent)
        cost, before = _multiply_adds(entrant), _multiply_adds(incumbent)
        price = (
            f"the same {cost:,} multiply-adds an example"
            if cost == before
            else f"{cost:,} multiply-adds an example against {before:,}"
        )
        if gain.low > 0:
            return True, (
                f"Gain over {incumbent.name} proven: {self._found(entrant, incumbent)}, at {price}."
            )
        allowed = self.objective.allowed(self.tolerance, _value(incumbent))
        if cost < before:
            bearable = gain.low >= -allowed
            return bearable, (
                f"Cheaper than {incumbent.name}, {price}, "
                f"{'and loses at most' if bearable else 'but may lose'} "
                f"{self.objective.amount(max(0.0, -gain.low))}{self.objective.points} of "
                f"{self.objective.title}, where {self.objective.amount(allowed)} are allowed "
                f"({self._span(entrant, incumbent)})."
            )
        verdict = (
            f"Worse than {incumbent.name}"
            if gain.high < 0
            else f"No gain over {incumbent.name}"
            if gain.value <= 0
            else f"Gain over {incumbent.name} not proven"
        )
        return False, f"{verdict}: {self._found(entrant, incumbent)}, at {price}."

    def _first(self, first: Entrant, linear: Entrant) -> str:
        gain = self._gain(first, linear)
        verdict = (
            "its gain over the linear model is proven"
            if gain.low > 0
            else "it is worse than the linear model"
            if gain.high < 0
            else "its gain over the linear model is not proven"
        )
        return (
            f"The first network, which later ones must beat; {verdict}: "
            f"{self._found(first, linear)}."
        )

    def _row(
        self, entrant: Entrant, reference: Entrant | None, decision: Verdict, reason: str
    ) -> Row:
        score = self._score(entrant)
        difference = self._difference(entrant, reference) if reference else None
        record = entrant.record if entrant.score else None
        scale = abs(score.value) if score else 0.0

        def known(value: float | None) -> float | None:
            if value is None or math.isnan(value):
                return None
            return self.objective.rounded(value, scale)

        return Row(
            candidate=entrant.name,
            reference=reference.name if reference else None,
            score=known(score.value if score else None),
            score_low=known(score.low if score else None),
            score_high=known(score.high if score else None),
            difference=known(difference.value if difference else None),
            difference_low=known(difference.low if difference else None),
            difference_high=known(difference.high if difference else None),
            loss=None if entrant.loss is None else self.loss.rounded(entrant.loss, entrant.loss),
            parameters=record.parameters if record else None,
            multiply_adds=record.multiply_adds if record else None,
            fits=record.fits if record else None,
            epochs=record.epochs if record else None,
            examples=record.examples if record else None,
            decision=decision,
            reason=reason,
        )

    def _score(self, entrant: Entrant) -> Interval | None:
        sample = entrant.score
        if sample is None:
            return None
        if self.trials is None:
            return self.bootstrap.interval(float(sample.value), sample.draws)
        return self.bootstrap.share(float(sample.value), sample.draws, self.trials)

    def _difference(self, entrant: Entrant, reference: Entrant) -> Interval:
        if entrant.score is None or reference.score is None:
            raise ValueError(f"{entrant.name} and {reference.name} must both have figures")
        return self.bootstrap.difference(entrant.score, reference.score)

    def _gain(self, entrant: Entrant, reference: Entrant) -> Interval:
        """The difference, turned so that more is better."""
        difference = self._difference(entrant, reference)
        if self.objective.sign > 0:
            return difference
        return Interval(-difference.value, -difference.high, -difference.low)

    def _found(self, entrant: Entrant, reference: Entrant) -> str:
        """The difference in words, with its interval."""
        difference = self._difference(entrant, reference)
        value = self.objective.difference(difference.value)
        return f"{value}{self.objective.points} ({self._span(entrant, reference)})"

    def _span(self, entrant: Entrant, reference: Entrant) -> str:
        difference = self._difference(entrant, reference)
        low, high = map(self.objective.difference, (difference.low, difference.high))
        return f"{100 * self.bootstrap.level:g} % interval {low} to {high}"


def _multiply_adds(entrant: Entrant) -> int:
    if entrant.record is None:
        raise ValueError(f"{entrant.name} has no record")
    return entrant.record.multiply_adds


def _value(entrant: Entrant) -> float:
    if entrant.score is None:
        raise ValueError(f"{entrant.name} has no figures")
    return float(entrant.score.value)
