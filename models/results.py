"""From the runs of several seeds to the files of a candidate. Free of Keras."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Development
from metrics.objective import Objective, plain_figures
from metrics.weighted import even
from models.candidate import Candidate, Record, Trained
from models.fitting.curves import Epoch
from models.training import Run
from pipeline.errors import FettleError

if TYPE_CHECKING:
    import pandas as pd

CURVES = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


def latest(*candidates: Trained) -> Record:
    """The record of the first candidate that is switched on; the baseline always is."""
    return next(record for record in map(Trained.record, candidates) if record.enabled)


def ranked(
    development: Development, objective: Objective, candidates: Sequence[Trained]
) -> list[Trained]:
    """Those that are switched on, by their mean score on validation, the best first; equal ones in
    the order given."""
    metric = objective.metric_for(development.target())
    truth, importance = development.truth("validation")

    def rank(candidate: Trained) -> float:
        seeds = candidate.predictions()
        score = sum(metric.score(one, truth, importance) for one in seeds) / len(seeds)
        return -metric.sign * score

    return sorted((one for one in candidates if one.record().enabled), key=rank)


def switched_off(out: Candidate, stage: str) -> None:
    """Write the outputs of a stage with `enabled: false`."""
    import pandas as pd

    nothing(out.model, stage, f"{stage}.enabled")
    out.curves.write(pd.DataFrame(columns=CURVES))
    out.metrics.write({})


def nothing(out: Trained, stage: str, key: str) -> None:
    """Write what there is where a value of params.yaml has it that nothing is trained."""
    out.write_record(
        Record(
            stage=stage,
            enabled=False,
            summary=f"Switched off by {key} in params.yaml.",
            settings={},
            seeds=(),
            saved_seed=None,
            parameters=0,
            multiply_adds=0,
            fits=0,
            epochs=0,
            examples=0,
        )
    )


def called(run: Run, phase: str) -> Run:
    """The run with its phases called otherwise, so that fits.csv tells what led to a candidate
    from the candidate itself."""
    lines = tuple(tuple(replace(line, phase=phase) for line in fit) for fit in run.lines)
    return replace(run, lines=lines)


def gather(
    out: Candidate,
    runs: Sequence[Run],
    *,
    stage: str,
    summary: str,
    settings: Mapping[str, Any],
    development: Development,
    before: Sequence[Run] = (),
) -> None:
    """Write a candidate from its runs, whose models lie in its folder as `seed-N.keras`.

    Keeps the model of the seed with the lowest validation loss and removes the others.
    `before` are runs that led to it, trials or a source task: they are in fits.csv and in the
    record's counts, but in neither the means nor the predictions.
    Raises FettleError where a run diverged: a mean over the others would be too good.
    """
    _check(runs, stage, settings)
    best = min(runs, key=lambda run: run.loss)
    record = _record([*before, *runs], runs, best, stage, summary, settings)
    predictions = np.stack([run.predictions for run in runs])
    losses = [run.loss for run in runs]
    write(out, record, predictions, losses, development, runs=runs, before=before)
    for run in runs:
        written = out.model.path / f"seed-{run.seed}.keras"
        if run is best:
            written.replace(out.model.model)
        else:
            written.unlink()


def without_model(
    out: Trained, runs: Sequence[Run], *, stage: str, summary: str, settings: Mapping[str, Any]
) -> None:
    """Write what is merely compared, from its runs, whose models were not kept.

    Raises FettleError as `gather` does.
    """
    _check(runs, stage, settings)
    out.write_predictions(np.stack([run.predictions for run in runs]))
    out.fits.write(_fits(runs))
    best = min(runs, key=lambda run: run.loss)
    record = _record(runs, runs, best, stage, summary, settings)
    out.write_record(record.model_copy(update={"saved_seed": None}))


def _record(
    every: Sequence[Run],
    runs: Sequence[Run],
    best: Run,
    stage: str,
    summary: str,
    settings: Mapping[str, Any],
) -> Record:
    """Of a candidate that has `runs`, of which the best is saved; `every` is what it took."""
    return Record(
        stage=stage,
        enabled=True,
        summary=summary,
        settings=dict(settings),
        seeds=tuple(run.seed for run in runs),
        saved_seed=best.seed,
        parameters=best.parameters,
        multiply_adds=best.multiply_adds,
        fits=sum(len(run.lines) for run in every),
        epochs=sum(run.epochs for run in every),
        examples=sum(run.examples for run in every),
    )


def write(
    out: Candidate,
    record: Record,
    predictions: npt.NDArray[np.float32],
    losses: Sequence[float],
    development: Development,
    *,
    runs: Sequence[Run] = (),
    before: Sequence[Run] = (),
) -> None:
    """Write all of a candidate but its model.

    predictions: of the validation examples, `(seeds, n, k)`; losses: on the same, one a seed, as
    fits are stopped by. runs: its own fits, and before: those that led to it; without any the
    curves have no row.
    """
    out.model.write_predictions(predictions)
    out.model.fits.write(_fits([*before, *runs]))
    out.curves.write(_curves(runs))
    out.metrics.write({"validation": _figures(predictions, losses, development)})
    out.model.write_record(record)


def _check(runs: Sequence[Run], stage: str, settings: Mapping[str, Any]) -> None:
    for run in runs:
        if run.diverged:
            raise FettleError(
                f"{stage}: the fit with seed {run.seed} diverged in epoch {run.epochs}: its loss "
                f"is no number any more. It was trained with learning_rate "
                f"{settings['learning_rate']:g}; lower that in params.yaml."
            )


def _figures(
    predictions: npt.NDArray[np.float32], losses: Sequence[float], development: Development
) -> dict[str, float]:
    """Means over the seeds; without what cannot be told from these examples."""
    truth, weights = development.truth("validation")
    counted = even(len(truth)) if weights is None else weights[np.newaxis].astype(np.float64)
    figures = {
        name: float(np.mean([figure(one, truth, counted)[0] for one in predictions]))
        for name, figure in plain_figures(development.target().task).items()
    }
    known = {name: _rounded(value) for name, value in figures.items() if not np.isnan(value)}
    return {**known, "loss": _rounded(float(np.mean(losses)))}


def _rounded(value: float) -> float:
    """Seven digits: what a mean of float32 figures holds, and readable in a diff."""
    return float(f"{value:.7g}")


def _fits(runs: Sequence[Run]) -> "pd.DataFrame":
    """fits.csv, the fits counted from 1."""
    import pandas as pd

    every = [fit for run in runs for fit in run.lines]
    rows = [{"fit": place, **asdict(line)} for place, fit in enumerate(every, 1) for line in fit]
    figures = [field.name for field in fields(Epoch)]
    return pd.DataFrame(rows, columns=["fit", "phase", "seed", *figures])


def _curves(runs: Sequence[Run]) -> "pd.DataFrame":
    """Means by epoch over the seeds that trained so long; early stopping ends some sooner."""
    means = _fits(runs).groupby("epoch", as_index=False)[CURVES[1:]].mean()
    return means[CURVES].round(6)
