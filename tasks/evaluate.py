"""Choose among the candidates on validation; then, once, look at the holdout."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models import metrics
from models.candidate import Record, Trained, Yardsticks
from models.evaluation import Choice, Details, Evaluation
from models.examples import Development, Examples, Holdout
from models.intervals import Bootstrap, Sample
from models.ledger import Entrant, Judge, Row
from pipeline.artifacts import Confusion, Csv
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.params import Section

Codes = npt.NDArray[np.int32]

log = logging.getLogger("fettle")


class EvaluateParams(Section):
    """How sure a claim must be."""

    replicates: int = Field(ge=100, le=100_000)
    """Resamplings of each bootstrap."""
    level: float = Field(ge=0.5, lt=1)
    """Confidence level of every interval."""
    seed: int = Field(ge=0)
    tolerance: float = Field(ge=0, lt=1)
    """Accuracy, from 0 to 1, that a cheaper candidate may lose at the most."""
    bins: int = Field(ge=2, le=100)
    """Bins of the expected calibration error."""


@dataclass(frozen=True)
class _Predicted:
    """What one model says about the holdout: probabilities `(n, classes)` float32."""

    probabilities: npt.NDArray[np.float32]
    samples: dict[str, Sample]


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
    distill: Trained,
    params: EvaluateParams,
) -> None:
    """Choose among the candidates on validation, then test once on the holdout.

    Raises InputError where a part holds a class that training never saw.
    """
    candidates = {
        "baseline": baseline,
        "search": search,
        "regularize": regularize,
        "finetune": finetune,
        "distill": distill,
    }
    bootstrap = Bootstrap(params.replicates, params.level, params.seed)
    classes = development.classes()
    labels = _codes(development.validation(), classes, "validation")
    rows = _judge(yardsticks, candidates, labels, bootstrap, params.tolerance)
    choice = _choice(rows)
    _write_ledger(out.ledger, rows)
    out.chosen.write(candidates[choice.candidate].model, development.schema(), classes, choice)

    # The choice is made and written: only now is the test set read.
    examples = holdout.read()
    actual = _codes(examples, classes, "holdout")
    models = {"chosen": candidates[choice.candidate].model, "baseline": baseline.model}
    tested = _test(models, examples, actual, bootstrap, params)
    headlines = {
        name: _headline(predicted.samples, len(actual), bootstrap)
        for name, predicted in tested.items()
    }
    recalls = {
        name: _recalls(predicted.samples["recall"], actual, classes, bootstrap)
        for name, predicted in tested.items()
    }
    out.metrics.write({"n": len(actual), **headlines, "recall": recalls})
    predicted = tested["chosen"].probabilities
    _write_confusion(out.confusion, actual, predicted, classes)
    counts = metrics.confusion(predicted, actual, metrics.even(len(actual)))[0].astype(int)
    Details(
        chosen=choice.candidate,
        classes=tuple(classes),
        level=params.level,
        replicates=params.replicates,
        seed=params.seed,
        tolerance=params.tolerance,
        validation_examples=len(labels),
        holdout_examples=len(actual),
        confusion=tuple(tuple(row) for row in counts.tolist()),
        calibration={
            name: tuple(metrics.calibration_bins(one.probabilities, actual, params.bins))
            for name, one in tested.items()
        },
    ).write(out.details)
    _say(choice, headlines["chosen"]["accuracy"], params.level, len(actual))


def _judge(
    yardsticks: Yardsticks,
    candidates: Mapping[str, Trained],
    labels: Codes,
    bootstrap: Bootstrap,
    tolerance: float,
) -> list[Row]:
    """The ledger's rows, from what every candidate says about the validation examples."""
    simple = yardsticks.read()
    return Judge(bootstrap, len(labels), tolerance).walk(
        [
            _entrant(name, None, simple[name][np.newaxis], labels, bootstrap)
            for name in ("majority", "linear")
        ],
        [_network(name, trained, labels, bootstrap) for name, trained in candidates.items()],
    )


def _network(name: str, trained: Trained, labels: Codes, bootstrap: Bootstrap) -> Entrant:
    record = trained.record()
    if not record.enabled:
        return Entrant(name, record, None, None)
    return _entrant(name, record, trained.probabilities(), labels, bootstrap)


