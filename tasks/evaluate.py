"""Choose among the candidates on validation; then, once, look at the holdout."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dataset.examples import Development, Examples, Holdout
from dataset.target import Target
from metrics import classification, multilabel, particulars, threshold
from metrics.classification import Figure, Truth
from metrics.intervals import Bootstrap, Interval, Sample, effective
from metrics.objective import Importance, Measure, Objective, all_figures, loss_for
from metrics.threshold import Decision, Tuned
from models.candidate import Quantised, Record, Trained, Yardsticks
from models.judging import latency
from models.judging.evaluation import Choice, Details, Evaluation
from models.judging.ledger import Entrant, Judge, Limits, Row, Rule
from pipeline.artifacts import Confusion, Csv
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section

Predictions = npt.NDArray[np.float32]
BY_NAME = "recall by name"
"""The figure that has a value for each class or label."""

STUDENT, UNTAUGHT, IN_8_BITS = "distill", "distill without its teacher", "distill in 8 bits"
"""What the student and its variants are called in the ledger."""

log = logging.getLogger("fettle")


class EvaluateParams(Section):
    """How sure a claim must be, and how probabilities become answers."""

    replicates: int = Field(ge=100, le=100_000)
    """Resamplings of each bootstrap."""
    level: float = Field(ge=0.5, lt=1)
    """Confidence level of every interval."""
    seed: int = Field(ge=0)
    tolerance: float = Field(ge=0, lt=1)
    """How much worse in the objective a cheaper candidate may be at the most: so much of a figure
    without a unit (shares are from 0 to 1), so large a part of a figure with one, such as 0.01 for
    a root mean squared error 1 % higher."""
    choice: Rule
    """Which candidate is chosen: step by step, where what is dearer has to be proven better and
    what is cheaper to lose no more than the tolerance; or the best within the limits; see
    `models.judging.ledger`."""
    limits: Limits
    bins: int = Field(ge=2, le=100)
    """Bins of the expected calibration error."""
    threshold: Literal["half", "tuned"]
    """The probability above which two classes or labels are answered yes: 0.5, or on validation
    the best for the objective; see `metrics.threshold.choose`."""


@dataclass(frozen=True)
class _Part:
    """What a part's examples say, and how much each counts, as figures take them."""

    truth: Truth
    importance: Importance

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class _Tested:
    """What one model says about the holdout: predictions `(n, k)` float32, after the decision
    `sharp`, and its figures."""

    predictions: Predictions
    sharp: Predictions
    answers: npt.NDArray[Any]
    samples: dict[str, Sample]


@dataclass(frozen=True)
class _Variants:
    """What is compared with a student and cannot be chosen."""

    student: Trained
    control: Trained
    int8: Quantised


