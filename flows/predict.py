"""`fettle predict`: the chosen model's predictions for new examples, as CSV."""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.arrivals import Arrivals, Reading, read_arrivals
from dataset.examples import Examples
from dataset.tables.cells import Missing
from dataset.target import Target
from flows import predict_log
from flows.champion_decisions import now
from metrics.intervals import Bootstrap
from metrics.objective import Measure, Objective
from metrics.threshold import Decision
from models.judging.evaluation import Chosen
from pipeline.artifacts import replacing
from pipeline.errors import InputError, shown
from pipeline.params import Section
from pipeline.params_file import load_some

if TYPE_CHECKING:
    import pandas as pd

    from dataset.ingest_settings import IngestParams

CHOSEN = Path("artifacts/evaluate/chosen")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV
Injection")."""

Array = npt.NDArray[Any]


def predict(
    path: Path, out: Path | None, *, log: Path | None = None, champion: bool = False
) -> None:
    """Write one line an example: row (from 1) or picture, then what is predicted.

    `log`: a file that inputs and predictions are appended to, see `flows.predict_log`; `champion`:
    whether the model in use is asked rather than the one that the last run chose.

    Classification: prediction, and `probability CLASS` for each class; multilabel: `prediction
    LABEL`, 1 or 0, and `probability LABEL`; regression: `prediction TARGET`. Where the new data
    have targets too, figures on them are said on stderr, in which each row counts once. Raises
    InputError where no model is chosen yet, the new data do not fit it, or would be written over.
    """
    if out is not None and out.exists() and path.exists() and out.samefile(path):
        raise InputError(f"{out}: these are the new data, which predictions would replace.")
    chosen = _in_use() if champion else Chosen(CHOSEN)
    if not chosen.model.is_file():
        raise InputError("No model is chosen yet. Make one with: ./fettle run")
    schema, target, decision = chosen.schema(), chosen.target(), chosen.decision()
    ingest, objective, bootstrap = _params()
    new = read_arrivals(path, schema, target, _reading(ingest))
    for note in new.notes:
        print(shown(note), file=sys.stderr)
    measures = _measures(target, objective) if new.known is not None else []
    predictions = _predictions(chosen.model, new, target)
    if log is not None:
        # First of all, since it can be refused.
        said = (decision, predictions)
        model = predict_log.identity(chosen.model)
        predict_log.append(log, new, schema, target, said, model=model, time=now())
    _write(_table(new, predictions, target, decision), out)
    if new.known is not None and len(new.known.places):
        for line in figures(new, predictions, target, decision, measures, bootstrap):
            print(shown(line), file=sys.stderr)
        if ingest.weight:
            print(
                f"here each row counts once, whatever {shown(ingest.weight)} says", file=sys.stderr
            )


def _in_use() -> Chosen:
    """The champion; raises InputError where there is none."""
    from flows.champion_keeping import FOLDER, Keeping

    keeping = Keeping(Path.cwd())
    if not keeping.there_is_one():
        raise InputError("There is no champion yet. Make one with: ./fettle champion --challenge")
    keeping.fetch()
    return Chosen(FOLDER)


def _params() -> "tuple[IngestParams, Objective, Bootstrap]":
    """What params.yaml says of raw data and of figures; raises InputError."""
    from dataset.ingest_settings import IngestParams
    from tasks.evaluate import EvaluateParams

    types: dict[str, type[Section]] = {
        "ingest": IngestParams,
        "objective": Objective,
        "evaluate": EvaluateParams,
    }
    params = load_some(types)
    ingest, objective, evaluate = (params[name] for name in types)
    assert isinstance(ingest, IngestParams)
    assert isinstance(objective, Objective)
    assert isinstance(evaluate, EvaluateParams)
    return ingest, objective, Bootstrap(evaluate.replicates, evaluate.level, evaluate.seed)


def _reading(params: "IngestParams") -> Reading:
    return Reading(params.target, Missing(params.missing, params.missing_in), params.picture)


