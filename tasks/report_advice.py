"""What to try next: rules that look at the evidence and say what they saw.

A rule that has nothing to say is silent; none is ever applied by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.evaluation import Details
from models.ledger import Row

Figures = Mapping[str, Mapping[str, float]]
Lines = Sequence[Mapping[str, float | None]]
"""A candidate's mean curves, one mapping an epoch."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at; `gap`, `recall` and `ece` are the limits from params.yaml."""

    ledger: Sequence[Row]
    details: Details
    chosen: Figures
    """Holdout figures of the chosen model."""
    recalls: Figures
    curves: Mapping[str, Lines]
    trials: Sequence[Mapping[str, Any]]
    train: Mapping[str, int]
    """Training examples by class."""
    gap: float
    recall: float
    ece: float


@dataclass(frozen=True)
class Advice:
    """What to try, and why: the evidence in figures."""

    what: str
    why: str


def advise(evidence: Evidence) -> list[Advice]:
    """All advice that the evidence supports, in the order of the pipeline."""
    rules = (_linear, _imbalance, _edges, _diverged, _fit, _unproven, _optimism, _calibration)
    found = [advice for rule in rules for advice in rule(evidence)]
    return [*found, *_low_recall(evidence), *_off(evidence)]


def _linear(seen: Evidence) -> Iterator[Advice]:
    row = _row(seen, "baseline")
    if row.difference is not None and row.difference_low is not None and row.difference_low <= 0:
        yield Advice(
            "Consider the linear model.",
            f"The first network's gain over it is not proven: {_span(row)}.",
        )


def _imbalance(seen: Evidence) -> Iterator[Advice]:
    rarest, commonest = min(seen.train, key=_by(seen.train)), max(seen.train, key=_by(seen.train))
    few, many = seen.train[rarest], seen.train[commonest]
    if many >= 3 * few:
        yield Advice(
            "Collect more examples of the rare classes, or weight them.",
            f"Training saw {many:,} examples of “{commonest}” and {few:,} of “{rarest}”.",
        )


def _edges(seen: Evidence) -> Iterator[Advice]:
    done = [trial for trial in seen.trials if trial["accuracy"] is not None]
    if not done:
        return
    best = best_trial(done)
    directions, reasons = [], []
    for name, floor in (("learning_rate", 0), ("width", 1), ("depth", 1), ("batch_size", 1)):
        tried = sorted({trial[name] for trial in seen.trials})
        value, words = best[name], name.replace("_", " ")
        if len(tried) < 2 or value == floor or value not in (tried[0], tried[-1]):
            continue
        end = "lower" if value == tried[0] else "higher"
        directions.append(f"a {end} {words}")
        reasons.append(f"{value:g} for {words}")
    if directions:
        yield Advice(
            f"Widen the search: {', '.join(directions)}.",
            f"The best trial ({best['trial']}) lies at the edge of what was tried, with "
            f"{', '.join(reasons)}; the best may lie beyond.",
        )


def _diverged(seen: Evidence) -> Iterator[Advice]:
    lost = [trial for trial in seen.trials if trial["status"] == "diverged"]
    if lost:
        rates = ", ".join(f"{trial['learning_rate']:.2g}" for trial in lost)
        yield Advice(
            "Lower the highest learning rate of the search.",
            f"{len(lost)} of {len(seen.trials)} trials diverged, at {rates}.",
        )


def _fit(seen: Evidence) -> Iterator[Advice]:
    lines = seen.curves[seen.details.chosen]
    best = best_line(lines)
    if best is None:
        return
    epoch, last = best["epoch"], lines[-1]["epoch"]
    train, validation = best["accuracy"], best["val_accuracy"]
    if train is not None and validation is not None and train - validation >= seen.gap:
        yield Advice(
            "Regularise more, or get more data: the chosen network overfits.",
            f"In epoch {epoch:g}, its best, it is right for {100 * train:.1f} % of the training "
            f"examples and for {100 * validation:.1f} % of the validation examples: a gap of "
            f"{100 * (train - validation):.1f} percentage points, where {100 * seen.gap:g} is the "
            "limit.",
        )
    elif epoch == last:
        yield Advice(
            "Train longer, or a larger network: the chosen one was still getting better.",
            f"Its validation loss was lowest, {best['val_loss']:.3f}, in the last epoch, {last:g}.",
        )


