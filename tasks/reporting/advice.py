"""What to try next: rules that look at the evidence and say what they saw.

A rule that has nothing to say is silent; none is ever applied by itself.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from metrics.readings import Reading
from models.judging.diagnosis import Diagnosis, Verdict
from models.judging.evaluation import Details
from models.judging.ledger import Row
from models.settings import Text
from pipeline.scatter import amount
from tasks.reporting.distilled import STUDENT, Compared, quantised, taught
from tasks.reporting.transfer import gains

Figures = Mapping[str, Mapping[str, float]]
NEARLY = 1.1
"""How many times the examples are called for at the least, where an interval just reaches zero."""
TRANSFER = "finetune"
UNEVEN = 3
"""How many times as many examples the commonest class has where the rarest one is rare."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at; `recall` and `ece` are limits from params.yaml."""

    ledger: Sequence[Row]
    details: Details
    chosen: Figures
    """Holdout figures of the chosen model."""
    recalls: Figures
    """By class or label; of quantities there are none."""
    diagnosis: Diagnosis | None
    """Of the chosen model."""
    trials: Sequence[Mapping[str, Any]]
    worth: Sequence[Mapping[str, Any]]
    """The rows of worth.csv: transfer against training from scratch."""
    compared: Compared
    """The student, itself without its teacher, and in 8 bits."""
    train: Mapping[str, int]
    """Training examples by class or label."""
    reads_texts: bool
    """Whether there are texts among the features."""
    recall: float
    ece: float

    @property
    def objective(self) -> Reading:
        """How the figure that was chosen by reads."""
        return self.details.figures[self.details.objective]

    @property
    def classes(self) -> bool:
        """Whether an example has one class of several."""
        return self.details.task == "classification"


@dataclass(frozen=True)
class Advice:
    """What to try, and why: the evidence in figures."""

    what: str
    why: str


def advise(evidence: Evidence) -> list[Advice]:
    """All advice that the evidence supports, in the order of the pipeline."""
    rules = (
        _constant,
        _linear,
        _useless,
        _imbalance,
        _accuracy,
        _edges,
        _readers,
        _diverged,
        _failed,
        _fit,
        _unproven,
        _transfer,
        _teacher,
        _int8,
        _optimism,
        _calibration,
        _low_recall,
        _off,
    )
    return [advice for rule in rules for advice in rule(evidence)]


def _constant(seen: Evidence) -> Iterator[Advice]:
    """The yardstick that says the same of every example is the ledger's first row."""
    constant, linear, *_ = seen.ledger
    chosen = _row(seen, seen.details.chosen)
    # Where the linear model is better than that, it is not the features that say nothing.
    if _reaches(seen, chosen, constant) and _reaches(seen, linear, constant):
        yield Advice(
            "Look for other features: these may say nothing of the target.",
            f"To say the same of every example ({constant.candidate}) gives a validation "
            f"{seen.objective.title} of {seen.objective.text(constant.score or 0.0)}, and the "
            f"interval of {chosen.candidate}, {seen.objective.span(*_ends(chosen))}, reaches it.",
        )


def _useless(seen: Evidence) -> Iterator[Advice]:
    """On validation a constant is a yardstick; on the holdout only quantities have one, in R²."""
    found = seen.chosen.get("r2")
    if found is not None and found["value"] <= 0:
        yield Advice(
            "Do not rely on this model: on the holdout the mean of its targets would do better.",
            f"R² is {found['value']:.2f} there ({found['low']:.2f} to {found['high']:.2f}), and "
            "0 is what the mean gives. If the holdout has other groups or times than train, it "
            "is such that the model does not carry over to.",
        )


def _linear(seen: Evidence) -> Iterator[Advice]:
    """The linear yardstick is the ledger's second row, and the baseline's reference."""
    linear, chosen = seen.ledger[1], _row(seen, seen.details.chosen)
    if chosen.candidate == "baseline":
        gain = _gain(seen, chosen)
        if gain is not None and gain[1] <= 0:
            verdict = (
                "The chosen network is worse than it"
                if gain[2] < 0
                else "The chosen network's gain over it is not proven"
            )
            yield Advice("Consider the linear model.", f"{verdict}: {_span(seen, chosen)}.")
    elif _reaches(seen, chosen, linear):
        yield Advice(
            "Consider the linear model.",
            f"Its validation {seen.objective.title} is {seen.objective.text(linear.score or 0.0)}, "
            f"and the interval of {chosen.candidate}, {seen.objective.span(*_ends(chosen))}, "
            "reaches it.",
        )