@stage()
def evaluate(
    out: Evaluation,
    development: Development,
    holdout: Holdout,
    yardsticks: Yardsticks,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    finetune: Trained,
    ensemble: Trained,
    distill: Trained,
    control: Trained,
    int8: Quantised,
    objective: Objective,
    params: EvaluateParams,
) -> None:
    """Choose among the candidates on validation, then test once on the holdout.

    Raises InputError where the objective does not fit the task, where a part's examples cannot
    tell it, where no candidate is within the limits, or where a part holds a class that training
    never saw.
    """
    candidates = {
        "baseline": baseline,
        "search": search,
        "regularize": regularize,
        "finetune": finetune,
        "ensemble": ensemble,
        "distill": distill,
    }
    target = development.target()
    measure = objective.metric_for(target)
    bootstrap = Bootstrap(params.replicates, params.level, params.seed)
    known = bootstrap.among(development.units("validation"))
    with _seen("validation", target):
        validation = _Part(*development.truth("validation"))
    loss = loss_for(target)
    variants = _Variants(distill, control, int8)
    rows = _judge(yardsticks, candidates, variants, validation, measure, loss, known, params)
    choice = _choice(rows)
    asked = {"chosen": candidates[choice.candidate], "baseline": baseline}
    decided = {
        name: _decide(trained, validation, target, objective, params)
        for name, trained in asked.items()
    }
    decisions = {name: decision for name, (decision, _) in decided.items()}
    _write_ledger(out.ledger, rows)
    out.chosen.write(
        asked["chosen"].model, development.schema(), target, decisions["chosen"], choice
    )

    # The choice is made and written: only now is the test set read.
    with _seen("holdout", target):
        tests = _tests(holdout, target)
    sealed = bootstrap.among(holdout.units())
    shown = all_figures(target, objective, params.bins)
    tested = _test(holdout, asked, decisions, tests, shown, sealed, params.seed)
    # Raises where the holdout cannot tell.
    measure.score(tested["chosen"].predictions, tests.truth, tests.importance)
    figures = {name: _headline(one, tests, shown, sealed) for name, one in tested.items()}
    recalls = {name: _recalls(one, tests, target, sealed) for name, one in tested.items()}
    by_name = {} if target.task == "regression" else {"recall": recalls}
    out.metrics.write({"n": len(tests), "objective": measure.name, **figures, **by_name})
    _write_answers(out.confusion, tested["chosen"], tests, target)
    _details(
        choice=choice,
        target=target,
        objective=objective,
        shown=shown,
        loss=loss,
        thresholds={name: tuned for name, (_, tuned) in decided.items() if tuned},
        validation=validation,
        tests=tests,
        tested=tested,
        params=params,
    ).write(out.details)
    _measure_latency(candidates, int8, development)
    _say(choice, measure, figures["chosen"][measure.name], params.level, len(tests))


def _measure_latency(
    candidates: Mapping[str, Trained], int8: Quantised, development: Development
) -> None:
    """For the page of timings alone: what each candidate takes to answer, by the clock."""
    models = {name: one.model for name, one in candidates.items() if one.record().enabled}
    if int8.facts.read()["enabled"]:
        models[IN_8_BITS] = int8.network
    latency.measure(models, next(iter(development.blocks("validation"))))


@contextmanager
def _seen(part: str, target: Target) -> Iterator[None]:
    """Raise InputError where the block meets a class that training never saw."""
    try:
        yield
    except KeyError as error:
        raise InputError(
            f"the {part} part holds the class {error.args[0]!r}, which training never saw; "
            f"training saw {len(target.names)} classes.\n"
            "Give every class enough rows for all parts, or remove its rows."
        ) from None


def _tests(holdout: Holdout, target: Target) -> _Part:
    """What the holdout's examples say, a block of them in memory at a time."""
    parts = [(block.targets, block.weights) for block in holdout.blocks()]
    weights = [weights for _, weights in parts if weights is not None]
    return _Part(
        target.truth(np.concatenate([targets for targets, _ in parts])),
        np.concatenate(weights) if weights else None,
    )


def _judge(
    yardsticks: Yardsticks,
    candidates: Mapping[str, Trained],
    variants: _Variants,
    validation: _Part,
    measure: Measure,
    loss: Measure,
    bootstrap: Bootstrap,
    params: EvaluateParams,
) -> list[Row]:
    """The ledger's rows, from what every candidate says about the validation examples.

    Thresholds play no part: every candidate answers with the likeliest class or label.
    """
    simple = yardsticks.read()

    def entrant(name: str, record: Record | None, predictions: Predictions) -> Entrant:
        # Raises where these examples cannot tell, for every candidate alike.
        measure.score(predictions[0], validation.truth, validation.importance)
        figures = {"score": measure.figure, "loss": loss.figure}
        samples = bootstrap.sample(figures, predictions, validation.truth, validation.importance)
        return Entrant(name, record, samples["score"], float(samples["loss"].value))

    def network(name: str, trained: Trained) -> Entrant:
        record = trained.record()
        if not record.enabled:
            return Entrant(name, record, None, None)
        return entrant(name, record, trained.predictions())

    trials = measure.trials(validation.truth, validation.importance)
    judge = Judge(
        bootstrap,
        measure.reading,
        loss.reading,
        trials,
        params.tolerance,
        params.choice,
        params.limits,
    )
    networks = [network(name, trained) for name, trained in candidates.items()]
    rows = judge.walk(
        [entrant(name, None, values[np.newaxis]) for name, values in simple.items()], networks
    )
    student = next(one for one in networks if one.name == STUDENT)
    place = next(at for at, row in enumerate(rows) if row.candidate == STUDENT) + 1
    return [*rows[:place], *_compared(judge, entrant, student, variants), *rows[place:]]