def _measures(target: Target, objective: Objective) -> list[Measure]:
    """The task's plainest figure, and the objective where that is another one."""
    plain = "rmse" if target.task == "regression" else "accuracy"
    names = dict.fromkeys([plain, objective.metric])
    return [objective.model_copy(update={"metric": name}).metric_for(target) for name in names]


def _predictions(model: Path, new: Arrivals, target: Target) -> npt.NDArray[np.float32]:
    from models import training
    from models.fitting import determinism

    # First of all that uses TensorFlow, like every process of the pipeline.
    determinism.pin()
    from models.archive import load

    count = len(new.names)
    nothing = np.zeros((count, target.outputs), dtype=np.float32)
    return training.predict(
        load(model), Examples(new.features, nothing, np.arange(count, dtype=np.int64))
    )


def _table(new: Arrivals, predictions: Array, target: Target, decision: Decision) -> "pd.DataFrame":
    import pandas as pd

    answers = decision.answers(predictions)
    columns: dict[str, Any] = {new.what: [harmless(name) for name in new.names]}
    if target.task == "classification":
        columns["prediction"] = [harmless(target.names[place]) for place in answers.tolist()]
    for place, name in enumerate(target.names):
        if target.task == "multilabel":
            columns[f"prediction {name}"] = answers[:, place].astype(np.int64)
        kind = "prediction" if target.task == "regression" else "probability"
        columns[f"{kind} {name}"] = predictions[:, place]
    return pd.DataFrame(columns)


def harmless(value: int | str) -> int | str:
    """A text as a spreadsheet shows it, behind a quote where it would run it as a formula.

    Numbers are none: a class "-1" stays what it is.
    """
    if isinstance(value, int) or not value.startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _write(table: "pd.DataFrame", out: Path | None) -> None:
    if out is None:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def figures(
    new: Arrivals,
    predictions: Array,
    target: Target,
    decision: Decision,
    measures: list[Measure],
    bootstrap: Bootstrap,
) -> Iterator[str]:
    """What the predictions are worth on examples whose targets are known, a line a figure."""
    assert new.known is not None
    truth, places = new.known.targets, new.known.places
    if target.task == "classification":
        places_of = codes(truth, target)
        right = decision.answers(predictions)[places] == places_of
        yield accuracy(right, new.what, bootstrap.level)
        strange = int((places_of < 0).sum())
        if strange:
            yield f"{strange:,} of these have a class that the model does not know"
        truth, places = places_of[places_of >= 0], places[places_of >= 0]
        measures = [measure for measure in measures if measure.name != "accuracy"]
    if not len(places):
        return
    for measure in measures:
        figure = decision.measured(measure)
        sample = bootstrap.sample({"it": figure}, predictions[np.newaxis, places], truth, None)[
            "it"
        ]
        interval = bootstrap.interval(float(sample.value), sample.draws)
        reading = measure.reading
        yield (
            f"{reading.title} on {len(places):,} {new.what}s with a target: "
            f"{reading.text(interval.value)} ({100 * bootstrap.level:g} % interval "
            f"{reading.span(interval.low, interval.high)})"
        )


def codes(labels: Array, target: Target) -> npt.NDArray[np.int64]:
    """`(m,)` places of the labels in the classes, -1 for none of them; 1.0 is the class 1."""
    from dataset.tables.targets import spelled

    places = {name: place for place, name in enumerate(target.names)}
    numbered = enumerate(spelled(target.names).tolist())
    values = {value: place for place, value in numbered if np.isfinite(value)}
    distinct = sorted(set(labels.tolist()))
    for label, value in zip(distinct, spelled(distinct).tolist(), strict=True):
        places.setdefault(label, values.get(value, -1))
    return np.array([places[label] for label in labels.tolist()], dtype=np.int64)


def accuracy(right: npt.NDArray[np.bool_], what: str, level: float) -> str:
    """Accuracy with Wilson's interval (Wilson 1927)."""
    count = len(right)
    share, z = float(right.mean()), NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (
        f"accuracy on {count:,} {what}s with a target: {100 * share:.1f} % ({100 * level:g} % "
        f"interval {100 * (middle - half):.1f} to {100 * (middle + half):.1f})"
    )