def _reaches(seen: Evidence, chosen: Row, yardstick: Row) -> bool:
    """Whether the worse end of the chosen one's interval is no better than a yardstick."""
    ends = (chosen.score_low, chosen.score_high)
    if yardstick.score is None or None in ends:
        return False
    worse = min(seen.objective.sign * (end or 0.0) for end in ends)
    return worse <= seen.objective.sign * yardstick.score


def _imbalance(seen: Evidence) -> Iterator[Advice]:
    uneven = _uneven(seen)
    if uneven is not None:
        rarest, commonest = uneven
        yield Advice(
            "Collect more examples of the rare classes, or weigh them if none are (split.balance).",
            f"Training saw {seen.train[commonest]:,} examples of “{commonest}” and "
            f"{seen.train[rarest]:,} of “{rarest}”.",
        )


def _accuracy(seen: Evidence) -> Iterator[Advice]:
    uneven = _uneven(seen)
    if uneven is None or len(seen.details.names) != 2 or seen.details.objective != "accuracy":
        return
    rarest, commonest = uneven
    share = seen.train[commonest] / (seen.train[commonest] + seen.train[rarest])
    found = (
        f", and {100 * seen.recalls[rarest]['value']:.1f} % of “{rarest}” are found"
        if rarest in seen.recalls
        else ""
    )
    yield Advice(
        f"Choose by another objective than accuracy if “{rarest}” is what matters: "
        "balanced_accuracy, macro_f1, recall_at_precision or auc.",
        f"Who always says “{commonest}” is right for {100 * share:.1f} % of the training "
        f"examples{found}.",
    )


def _uneven(seen: Evidence) -> tuple[str, str] | None:
    """The rarest and the commonest class, where one is rare; None without classes."""
    if not seen.classes:
        return None
    rarest, commonest = min(seen.train, key=_by(seen.train)), max(seen.train, key=_by(seen.train))
    if seen.train[commonest] < UNEVEN * seen.train[rarest]:
        return None
    return rarest, commonest


def _edges(seen: Evidence) -> Iterator[Advice]:
    """Of settings that are numbers: the others have no edges, since they have no order."""
    done = [trial for trial in seen.trials if trial["score"] is not None]
    if not done:
        return
    best = best_trial(done, seen.objective.sign)
    directions, reasons = [], []
    for name in names(seen.trials):
        tried = sorted({trial[name] for trial in seen.trials if is_number(trial[name])})
        value, words = best[name], name.replace("_", " ")
        floor = 1 if isinstance(value, int) else 0
        if len(tried) < 2 or value == floor or value not in (tried[0], tried[-1]):
            continue
        end = "lower" if value == tried[0] else "higher"
        directions.append(f"a {end} {words}")
        reasons.append(f"{value:g} for {words}")
    if directions:
        yield Advice(
            f"Search further: {', '.join(directions)}.",
            f"The best trial ({best['trial']}) lies at the edge of what was tried, with "
            f"{', '.join(reasons)}. Where search.space goes on there, give it more trials; where "
            "it ends, widen it.",
        )


def _readers(seen: Evidence) -> Iterator[Advice]:
    tried = {trial["text"] for trial in seen.trials if "text" in trial} - {None}
    others = [reader for reader in get_args(Text) if reader not in tried]
    if seen.reads_texts and tried and others:
        yield Advice(
            f"Let the search try what else reads texts: {', '.join(others)} (search.space.text, "
            "or more trials where they are in it).",
            f"Its {len(seen.trials)} trials read them with {', '.join(sorted(tried))} alone.",
        )


def _diverged(seen: Evidence) -> Iterator[Advice]:
    lost = [trial for trial in seen.trials if trial["status"] == "diverged"]
    if lost:
        rates = ", ".join(
            f"{trial['learning_rate']:.2g}" for trial in lost if trial.get("learning_rate")
        )
        yield Advice(
            "Lower the highest learning rate of the search.",
            f"{len(lost)} of {len(seen.trials)} trials diverged"
            + (f", at {rates}." if rates else "."),
        )