def _compared(
    judge: Judge,
    entrant: Callable[[str, Record | None, Predictions], Entrant],
    student: Entrant,
    variants: _Variants,
) -> Iterator[Row]:
    """A row for each variant of the student that there is."""
    record = student.record
    if student.score is None or record is None:
        return
    untaught = variants.control.record()
    if untaught.enabled:
        control = entrant(UNTAUGHT, untaught, variants.control.predictions())
        yield judge.untaught(control, student)
    facts = variants.int8.facts.read()
    if facts["enabled"]:
        counts = {name: facts[name] for name in ("parameters", "multiply_adds")}
        nothing = dict.fromkeys(("fits", "epochs", "examples"), 0)
        small = entrant(
            IN_8_BITS,
            record.model_copy(update={**counts, **nothing}),
            variants.int8.predictions(),
        )
        # It was made of one seed's network, so it is compared with what that one said.
        told = variants.student.predictions()[[_saved(record)]]
        saved = entrant(STUDENT, record, told)
        yield judge.in_8_bits(small, saved, facts["bytes"], facts["float_bytes"])


def _saved(record: Record) -> int:
    """The place of the saved model among the seeds."""
    return 0 if record.saved_seed is None else record.seeds.index(record.saved_seed)


def _choice(rows: Sequence[Row]) -> Choice:
    row = next(row for row in rows if row.decision == "chosen")
    return Choice(candidate=row.candidate, reason=row.reason)


def _decide(
    trained: Trained,
    validation: _Part,
    target: Target,
    objective: Objective,
    params: EvaluateParams,
) -> tuple[Decision, Tuned | None]:
    """The decision for the model that is saved, from what that one said about validation."""
    predictions = trained.predictions()[_saved(trained.record())]
    return threshold.choose(
        params.threshold, target, objective, predictions, validation.truth, validation.importance
    )


def _test(
    holdout: Holdout,
    asked: Mapping[str, Trained],
    decisions: Mapping[str, Decision],
    tests: _Part,
    shown: Mapping[str, Measure],
    bootstrap: Bootstrap,
    seed: int,
) -> dict[str, _Tested]:
    """Every model's word on the holdout; one that has two names is asked once."""
    tested: dict[Path, _Tested] = {}
    for name, trained in asked.items():
        if trained.model in tested:
            continue
        decision = decisions[name]
        figures = {one: decision.measured(measure) for one, measure in shown.items()}
        predictions = _predict(trained.model, holdout.blocks(), seed)
        samples = bootstrap.sample(
            {**figures, **_by_name(decision)},
            predictions[np.newaxis],
            tests.truth,
            tests.importance,
        )
        tested[trained.model] = _Tested(
            predictions, decision.sharp(predictions), decision.answers(predictions), samples
        )
    return {name: tested[trained.model] for name, trained in asked.items()}


def _by_name(decision: Decision) -> dict[str, Figure]:
    """The recall of every class or label after the decision; quantities have none."""
    if decision.task == "regression":
        return {}
    recall = classification.recall if decision.task == "classification" else multilabel.recalls
    return {
        BY_NAME: lambda predictions, truth, weights: recall(
            decision.sharp(predictions), truth, weights
        )
    }


def _predict(model: Path, blocks: Iterable[Examples], seed: int) -> Predictions:
    """What the saved model says about examples that come a block at a time."""
    from models import training
    from models.fitting import determinism

    determinism.start(seed)
    from models import archive

    loaded = archive.load(model)
    return np.concatenate([training.predict(loaded, block) for block in blocks])


