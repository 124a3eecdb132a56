"""Whether a challenger replaces the champion: a paired comparison on examples that neither knows.

Both models are asked about the same promotion examples. They may have been made from different
columns and classes: what the champion lacks counts as missing for it, and a class that a model does
not know has the probability 0 from it. Rows that either was trained or chosen on are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dataset.examples import Examples, Schema
from dataset.partition import Keys, content_keys
from dataset.target import Target
from metrics.classification import Figure, Predictions
from metrics.intervals import Bootstrap, Interval
from metrics.objective import Importance, Measure, Objective
from metrics.readings import Reading
from metrics.threshold import Decision
from pipeline.params import Section

NAMED = 5
"""Columns or classes that a sentence lists at the most."""


class DriftParams(Section):
    """From which difference on new data have drifted; see `dataset.checks.logged`."""

    psi: float = Field(gt=0, le=10)
    """Population stability index."""
    level: float = Field(gt=0, le=0.5)
    """Share of the findings on columns that may be there by chance, as Benjamini and Hochberg have
    it."""


class ChampionParams(Section):
    """When a challenger replaces the champion; no stage depends on it."""

    rule: Literal["better", "not_worse"]
    """`better`: it is proven better by more than the margin. `not_worse`: it is not proven worse by
    more than the margin, so that newer data are taken."""
    margin: float = Field(ge=0, lt=1)
    """Of the objective: so much of a figure without a unit, so large a part of one with a unit."""
    rows: int = Field(ge=2)
    """Promotion examples that must be left for a comparison, at the least."""
    replicates: int = Field(ge=100, le=100_000)
    """Resamplings of the bootstrap."""
    level: float = Field(ge=0.5, lt=1)
    """How sure the interval of the difference is."""
    seed: int = Field(ge=0)
    """Of the resamplings."""
    drift: DriftParams


@dataclass(frozen=True)
class Side:
    """One of the two models, and what it says of the n examples."""

    target: Target
    decision: Decision
    predictions: Predictions
    """`(n, k)`, in the order of its own target."""


@dataclass(frozen=True)
class Compared:
    """Both models' figures on the same n examples, and their difference."""

    reading: Reading
    rows: int
    champion: Interval
    challenger: Interval
    difference: Interval
    """challenger - champion, paired, in the figure's own unit."""

    @property
    def gain(self) -> Interval:
        """The difference, turned so that more is better."""
        if self.reading.sign > 0:
            return self.difference
        one = self.difference
        return Interval(-one.value, -one.high, -one.low)


def keys_by(schema: Schema, examples: Examples) -> Keys | None:
    """`(n,)` hashes of what a model with this schema is shown, as `content_keys` gave them when it
    was made; None where a column of it is not there, or holds something else."""
    told = [examples.features.get(name) for name in schema.names()]
    features = {
        name: values
        for name, values in zip(schema.names(), told, strict=True)
        if values is not None
    }
    if len(features) < len(told):
        return None
    return content_keys(Examples(features, examples.targets, examples.rows, examples.weights))


def known_rows(keys: Keys, units: Keys, known: Sequence[Keys]) -> npt.NDArray[np.bool_]:
    """`(n,)` which rows are known to a model: those with one of the `known` keys, and all of a unit
    (a group, copies, near copies) of which one is."""
    own = np.zeros(len(keys), dtype=np.bool_)
    for held in known:
        own |= np.isin(keys, held)
    return own | np.isin(units, units[own])


def incomparable(champion: tuple[Schema, Target], challenger: tuple[Schema, Target]) -> str | None:
    """Why two models cannot be asked about the same examples, in words; None where they can."""
    (old, before), (new, after) = champion, challenger
    if before.task != after.task:
        return f"the champion is for {before.task}, and the challenger for {after.task}"
    if old.kind != new.kind:
        return f"the champion takes {_things(old)}, and the challenger {_things(new)}"
    if old.kind == "pictures" and old.shape != new.shape:
        sizes = [" x ".join(map(str, schema.shape)) for schema in (old, new)]
        return f"the champion takes pictures of {sizes[0]}, and the challenger of {sizes[1]}"
    if after.task == "regression" and set(before.names) != set(after.names):
        return (
            f"the champion predicts {_named(before.names)}, and the challenger "
            f"{_named(after.names)}"
        )
    if not set(before.names) & set(after.names):
        what = "class" if after.task == "classification" else "label"
        return f"the two models have no {what} in common"
    return None


def _things(schema: Schema) -> str:
    return "pictures" if schema.kind == "pictures" else "rows of a table"


def differences(
    champion: tuple[Schema, Target], challenger: tuple[Schema, Target]
) -> Iterator[str]:
    """How the models differ in what they take and tell, a sentence each."""
    (old, before), (new, after) = champion, challenger
    then, now = ({one.name: one.type for one in schema.columns} for schema in (old, new))
    if gone := [name for name in then if name not in now]:
        yield f"gone since the champion was made: {_named(gone)}; it is shown them as missing"
    if other := [name for name, held in then.items() if now.get(name, held) != held]:
        told = ", ".join(f"{name!r} was {then[name]} and is {now[name]}" for name in other[:NAMED])
        yield f"of another type than for the champion: {told}; it is shown them as missing"
    if added := [name for name in now if name not in then]:
        yield f"the challenger alone takes {_named(added)}"
    if after.task == "regression":
        return
    what = "class" if after.task == "classification" else "label"
    if unknown := [name for name in after.names if name not in before.names]:
        yield f"{_kinds(what, unknown)} the champion does not know: {_named(unknown)}"
    if unknown := [name for name in before.names if name not in after.names]:
        yield f"{_kinds(what, unknown)} that the challenger does not know: {_named(unknown)}"


