"""`fettle drift LOG`: whether what a model is shown in use is still what it was made on.

Held against the champion's own data where there is a champion, else the last run's. Exit code 5
where something has drifted beyond `champion.drift` in params.yaml, so that a schedule can begin a
run by it: `./fettle drift log.csv || [ $? -ne 5 ] || ./fettle run`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.arrivals import Arrivals, Known, Reading, table_arrivals
from dataset.checks import logged
from dataset.checks.findings import Finding
from dataset.checks.logged import Difference
from dataset.checks.reference import Reference
from dataset.examples import Examples
from dataset.tables.cells import Missing
from dataset.target import Target
from flows.champion_keeping import FOLDER, Keeping
from flows.predict_log import MODEL, identity, predicted, undisturbed
from metrics.intervals import Bootstrap, Sample
from metrics.objective import Objective
from metrics.threshold import Decision
from models.judging.champion import Champion, Run
from models.judging.evaluation import Chosen
from models.judging.promotion import ChampionParams
from pipeline.artifacts import Json
from pipeline.errors import ExitCode, InputError, shown
from pipeline.params import Section
from pipeline.params_file import PARAMS, load_some

if TYPE_CHECKING:
    import pandas as pd

    from dataset.ingest_settings import IngestParams

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Settings:
    champion: ChampionParams
    objective: Objective
    ingest: "IngestParams"


@dataclass(frozen=True)
class _Log:
    """n rows of a log."""

    new: Arrivals
    frame: "pd.DataFrame"
    own: npt.NDArray[np.bool_]
    """`(n,)` which rows are the model's own predictions."""

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Drift:
    """What was found."""

    findings: list[Finding]
    """Errors first."""
    notes: list[str]
    rows: int

    @property
    def beyond(self) -> bool:
        """Whether something has drifted beyond the declared bound."""
        return any(finding.severity == "error" for finding in self.findings)


def drift(path: Path, out: Path | None = None, last: int | None = None) -> int:
    """Print what has drifted, and return the exit code: DRIFTED beyond the bound, else OK.

    `out`: a JSON file for the findings as well; `last`: only so many rows, from the end. Raises
    InputError where the log does not fit the model, or there is none.
    """
    found = look(Path.cwd(), path, last)
    for line in (*found.notes, *(f"{one.severity}: {one}" for one in found.findings)):
        print(shown(line))
    if not found.findings:
        print(shown(f"{path}: no drift in {found.rows:,} rows"))
    if out is not None:
        Json(out).write(
            {
                "drifted": found.beyond,
                "rows": found.rows,
                "findings": [asdict(finding) for finding in found.findings],
                "notes": found.notes,
            }
        )
    return ExitCode.DRIFTED if found.beyond else ExitCode.OK


def look(root: Path, path: Path, last: int | None = None) -> Drift:
    """Hold a log against what the model in use was made on; see `drift`."""
    settings = _settings(root)
    with _in_use(root) as (chosen, reference):
        schema, target, decision = reference.schema(), chosen.target(), chosen.decision()
        log = _read(path, chosen, reference, settings.ingest, last)
        train = reference.train()
        given = Examples(log.new.features, np.zeros(len(log)), np.arange(len(log)))
        differences = list(logged.look(train, given, schema))
        validation, said = reference.validation()
        notes = _others(log)
        found = list(logged.unseen(train, given, schema))
        if log.own.any():
            differences += _outputs(log, target, decision, said)
        differences += _targets(log, train, schema.targets)
        if (truth := _told(log, target)) is not None:
            lines, worse = _worse(truth, validation, said, (target, decision), settings)
            notes += lines
            found += worse
    bounds = settings.champion.drift
    found = [*logged.judged(differences, bounds.psi, bounds.level), *found]
    return Drift(sorted(found, key=lambda finding: finding.severity), notes, len(log))


def _others(log: _Log) -> list[str]:
    rest = int((~log.own).sum())
    if not rest:
        return []
    what = "of another model than the one in use, or of none"
    return [f"{rest:,} of {len(log):,} rows have predictions {what}: only their inputs count"]