def _headline(
    tested: _Tested, tests: _Part, shown: Mapping[str, Measure], bootstrap: Bootstrap
) -> dict[str, dict[str, float]]:
    """Every figure that is one number, with its interval; without those that are not known."""
    figures = {}
    for name, measure in shown.items():
        sample = tested.samples[name]
        trials = measure.trials(tests.truth, tests.importance)
        value = float(sample.value)
        if np.isnan(value):
            continue
        interval = (
            bootstrap.interval(value, sample.draws)
            if trials is None
            else bootstrap.share(value, sample.draws, trials)
        )
        if not np.isnan(interval.low):
            figures[name] = _rounded(interval, measure)
    return figures


def _rounded(interval: Interval, measure: Measure) -> dict[str, float]:
    ends = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {end: measure.reading.rounded(held, interval.value) for end, held in ends.items()}


def _recalls(
    tested: _Tested, tests: _Part, target: Target, bootstrap: Bootstrap
) -> dict[str, dict[str, float]]:
    """Recall of every class or label that has holdout examples."""
    if target.task == "regression":
        return {}
    sample = tested.samples[BY_NAME]
    recalls = {}
    for place, name in enumerate(target.names):
        held = (
            tests.truth == place if target.task == "classification" else tests.truth[:, place] > 0.5
        )
        value = float(sample.value[place])
        if np.isnan(value):
            continue
        importance = None if tests.importance is None else tests.importance[held]
        trials = effective(int(held.sum()), importance)
        recalls[name] = bootstrap.share(value, sample.draws[:, place], trials).rounded()
    return recalls


def _write_ledger(ledger: Csv, rows: Sequence[Row]) -> None:
    import pandas as pd

    table = pd.DataFrame([row.values() for row in rows])
    counts = ["parameters", "multiply_adds", "fits", "epochs", "examples"]
    # Whole numbers stay whole beside empty cells.
    ledger.write(table.astype(dict.fromkeys(counts, "Int64")))


def _write_answers(confusion: Confusion, tested: _Tested, tests: _Part, target: Target) -> None:
    import pandas as pd

    actual, predicted = particulars.answers(tested.answers, tests.truth, target)
    confusion.write(pd.DataFrame({"actual": actual, "predicted": predicted}))


def _details(
    *,
    choice: Choice,
    target: Target,
    objective: Objective,
    shown: Mapping[str, Measure],
    loss: Measure,
    thresholds: Mapping[str, Tuned],
    validation: _Part,
    tests: _Part,
    tested: Mapping[str, _Tested],
    params: EvaluateParams,
) -> Details:
    chosen, task, truth = tested["chosen"], target.task, tests.truth
    place = objective.place(target)
    classes, labels, quantities = (
        tested if task == one else {} for one in ("classification", "multilabel", "regression")
    )
    return Details(
        task=task,
        names=target.names,
        positive=target.names[place] if place is not None and "recall" in shown else None,
        chosen=choice.candidate,
        objective=objective.metric,
        figures={name: measure.reading for name, measure in shown.items()},
        loss=loss.reading,
        thresholds=dict(thresholds),
        level=params.level,
        replicates=params.replicates,
        seed=params.seed,
        tolerance=params.tolerance,
        rule=params.choice,
        validation_examples=len(validation),
        holdout_examples=len(tests),
        confusion=particulars.confusion(chosen.sharp, truth) if classes else (),
        calibration={
            name: tuple(classification.calibration_bins(one.predictions, truth, params.bins))
            for name, one in classes.items()
        },
        labels={name: particulars.labels(one.sharp, truth, target) for name, one in labels.items()},
        residuals={
            name: particulars.residuals(one.predictions, truth, target)
            for name, one in quantities.items()
        },
        points=particulars.points(chosen.predictions, truth, target) if quantities else {},
    )


def _say(
    choice: Choice, measure: Measure, figure: Mapping[str, float], level: float, n: int
) -> None:
    reading = measure.reading
    log.info(
        f"chosen: {choice.candidate}; on the {n} holdout examples its {reading.title} is "
        f"{reading.text(figure['value'])} "
        f"({100 * level:g} % interval {reading.span(figure['low'], figure['high'])})"
    )