def _failed(seen: Evidence) -> Iterator[Advice]:
    lost = [trial for trial in seen.trials if trial["status"] in ("failed", "memory")]
    if lost:
        first = lost[0]
        yield Advice(
            "Leave out of the search what cannot be trained.",
            f"{len(lost)} of {len(seen.trials)} trials ended with an error, trial "
            f"{first['trial']} with: {first['reason']}",
        )


def _fit(seen: Evidence) -> Iterator[Advice]:
    """What ails the chosen network; see `models.judging.diagnosis`."""
    found = seen.diagnosis
    if found is None or found.verdict == "good fit":
        return
    what = _REMEDIES[found.verdict]
    steps = [step for step in found.next if step.rstrip(".") not in what]
    tried = f" Of use may be: {' '.join(steps)}" if steps else ""
    yield Advice(what, f"{found.evidence}{tried}")


_REMEDIES: Mapping[Verdict, str] = {
    "unstable": "Calm the fits of the chosen network: they are unstable.",
    "underfit": "Train longer, or a larger network: the chosen one underfits.",
    "too little data": "Collect more data: the chosen network has too little of it.",
    "overfit": "Regularise more, or get more data: the chosen network overfits.",
}


def _unproven(seen: Evidence) -> Iterator[Advice]:
    n = seen.details.validation_examples
    for row in seen.ledger:
        gain = _gain(seen, row)
        if row.decision != "left out" or gain is None or row.candidate == _idle(seen):
            continue
        value, low, _ = gain
        if low <= 0 < value:
            # Half an interval shrinks with the root of the number of examples.
            needed = n * max(((value - low) / value) ** 2, NEARLY)
            if seen.objective.share:
                # And of examples that make the difference there must be a few.
                needed = max(needed, -math.log((1 - seen.details.level) / 2) / value)
            yield Advice(
                f"Give {row.candidate} a fairer trial: more validation examples, or more seeds.",
                f"Its gain over {row.reference} is not proven: {_span(seen, row)}. Should the "
                f"difference stay, about {_two_digits(needed):,} validation examples or more would "
                f"show it; there are {n:,}.",
            )


def _idle(seen: Evidence) -> str | None:
    """`finetune`, where it took over from nothing, taught nothing, and with all examples is not
    proven to be better than the same network from scratch."""
    found = gains(seen.worth, "tuned", seen.objective.sign)
    row = _row(seen, TRANSFER)
    used = row.decision != "left out" or TRANSFER in (seen.compared.teacher, row.reference)
    if used or not found or found[-1].share < 1 or found[-1].verdict == "better":
        return None
    return TRANSFER


def _transfer(seen: Evidence) -> Iterator[Advice]:
    if _idle(seen) is None:
        return
    row = _row(seen, TRANSFER)
    *fewer, most = gains(seen.worth, "tuned", seen.objective.sign)
    value, low, high = (
        seen.objective.difference(float(most.row[end]))
        for end in ("difference", "difference_low", "difference_high")
    )
    few = [f"{100 * gain.share:g} %" for gain in fewer if gain.verdict == "better"]
    later = f" Where examples are fewer it may be: with {' and '.join(few)} of them it is proven."
    yield Advice(
        f"Switch transfer off (finetune.enabled); that saves {row.fits or 0:,} fits.",
        f"On all {most.examples:,} training examples the tuned network is not proven to be better "
        f"than the same one from scratch: {value}{seen.objective.points} ({low} to {high})."
        + (later if few else ""),
    )


def _teacher(seen: Evidence) -> Iterator[Advice]:
    if not seen.compared.records[STUDENT].enabled:
        return
    gain = taught(seen.compared, seen.objective)
    if gain is not None and gain.low <= 0:
        what = "harmed" if gain.high < 0 else "gave nothing that is proven"
        promising = gain.value > 0
        yield Advice(
            "Give the teacher a fairer trial: more seeds, or more validation examples."
            if promising
            else "Train the small network from the labels alone (distill.hard_weight: 1), or let "
            "it learn from a better teacher.",
            f"Its teacher, {seen.compared.teacher}, {what}: with it the {seen.objective.title} on "
            f"validation changes by {gain.words}.",
        )