@contextmanager
def _in_use(root: Path) -> Iterator[tuple[Chosen, Reference]]:
    """The champion, else the last run's chosen model, and what it was made on."""
    if (root / FOLDER.with_suffix(".dvc")).is_file():
        Keeping(root).fetch()
        champion = Champion(root / FOLDER)
        yield champion, champion.reference
        return
    run = Run(root / "artifacts")
    if not run.chosen.model.is_file():
        raise InputError("There is no model yet, to hold a log against. Make one: ./fettle run")
    with tempfile.TemporaryDirectory() as folder:
        reference = Reference(Path(folder))
        reference.write(run.development, run.said_of_validation())
        yield run.chosen, reference


def _read(
    path: Path, chosen: Chosen, reference: Reference, ingest: "IngestParams", last: int | None
) -> _Log:
    from dataset.tables.read import read_raw_table

    reading = Reading(ingest.target, Missing(ingest.missing, ingest.missing_in), ingest.picture)
    with undisturbed(path):
        raw = read_raw_table(path)
    # Both of what was read once, since the log may grow.
    new, frame = table_arrivals(raw, reference.schema(), chosen.target(), reading), raw.frame
    if last is not None and last < len(frame):
        new, frame = _ending(new, len(frame) - last), frame.iloc[-last:].reset_index(drop=True)
    wanted = predicted(chosen.target(), chosen.decision(), _no_rows(chosen.target()))
    own = np.full(len(frame), set(wanted) <= set(frame.columns))
    if MODEL in frame.columns:
        own &= (frame[MODEL].astype(str) == identity(chosen.model)).to_numpy()
    return _Log(new, frame, own)


def _no_rows(target: Target) -> npt.NDArray[np.float32]:
    return np.zeros((0, target.outputs), dtype=np.float32)


def _ending(new: Arrivals, begin: int) -> Arrivals:
    """The examples from a place on."""
    known = new.known
    if known is not None:
        kept = known.places >= begin
        known = Known(known.places[kept] - begin, known.targets[kept])
    features = {name: values[begin:] for name, values in new.features.items()}
    return replace(new, features=features, names=new.names[begin:], known=known)


def _numbers(log: _Log, name: str) -> Array:
    """A column of predictions as numbers; raises InputError for a cell that is none."""
    import pandas as pd

    cells = log.frame[name][log.own]
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    if len(wrong := np.flatnonzero(~np.isfinite(values))):
        row = int(np.flatnonzero(log.own)[wrong[0]]) + 1
        raise InputError(
            f"column {name!r}, row {row}: {str(cells.iloc[wrong[0]])!r} is no number, and "
            "predictions are."
        )
    return values


def _predictions(log: _Log, target: Target) -> npt.NDArray[np.float32]:
    """`(m, k)` what the model said of its own rows."""
    kind = "prediction" if target.task == "regression" else "probability"
    columns = [_numbers(log, f"{kind} {name}") for name in target.names]
    return np.stack(columns, axis=1).astype(np.float32)


def _outputs(
    log: _Log, target: Target, decision: Decision, said: npt.NDArray[np.float32]
) -> Iterator[Difference]:
    """How answers differ from those on validation, and of classes how sure they are."""
    told = _predictions(log, target)
    before, after = (predicted(target, decision, one) for one in (said, told))
    for name in before:
        if name.startswith("prediction"):
            sides = (one[name] for one in (before, after))
            floats = [side if side.dtype == object else side.astype(np.float64) for side in sides]
            yield from logged.spread(f"output:{name}", repr(name), *floats)
    if target.task == "classification":
        sure = (one.max(axis=1).astype(np.float64) for one in (said, told))
        yield from logged.spread("output:confidence", "the likeliest class's probability", *sure)