def _kinds(what: str, names: Sequence[str]) -> str:
    plural = {"class": "classes", "label": "labels"}[what]
    return f"a {what}" if len(names) == 1 else f"{len(names)} {plural}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more


def shown_to(schema: Schema, examples: Examples, given: Schema) -> Examples:
    """The examples, typed by the schema `given`, as a model with another schema takes them: what is
    not there, or is of another type, is missing."""
    if schema.kind == "pictures":
        return examples
    types = {column.name: column.type for column in given.columns}
    features: dict[str, npt.NDArray[np.generic]] = {}
    for column in schema.columns:
        if types.get(column.name) == column.type:
            features[column.name] = examples.features[column.name]
        else:
            features[column.name] = _nothing(column.type, len(examples))
    return Examples(features, examples.targets, examples.rows, examples.weights)


def _nothing(kind: str, count: int) -> npt.NDArray[Any]:
    if kind in ("categorical", "text"):
        return np.full(count, "", dtype=object)
    return np.full(count, np.nan, dtype=np.float64 if kind == "time" else np.float32)


def compare(
    champion: Side,
    challenger: Side,
    targets: npt.NDArray[Any],
    importance: Importance,
    objective: Objective,
    bootstrap: Bootstrap,
) -> Compared:
    """The objective of both on the same examples, each after its own decision.

    targets: as `dataset.examples.Examples` has them, in the challenger's order. Both must say what
    is finite. Raises InputError where the examples cannot tell, KeyError where one has a class that
    neither model knows.
    """
    together = _together(champion.target, challenger.target)
    measure = _wished(objective, challenger.target).metric_for(together)
    truth = together.truth(targets)
    samples = {}
    for name, side in (("champion", champion), ("challenger", challenger)):
        figure, said = _as_told(side, together, measure)
        # Raises where these examples cannot tell.
        measure.score(said, truth, importance)
        samples[name] = bootstrap.sample({"it": figure}, said[np.newaxis], truth, importance)["it"]
    trials = measure.trials(truth, importance)
    intervals = {
        name: bootstrap.interval(float(one.value), one.draws)
        if trials is None
        else bootstrap.share(float(one.value), one.draws, trials)
        for name, one in samples.items()
    }
    return Compared(
        measure.reading,
        len(truth),
        intervals["champion"],
        intervals["challenger"],
        bootstrap.difference(samples["challenger"], samples["champion"]),
    )


def _wished(objective: Objective, target: Target) -> Objective:
    """The objective about the class that it was about when the challenger was chosen."""
    if target.task != "classification" or objective.positive is not None:
        return objective
    return objective.model_copy(update={"positive": target.names[-1]})


def _together(one: Target, other: Target) -> Target:
    """A target with all classes of both; of labels and quantities those of the second, which the
    examples tell."""
    names = (
        tuple(sorted({*one.names, *other.names})) if other.task == "classification" else other.names
    )
    return Target(task=other.task, names=names, quantities=(), class_weights=())


def _as_told(side: Side, together: Target, measure: Measure) -> tuple[Figure, Predictions]:
    """The figure, and what the side says in the order of `together`, decided where that counts."""
    told = side.predictions
    if measure.metric.decided:
        told = side.decision.sharp(told)
    places = {name: place for place, name in enumerate(together.names)}
    aligned = np.zeros((len(told), len(together.names)), dtype=np.float32)
    for place, name in enumerate(side.target.names):
        if name in places:
            aligned[:, places[name]] = told[:, place]
    return measure.figure, aligned


def judged(compared: Compared, params: ChampionParams) -> tuple[bool, str]:
    """Whether the challenger takes the champion's place by the rule, and why, in words."""
    margin = compared.reading.allowed(params.margin, compared.champion.value)
    found = _found(compared, params.level)
    beyond = "" if not margin else f" by more than {_amount(compared.reading, margin)}"
    if np.isnan(compared.gain.low):
        return False, f"these rows cannot tell how sure the difference is: {found}"
    if params.rule == "better":
        if compared.gain.low > margin:
            return True, f"proven better{beyond}: {found}"
        verdict = "proven worse" if compared.gain.high < 0 else f"not proven better{beyond}"
        return False, f"{verdict}: {found}"
    if compared.gain.high < -margin:
        return False, f"proven worse{beyond}: {found}"
    if compared.gain.low > 0:
        return True, f"proven better: {found}"
    return True, f"not proven worse{beyond}: {found}"


def _found(compared: Compared, level: float) -> str:
    reading = compared.reading
    low, high = (
        reading.difference(end) for end in (compared.difference.low, compared.difference.high)
    )
    return (
        f"{reading.title} {reading.text(compared.challenger.value)} instead of "
        f"{reading.text(compared.champion.value)}, {reading.difference(compared.difference.value)}"
        f"{reading.points} ({100 * level:g} % interval {low} to {high}) on {compared.rows:,} rows"
    )


def _amount(reading: Reading, value: float) -> str:
    return f"{reading.amount(value)}{reading.points}"