def _entrant(
    name: str,
    record: Record | None,
    probabilities: npt.NDArray[np.float32],
    labels: Codes,
    bootstrap: Bootstrap,
) -> Entrant:
    figures = {"accuracy": metrics.accuracy, "log_loss": metrics.log_loss}
    samples = bootstrap.sample(figures, probabilities, labels)
    return Entrant(name, record, samples["accuracy"], float(samples["log_loss"].value))


def _choice(rows: Sequence[Row]) -> Choice:
    row = next(row for row in rows if row.decision == "chosen")
    return Choice(candidate=row.candidate, reason=row.reason)


def _codes(examples: Examples, classes: Sequence[str], part: str) -> Codes:
    """Places of the labels in `classes`, `(n,)` int32."""
    unseen = sorted(set(examples.labels.tolist()) - set(classes))
    if unseen:
        raise InputError(
            f"the {part} part holds {len(unseen)} class(es) that training never saw, such as "
            f"{unseen[0]!r}; training saw {len(classes)} classes.\n"
            "Give every class enough rows for all parts, or remove its rows."
        )
    return examples.codes(classes)


def _test(
    models: Mapping[str, Path],
    examples: Examples,
    actual: Codes,
    bootstrap: Bootstrap,
    params: EvaluateParams,
) -> dict[str, _Predicted]:
    """Every model's word on the holdout; one that has two names is asked once."""
    figures = {
        "accuracy": metrics.accuracy,
        "log_loss": metrics.log_loss,
        "balanced_accuracy": metrics.balanced_accuracy,
        "macro_f1": metrics.macro_f1,
        "auc": metrics.auc,
        "ece": metrics.calibration_error(params.bins),
        "recall": metrics.recall,
    }
    tested: dict[Path, _Predicted] = {}
    for path in models.values():
        if path not in tested:
            probabilities = _predict(path, examples, params.seed)
            samples = bootstrap.sample(figures, probabilities[np.newaxis], actual)
            tested[path] = _Predicted(probabilities, samples)
    return {name: tested[path] for name, path in models.items()}


def _predict(model: Path, examples: Examples, seed: int) -> npt.NDArray[np.float32]:
    from models import determinism, training

    determinism.start(seed)
    from models import archive

    return training.predict(archive.load(model), examples)


def _headline(
    samples: Mapping[str, Sample], n: int, bootstrap: Bootstrap
) -> dict[str, dict[str, float]]:
    """Every figure that is one number, with its interval; without those that are not known."""
    intervals = {
        name: bootstrap.share(float(sample.value), sample.draws, n)
        if name == "accuracy"
        else bootstrap.interval(float(sample.value), sample.draws)
        for name, sample in samples.items()
        if sample.value.ndim == 0 and not np.isnan(sample.value)
    }
    return {name: interval.rounded() for name, interval in intervals.items()}


def _recalls(
    sample: Sample, actual: Codes, classes: Sequence[str], bootstrap: Bootstrap
) -> dict[str, dict[str, float]]:
    """Recall of every class that has holdout examples."""
    counts = np.bincount(actual, minlength=len(classes))
    return {
        classes[place]: bootstrap.share(
            float(sample.value[place]), sample.draws[:, place], int(counts[place])
        ).rounded()
        for place in map(int, np.flatnonzero(counts))
    }


def _write_ledger(ledger: Csv, rows: Sequence[Row]) -> None:
    import pandas as pd

    table = pd.DataFrame([row.values() for row in rows])
    counts = ["parameters", "multiply_adds", "fits", "epochs", "examples"]
    # Whole numbers stay whole beside empty cells.
    ledger.write(table.astype(dict.fromkeys(counts, "Int64")))


def _write_confusion(
    confusion: Confusion,
    actual: Codes,
    probabilities: npt.NDArray[np.float32],
    classes: Sequence[str],
) -> None:
    import pandas as pd

    names = np.array(classes, dtype=object)
    confusion.write(
        pd.DataFrame({"actual": names[actual], "predicted": names[probabilities.argmax(axis=1)]})
    )


def _say(choice: Choice, accuracy: Mapping[str, float], level: float, n: int) -> None:
    value, low, high = (100 * accuracy[key] for key in ("value", "low", "high"))
    log.info(
        f"chosen: {choice.candidate}; on the {n} holdout examples its accuracy is {value:.1f} % "
        f"({100 * level:g} % interval {low:.1f} to {high:.1f})"
    )
