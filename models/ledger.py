"""The ledger: what each step gained on validation, what it cost, and the decision.

A gain is a claim to be proven. The candidates are met in story order with an incumbent: the first
network, and from then on whichever took over last. A candidate takes over where its paired
interval against the incumbent proves a gain, or where it is cheaper at inference and the interval
proves that it loses no more than the tolerance. Everything else is reported and left out.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from models.candidate import Record
from models.intervals import Bootstrap, Interval, Sample

Decision = Literal["yardstick", "off", "left out", "kept", "chosen"]


@dataclass(frozen=True)
class Entrant:
    """One candidate's figures on validation; yardsticks have no record, switched-off stages no
    figures."""

    name: str
    record: Record | None
    accuracy: Sample | None
    log_loss: float | None


@dataclass(frozen=True)
class Row:
    """One row of the ledger; accuracies and differences are shares from 0 to 1."""

    candidate: str
    reference: str | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    log_loss: float | None
    parameters: int | None
    multiply_adds: int | None
    fits: int | None
    epochs: int | None
    examples: int | None
    decision: Decision
    reason: str

    def values(self) -> dict[str, Any]:
        """The columns in order, shares and losses rounded to six digits."""
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Judge:
    """Writes the ledger's rows.

    `n` is the number of validation examples, `tolerance` the accuracy (0 to 1) that a cheaper
    candidate may lose at the most.
    """

    bootstrap: Bootstrap
    n: int
    tolerance: float

    def walk(self, yardsticks: Sequence[Entrant], networks: Sequence[Entrant]) -> list[Row]:
        """One row for each entrant; exactly one of the networks is chosen.

        yardsticks: the majority class and the linear model, in this order. networks: in story
        order; the first must have figures.
        """
        majority, linear = yardsticks
        first, *later = networks
        rows = [
            self._row(majority, None, "yardstick", "Always answers with the commonest class."),
            self._row(
                linear, majority, "yardstick", "What a network must beat to be worth having."
            ),
            self._row(first, linear, "kept", self._first(first, linear)),
        ]
        incumbent = first
        for entrant in later:
            if entrant.accuracy is None:
                rows.append(self._row(entrant, None, "off", "Switched off in params.yaml."))
                continue
            takes_over, reason = self._compare(entrant, incumbent)
            decision: Decision = "kept" if takes_over else "left out"
            rows.append(self._row(entrant, incumbent, decision, reason))
            if takes_over:
                incumbent = entrant
        return [
            Row(**{**asdict(row), "decision": "chosen"}) if row.candidate == incumbent.name else row
            for row in rows
        ]

    def _compare(self, entrant: Entrant, incumbent: Entrant) -> tuple[bool, str]:
        """Whether the entrant takes over, and the reason."""
        difference = self._difference(entrant, incumbent)
        cost, before = _multiply_adds(entrant), _multiply_adds(incumbent)
        found = f"{_points(difference.value)} percentage points ({self._span(difference)})"
        price = (
            f"the same {cost:,} multiply-adds an example"
            if cost == before
            else f"{cost:,} multiply-adds an example against {before:,}"
        )
        if difference.low > 0:
            return True, f"Gain over {incumbent.name} proven: {found}, at {price}."
        worst = f"{max(0.0, -100 * difference.low):.2f} percentage points"
        allowed = f"{100 * self.tolerance:.2f}"
        if cost < before and difference.low >= -self.tolerance:
            return True, (
                f"Cheaper than {incumbent.name}, {price}, and loses at most {worst} of accuracy, "
                f"where {allowed} are allowed ({self._span(difference)})."
            )
        if cost < before:
            return False, (
                f"Cheaper than {incumbent.name}, {price}, but may lose {worst} of accuracy, "
                f"where {allowed} are allowed ({self._span(difference)})."
            )
        verdict = (
            f"Less accurate than {incumbent.name}"
            if difference.high < 0
            else f"No gain over {incumbent.name}"
            if difference.value <= 0
            else f"Gain over {incumbent.name} not proven"
        )
        return False, f"{verdict}: {found}, at {price}."

    def _first(self, first: Entrant, linear: Entrant) -> str:
        difference = self._difference(first, linear)
        verdict = (
            "its gain over the linear model is proven"
            if difference.low > 0
            else "it is less accurate than the linear model"
            if difference.high < 0
            else "its gain over the linear model is not proven"
        )
        return (
            f"The first network, which later ones must beat; {verdict}: "
            f"{_points(difference.value)} percentage points ({self._span(difference)})."
        )

    def _row(
        self, entrant: Entrant, reference: Entrant | None, decision: Decision, reason: str
    ) -> Row:
        accuracy = self._accuracy(entrant)
        difference = self._difference(entrant, reference) if reference else None
        record = entrant.record if entrant.accuracy else None
        return Row(
            candidate=entrant.name,
            reference=reference.name if reference else None,
            accuracy=accuracy.value if accuracy else None,
            accuracy_low=accuracy.low if accuracy else None,
            accuracy_high=accuracy.high if accuracy else None,
            difference=difference.value if difference else None,
            difference_low=difference.low if difference else None,
            difference_high=difference.high if difference else None,
            log_loss=entrant.log_loss,
            parameters=record.parameters if record else None,
            multiply_adds=record.multiply_adds if record else None,
            fits=record.fits if record else None,
            epochs=record.epochs if record else None,
            examples=record.examples if record else None,
            decision=decision,
            reason=reason,
        )

    def _accuracy(self, entrant: Entrant) -> Interval | None:
        sample = entrant.accuracy
        if sample is None:
            return None
        return self.bootstrap.share(float(sample.value), sample.draws, self.n)

    def _difference(self, entrant: Entrant, reference: Entrant) -> Interval:
        if entrant.accuracy is None or reference.accuracy is None:
            raise ValueError(f"{entrant.name} and {reference.name} must both have figures")
        return self.bootstrap.difference(entrant.accuracy, reference.accuracy)

    def _span(self, interval: Interval) -> str:
        level = f"{100 * self.bootstrap.level:g} % interval"
        return f"{level} {_points(interval.low)} to {_points(interval.high)}"


def _multiply_adds(entrant: Entrant) -> int:
    if entrant.record is None:
        raise ValueError(f"{entrant.name} has no record")
    return entrant.record.multiply_adds


def _points(share: float) -> str:
    """A difference of shares in percentage points, signed; never "-0.00"."""
    return f"{round(100 * share, 2) + 0.0:+.2f}"
