"""The ledger: what each step gained on validation, what it cost, and the decision.

The candidates are met in story order with an incumbent, whichever took over last. Which one is
chosen is a rule of params.yaml:

- smallest: a gain is a claim to be proven. A candidate takes over where its paired interval against
  the incumbent proves a gain of the objective, or where it is cheaper at inference and the interval
  proves that it loses no more than the tolerance to the best that has been incumbent: small losses
  do not add up.
- limit: what may be spent is known. Of the candidates within the limits the best figure is chosen,
  whether or not its lead is proven, and the reason says which.

Everything else is reported and left out. Of a student two variants are compared with it that can
never be chosen: the same one without its teacher, and the same one in 8 bits.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import Field

from metrics.intervals import Bootstrap, Interval, Sample
from metrics.readings import Reading
from models.candidate import Record
from pipeline.errors import InputError
from pipeline.params import Section

Rule = Literal["smallest", "limit"]
Verdict = Literal["yardstick", "off", "left out", "kept", "chosen", "compared"]


class Limits(Section):
    """What a network may cost at the most, to be chosen by the rule limit; None: as much as it
    likes."""

    parameters: int | None = Field(gt=0)
    multiply_adds: int | None = Field(gt=0)
    """For one example, at inference."""

    def broken(self, record: Record) -> list[str]:
        """Which of them a candidate is beyond, in words."""
        costs = (
            ("parameters", record.parameters, self.parameters),
            ("multiply-adds an example", record.multiply_adds, self.multiply_adds),
        )
        return [
            f"{cost:,} {name}, where {limit:,} are the limit"
            for name, cost, limit in costs
            if limit is not None and cost > limit
        ]


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
    itself; for figures with one so large a part of the incumbent's value. rule: which one is
    chosen. limits: of the rule limit.
    """

    bootstrap: Bootstrap
    objective: Reading
    loss: Reading
    trials: float | None
    tolerance: float
    rule: Rule
    limits: Limits

    def walk(self, yardsticks: Sequence[Entrant], networks: Sequence[Entrant]) -> list[Row]:
        """One row for each entrant; exactly one of the networks is chosen.

        yardsticks: the constant and the linear model, in this order. networks: in story order; the
        first must have figures. Raises InputError where no network is within the limits.
        """
        constant, linear = yardsticks
        first, *later = networks
        rows = [
            self._row(constant, None, "yardstick", "Says the same of every example."),
            self._row(
                linear, constant, "yardstick", "What a network must beat to be worth having."
            ),
        ]
        broken = self._broken(networks)
        incumbent = best = None if first.name in broken else first
        told = self._first(first, linear)
        rows.append(
            self._row(
                first, linear, "kept" if incumbent else "left out", told + _beyond(first, broken)
            )
        )
        for entrant in later:
            if entrant.score is None:
                rows.append(self._row(entrant, None, "off", "Switched off in params.yaml."))
                continue
            reference = incumbent or first
            if entrant.name in broken:
                compared = self._verdict(entrant, reference, self._gain(entrant, reference))
                takes_over, reason = False, compared + _beyond(entrant, broken)
            elif incumbent is None:
                compared = self._verdict(entrant, reference, self._gain(entrant, reference))
                takes_over, reason = True, f"The first within the limits. {compared}"
            elif self.rule == "limit":
                takes_over, reason = self._better(entrant, incumbent)
            else:
                takes_over, reason = self._compare(entrant, incumbent, best or incumbent)
            decision: Verdict = "kept" if takes_over else "left out"
            rows.append(self._row(entrant, reference, decision, reason))
            if takes_over:
                incumbent = entrant
                best = self._best(best, entrant)
        chosen = incumbent or first
        return [
            replace(row, decision="chosen", reason=f"{row.reason} {self._why()}")
            if row.candidate == chosen.name
            else row
            for row in rows
        ]

    def untaught(self, control: Entrant, student: Entrant) -> Row:
        """The row of a student without its teacher: what the teacher gave, on paired seeds and
        examples."""
        gain = self._gain(student, control)
        verdict = "proven" if gain.low > 0 else "it did harm" if gain.high < 0 else "not proven"
        reason = f"What the teacher gave: {self._found(student, control)}: {verdict}."
        return self._row(control, student, "compared", reason)

    def in_8_bits(self, small: Entrant, saved: Entrant, size: int, before: int) -> Row:
        """The row of a network in 8 bits: what it loses to `saved`, the figures of the one that it
        was made from. size, before: bytes of both."""
        gain = self._gain(small, saved)
        verdict = (
            "a loss is proven"
            if gain.high < 0
            else "it is even better"
            if gain.low > 0
            else "no loss is proven"
        )
        reason = (
            f"The saved network of {saved.name} in 8 bits, compared with that one alone: "
            f"{self._found(small, saved)}: {verdict}; {size:,} bytes instead of {before:,}, "
            f"{100 * size / before:.0f} %."
        )
        return self._row(small, saved, "compared", reason)

    def _broken(self, networks: Sequence[Entrant]) -> dict[str, list[str]]:
        """By name the networks that are beyond the limits, where these decide."""
        if self.rule != "limit":
            return {}
        trained = {one.name: one.record for one in networks if one.score and one.record}
        beyond = {name: self.limits.broken(record) for name, record in trained.items()}
        if all(beyond.values()):
            costs = "; ".join(
                f"{name} has {record.parameters:,} parameters and {record.multiply_adds:,} "
                "multiply-adds an example"
                for name, record in trained.items()
            )
            asked = {name: most for name, most in self.limits.model_dump().items() if most}
            limits = ", ".join(f"{name}: {most}" for name, most in asked.items())
            raise InputError(
                f"params.yaml: evaluate.limits: {limits}: no candidate is within it.\n{costs}.\n"
                "Raise the limit, make the candidates smaller (distill.student, recipe), or let "
                "evaluate.choice be smallest."
            )
        return {name: words for name, words in beyond.items() if words}

    def _why(self) -> str:
        """The rule by which the chosen one is chosen."""
        if self.rule == "smallest":
            return (
                "Chosen step by step: what is dearer has to be proven better, what is cheaper to "
                "lose no more than the tolerance (evaluate.choice: smallest)."
            )
        return "Chosen as the best within the limits (evaluate.choice: limit)."

    def _better(self, entrant: Entrant, incumbent: Entrant) -> tuple[bool, str]:
        """Whether the entrant's figure is the better one, and how sure that is."""
        gain = self._gain(entrant, incumbent)
        equal = gain.value == 0 and _multiply_adds(entrant) < _multiply_adds(incumbent)
        return gain.value > 0 or equal, self._verdict(entrant, incumbent, gain)

    def _best(self, best: Entrant | None, entrant: Entrant) -> Entrant:
        """The one with the better figure; of equal ones the earlier."""
        return entrant if best is None or self._gain(entrant, best).value > 0 else best

    def _compare(self, entrant: Entrant, incumbent: Entrant, best: Entrant) -> tuple[bool, str]:
        """Whether the entrant takes over, and the reason; `best`: of all that were incumbent."""
        gain = self._gain(entrant, incumbent)
        if gain.low > 0:
            return True, self._verdict(entrant, incumbent, gain)
        allowed = self.objective.allowed(self.tolerance, _value(best))
        if _multiply_adds(entrant) < _multiply_adds(incumbent):
            lost = self._gain(entrant, best).low
            bearable = lost >= -allowed
            to_whom = "" if best is incumbent else f" to {best.name}, the best before it"
            return bearable, (
                f"Cheaper than {incumbent.name}, {_price(entrant, incumbent)}, "
                f"{'and loses at most' if bearable else 'but may lose'} "
                f"{self.objective.amount(max(0.0, -lost))}{self.objective.points} of "
                f"{self.objective.title}{to_whom}, where {self.objective.amount(allowed)} are "
                f"allowed ({self._span(entrant, best)})."
            )
        return False, self._verdict(entrant, incumbent, gain)

    def _verdict(self, entrant: Entrant, reference: Entrant, gain: Interval) -> str:
        """What a difference proves, in words."""
        verdict = (
            f"Gain over {reference.name} proven"
            if gain.low > 0
            else f"Worse than {reference.name}"
            if gain.high < 0
            else f"No gain over {reference.name}"
            if gain.value <= 0
            else f"Gain over {reference.name} not proven"
        )
        return f"{verdict}: {self._found(entrant, reference)}, at {_price(entrant, reference)}."

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
            found = self.bootstrap.interval(float(sample.value), sample.draws)
            return found.within(*self.objective.bounds)
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


def _price(entrant: Entrant, reference: Entrant) -> str:
    cost, before = _multiply_adds(entrant), _multiply_adds(reference)
    if cost == before:
        return f"the same {cost:,} multiply-adds an example"
    return f"{cost:,} multiply-adds an example against {before:,}"


def _beyond(entrant: Entrant, broken: Mapping[str, list[str]]) -> str:
    """A sentence on the limits that an entrant is beyond; empty where it is within."""
    words = broken.get(entrant.name)
    return f" Not to be chosen: {' and '.join(words)}." if words else ""


def _multiply_adds(entrant: Entrant) -> int:
    if entrant.record is None:
        raise ValueError(f"{entrant.name} has no record")
    return entrant.record.multiply_adds


def _value(entrant: Entrant) -> float:
    if entrant.score is None:
        raise ValueError(f"{entrant.name} has no figures")
    return float(entrant.score.value)