def _unproven(seen: Evidence) -> Iterator[Advice]:
    n = seen.details.validation_examples
    for row in seen.ledger:
        low, value = row.difference_low, row.difference
        if (
            row.decision == "left out"
            and value is not None
            and low is not None
            and low <= 0 < value
        ):
            # Half an interval shrinks with the root of the number of examples.
            needed = n * ((value - low) / value) ** 2
            yield Advice(
                f"Give {row.candidate} a fairer trial: more validation examples, or more seeds.",
                f"Its gain over {row.reference} is not proven: {_span(row)}. Should the "
                f"difference stay, about {_two_digits(needed):,} validation examples would "
                f"show it; there are {n:,}.",
            )


def _optimism(seen: Evidence) -> Iterator[Advice]:
    row = _row(seen, seen.details.chosen)
    tested = seen.chosen["accuracy"]
    if row.accuracy is not None and row.accuracy > tested["high"]:
        yield Advice(
            "Trust the holdout, and validate on more examples: the choice was optimistic.",
            f"On validation the chosen candidate is right for {100 * row.accuracy:.1f} %, on the "
            f"holdout for {100 * tested['value']:.1f} % ({100 * tested['low']:.1f} to "
            f"{100 * tested['high']:.1f}).",
        )


def _calibration(seen: Evidence) -> Iterator[Advice]:
    error = seen.chosen["ece"]
    if error["value"] < seen.ece:
        return
    bins = seen.details.calibration["chosen"]
    examples = sum(one["examples"] for one in bins)
    confidence = sum(one["examples"] * one["confidence"] for one in bins) / examples
    accuracy = sum(one["examples"] * one["accuracy"] for one in bins) / examples
    over = confidence > accuracy
    yield Advice(
        "Do not take its probabilities at their word; scale them with a temperature."
        + (" Label smoothing helps as well." if over else ""),
        f"It is {'over' if over else 'under'}confident: mean confidence {100 * confidence:.1f} %, "
        f"right for {100 * accuracy:.1f} %; calibration error {100 * error['value']:.1f} "
        f"percentage points ({100 * error['low']:.1f} to {100 * error['high']:.1f}), where "
        f"{100 * seen.ece:g} is the limit.",
    )


def _low_recall(seen: Evidence) -> Iterator[Advice]:
    weak = [name for name, recall in seen.recalls.items() if recall["value"] < seen.recall]
    for name in sorted(weak, key=lambda name: seen.recalls[name]["value"])[:3]:
        found = seen.recalls[name]
        row = seen.details.confusion[seen.details.classes.index(name)]
        place = seen.details.classes.index(name)
        errors = [0 if at == place else count for at, count in enumerate(row)]
        taken = seen.details.classes[errors.index(max(errors))]
        yield Advice(
            f"Look at the examples of “{name}”.",
            f"{100 * found['value']:.1f} % of its {sum(row):,} holdout examples are found "
            f"({100 * found['low']:.1f} to {100 * found['high']:.1f}); {max(errors):,} are taken "
            f"for “{taken}”.",
        )


def _off(seen: Evidence) -> Iterator[Advice]:
    names = [row.candidate for row in seen.ledger if row.decision == "off"]
    if names:
        yield Advice(
            f"Switch on {', '.join(names)}.",
            "Off in params.yaml, so nothing is known of what would be gained.",
        )


def best_trial(done: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The most accurate trial; of equal ones that with the lowest log loss, then the first."""
    return min(done, key=lambda trial: (-trial["accuracy"], trial["log_loss"]))


def best_line(lines: Lines) -> Mapping[str, float | None] | None:
    """The epoch with the lowest validation loss, None without epochs."""
    known = [line for line in lines if line["val_loss"] is not None]
    return min(known, key=lambda line: line["val_loss"] or 0.0) if known else None


def _row(seen: Evidence, name: str) -> Row:
    return next(row for row in seen.ledger if row.candidate == name)


def _span(row: Row) -> str:
    value, low, high = (
        100 * (share or 0.0) for share in (row.difference, row.difference_low, row.difference_high)
    )
    return f"{value:+.2f} percentage points ({low:+.2f} to {high:+.2f})"


def _by(counts: Mapping[str, int]) -> Any:
    return lambda name: (counts[name], name)


def _two_digits(value: float) -> int:
    """All that an estimate of this kind is worth."""
    return int(float(f"{value:.2g}"))