def _int8(seen: Evidence) -> Iterator[Advice]:
    """Of a student that was left out nobody wants a smaller copy."""
    compared = seen.compared
    if not compared.records[STUDENT].enabled or not compared.int8:
        return
    student, lost = _row(seen, STUDENT), quantised(compared, seen.objective)
    if lost is None or student.decision not in ("kept", "chosen"):
        return
    allowed = seen.objective.allowed(seen.details.tolerance, student.score or 0.0)
    if lost.low < -allowed or compared.facts["bytes"] >= compared.facts["float_bytes"]:
        return
    yield Advice(
        "Where size counts take the network in 8 bits: artifacts/distill/int8/network.tflite, "
        f"{amount(compared.facts['bytes'], 'B')} rather than "
        f"{amount(compared.facts['float_bytes'], 'B')}.",
        f"It loses at most {seen.objective.amount(max(0.0, -lost.low))}{seen.objective.points} of "
        f"{seen.objective.title} on validation ({lost.words}), where "
        f"{seen.objective.amount(allowed)} are allowed.",
    )


def _optimism(seen: Evidence) -> Iterator[Advice]:
    row, reading = _row(seen, seen.details.chosen), seen.objective
    tested = seen.chosen[seen.details.objective]
    best = tested["high"] if reading.sign > 0 else tested["low"]
    if row.score is not None and reading.sign * row.score > reading.sign * best:
        yield Advice(
            "Trust the holdout, and validate on more examples: the choice was optimistic.",
            f"On validation the {reading.title} of the chosen candidate is "
            f"{reading.text(row.score)}, on the holdout {reading.text(tested['value'])} "
            f"({reading.span(tested['low'], tested['high'])}).",
        )


def _calibration(seen: Evidence) -> Iterator[Advice]:
    error = seen.chosen.get("ece")
    bins = seen.details.calibration.get("chosen")
    if not seen.classes or not bins or error is None or error["value"] < seen.ece:
        return
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
    if not seen.classes:
        return
    weak = [name for name, recall in seen.recalls.items() if recall["value"] < seen.recall]
    for name in sorted(weak, key=lambda name: (seen.recalls[name]["value"], name))[:3]:
        found = seen.recalls[name]
        place = seen.details.names.index(name)
        row = seen.details.confusion[place]
        errors = [0 if at == place else count for at, count in enumerate(row)]
        taken = seen.details.names[errors.index(max(errors))]
        yield Advice(
            f"Look at the examples of “{name}”.",
            f"{100 * found['value']:.1f} % of its {sum(row):,} holdout examples are found "
            f"({100 * found['low']:.1f} to {100 * found['high']:.1f}); {max(errors):,} are taken "
            f"for “{taken}”.",
        )


def _off(seen: Evidence) -> Iterator[Advice]:
    stages = seen.compared.records
    names = [
        row.candidate for row in seen.ledger if row.decision == "off" and row.candidate in stages
    ]
    if names:
        yield Advice(
            f"Switch on {', '.join(names)}.",
            "Off in params.yaml, so nothing is known of what would be gained.",
        )


def names(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that stand in the trials' columns, between the number and the score."""
    columns = list(trials[0]) if trials else []
    return columns[1 : columns.index("score")] if columns else []


def is_number(value: object) -> bool:
    """Whether it is one, which True is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def best_trial(done: Sequence[Mapping[str, Any]], sign: int) -> Mapping[str, Any]:
    """The best score, the highest or with sign -1 the lowest; of equal ones that with the lowest
    loss, then the first."""
    return min(done, key=lambda trial: (-sign * trial["score"], trial["loss"]))


def _row(seen: Evidence, name: str) -> Row:
    return next(row for row in seen.ledger if row.candidate == name)


def _ends(row: Row) -> tuple[float, float]:
    return row.score_low or 0.0, row.score_high or 0.0


def _gain(seen: Evidence, row: Row) -> tuple[float, float, float] | None:
    """How much better than its reference a candidate is, least and most, whatever the direction;
    None without a reference."""
    value, low, high = row.difference, row.difference_low, row.difference_high
    if value is None or low is None or high is None:
        return None
    return (value, low, high) if seen.objective.sign > 0 else (-value, -high, -low)


def _span(seen: Evidence, row: Row) -> str:
    """The difference with its interval, in the objective's unit."""
    value, low, high = (
        seen.objective.difference(end or 0.0)
        for end in (row.difference, row.difference_low, row.difference_high)
    )
    return f"{value}{seen.objective.points} ({low} to {high})"


def _by(counts: Mapping[str, int]) -> Any:
    return lambda name: (counts[name], name)


def _two_digits(value: float) -> int:
    """All that an estimate of this kind is worth."""
    return int(float(f"{value:.2g}"))