def _targets(log: _Log, train: Examples, names: tuple[str, ...]) -> Iterator[Difference]:
    """How what turned out to be true differs from the training targets."""
    known = log.new.known
    if known is None or not len(known.places):
        return
    before, after = (one.reshape(len(one), -1) for one in (train.targets, known.targets))
    for place, name in enumerate(names):
        sides = (one[:, place] for one in (before, after))
        floats = [side if side.dtype == object else side.astype(np.float64) for side in sides]
        yield from logged.spread(f"target_drift:{name}", f"the target {name!r}", *floats)


@dataclass(frozen=True)
class _Truth:
    """m rows of which is known what was said and what was true."""

    predictions: npt.NDArray[np.float32]
    truth: Array
    unknown: int
    """Rows besides with a class that the model does not know."""


def _told(log: _Log, target: Target) -> _Truth | None:
    known = log.new.known
    if known is None or not log.own.any():
        return None
    own = log.own[known.places]
    # Places of the known rows among the model's own.
    places = (np.cumsum(log.own) - 1)[known.places[own]]
    truth, predictions = known.targets[own], _predictions(log, target)[places]
    if target.task == "classification":
        from flows.predict import codes

        truth = codes(truth, target)
        there = truth >= 0
        strange = int((~there).sum())
        truth, predictions = truth[there].astype(np.int32), predictions[there]
    else:
        strange = 0
    return _Truth(predictions, truth, strange) if len(truth) >= logged.FEWEST else None


def _worse(
    told: _Truth,
    validation: Examples,
    said: npt.NDArray[np.float32],
    model: tuple[Target, Decision],
    settings: _Settings,
) -> tuple[list[str], list[Finding]]:
    """The objective in use beside that on validation; a finding where it is proven worse."""
    target, decision = model
    measure = settings.objective.metric_for(target)
    figure, reading = decision.measured(measure), measure.reading
    params = settings.champion
    before = Bootstrap(params.replicates, params.level, params.seed)
    # Other rows, so other draws: the two are independent.
    after = replace(before, seed=params.seed + 1)

    def sampled(bootstrap: Bootstrap, predictions: Array, truth: Array) -> Sample:
        # Each row counts once on both sides: a log has no weights.
        return bootstrap.sample({"it": figure}, predictions[np.newaxis], truth, None)["it"]

    then = sampled(before, said, target.truth(validation.targets))
    now = sampled(after, told.predictions, told.truth)
    if np.isnan(then.value) or np.isnan(now.value):
        return [f"{reading.title} cannot be measured on the {len(told.truth):,} known rows"], []
    trials = measure.trials(told.truth, None)
    value = float(now.value)
    interval = (
        after.interval(value, now.draws)
        if trials is None
        else after.share(value, now.draws, trials)
    )
    line = (
        f"{reading.title} on {len(told.truth):,} rows whose truth is known: {reading.text(value)} "
        f"({100 * params.level:g} % interval {reading.span(interval.low, interval.high)}), on "
        f"validation {reading.text(float(then.value))}"
    )
    notes = [line]
    if told.unknown:
        notes.append(f"{told.unknown:,} rows besides have a class that the model does not know")
    change = before.interval(
        reading.sign * (value - float(then.value)), reading.sign * (now.draws - then.draws)
    )
    if change.high >= -reading.allowed(params.margin, float(then.value)):
        return notes, []
    return notes, [
        Finding(
            f"worse:{measure.name}",
            "error",
            f"{line}; that is proven worse",
            "Train again on newer data.",
        )
    ]


def _settings(root: Path) -> _Settings:
    from dataset.ingest_settings import IngestParams

    types: dict[str, type[Section]] = {
        "champion": ChampionParams,
        "objective": Objective,
        "ingest": IngestParams,
    }
    params = load_some(types, root / PARAMS)
    champion, objective, ingest = (params[name] for name in types)
    assert isinstance(champion, ChampionParams)
    assert isinstance(objective, Objective)
    assert isinstance(ingest, IngestParams)
    return _Settings(champion, objective, ingest)
