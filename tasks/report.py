"""The report: one page that opens without a network and says what was done, found and decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from pydantic import Field

from metrics.readings import Reading, significant
from models.candidate import (
    Baseline,
    Candidate,
    Distilled,
    Finetuned,
    Record,
    Regularized,
    Searched,
)
from models.judging import diagnosis
from models.judging.diagnosis import Diagnosis, Limits
from models.judging.evaluation import Details, Evaluation
from models.judging.ledger import Row
from pipeline import axes
from pipeline.artifacts import Bundle, Csv, Json, Page
from pipeline.axes import Axis, near, share_axis
from pipeline.declaration import stage
from pipeline.params import Section
from pipeline.picture import draw, read
from pipeline.scatter import STYLE
from tasks.reporting import ablation, costs, data, distilled, holdout, plots, transfer
from tasks.reporting import diagnosis as diagnosed
from tasks.reporting import search as searching
from tasks.reporting.advice import Evidence, advise
from tasks.reporting.distilled import Compared
from tasks.reporting.search import shown
from tasks.reporting.text import (
    axis,
    bare,
    capital,
    count,
    figure,
    heading,
    listed,
    many,
    minus,
    percent,
    tidy,
)

Lines = Sequence[Mapping[str, Any]]
"""Rows of a candidate's curves or fits, one mapping an epoch."""
TEMPLATE = "page.html"
PICTURE = Path("docs/dag.svg")
"""The DAG as rendered from the flow; DVC lets no stage depend on dvc.yaml itself."""
LOSSES = {
    "classification": "Log loss, nats",
    "multilabel": "Log loss, nats, mean over the labels",
    "regression": "Squared error of the standardised target",
}
"""What the loss of learning curves is, by task."""
RIGHT = {"classification": "Accuracy", "multilabel": "Share of labels right"}
"""What the accuracy of learning curves is; quantities have none."""


class ReportParams(Section):
    """What stands above the report, and when its advice speaks up."""

    title: str = Field(min_length=1)
    gap: float = Field(gt=0, lt=1)
    """Training minus validation accuracy, from 0 to 1, from which overfitting is named; of
    quantities validation minus training loss, in shares of the targets' variance. By as much
    training has to lie behind another candidate's validation to be called underfit."""
    noise: float = Field(gt=0)
    """How far the validation loss jumps from epoch to epoch, as a share of itself, from which a
    curve is called unstable."""
    gain: float = Field(ge=0, lt=1)
    """Share of its errors that twice the data must be foretold to save, for a network that overfits
    to be said to have too little data."""
    recall: float = Field(ge=0, le=1)
    """Classes with a lower recall are named."""
    ece: float = Field(gt=0, lt=1)
    """Expected calibration error from which the probabilities are doubted."""


@dataclass(frozen=True)
class Report(Bundle):
    """The outputs of `report`."""

    index: Page


@dataclass(frozen=True)
class _Results:
    """Everything the page is drawn from, read once."""

    profile: dict[str, Any]
    summary: dict[str, Any]
    findings: list[Mapping[str, Any]]
    records: dict[str, Record]
    curves: dict[str, Lines]
    fits: dict[str, Lines]
    trials: list[dict[str, Any]]
    rates: list[dict[str, Any]]
    ablation: list[dict[str, Any]]
    learning: list[dict[str, Any]]
    probe: list[dict[str, Any]]
    worth: list[dict[str, Any]]
    compared: Compared
    parted: list[Mapping[str, Any]]
    """What `split` found."""
    ledger: list[Row]
    metrics: dict[str, Any]
    details: Details

    @property
    def objective(self) -> Reading:
        """How the figure that was chosen by reads."""
        return self.details.figures[self.details.objective]


@stage(files=("tasks/reporting/page.html", "docs/dag.svg"))
def report(
    out: Report,
    profile: Json,
    findings: Json,
    split: Json,
    split_findings: Json,
    baseline: Baseline,
    search: Searched,
    regularize: Regularized,
    finetune: Finetuned,
    ensemble: Candidate,
    distill: Distilled,
    evaluation: Evaluation,
    params: ReportParams,
) -> None:
    """One page with what was asked, done, found and decided, and what to try next."""
    candidates: dict[str, Candidate] = {
        "baseline": baseline,
        "search": search,
        "regularize": regularize,
        "finetune": finetune,
        "ensemble": ensemble,
        "distill": distill,
    }
    records = {name: candidate.model.record() for name, candidate in candidates.items()}
    ledger = [Row(**_whole(row)) for row in _mappings(evaluation.ledger)]
    results = _Results(
        profile=profile.read(),
        summary=split.read(),
        findings=data.findings(findings.read(), split_findings.read()),
        records=records,
        curves={name: _mappings(candidate.curves) for name, candidate in candidates.items()},
        fits={
            name: _mappings(candidate.model.fits) if records[name].enabled else []
            for name, candidate in candidates.items()
        },
        trials=_mappings(search.trials),
        rates=_mappings(search.rates),
        ablation=_mappings(regularize.ablation),
        learning=_mappings(baseline.learning),
        probe=_mappings(finetune.probe),
        worth=_mappings(finetune.worth),
        compared=_compared(ledger, records, distill),
        parted=split_findings.read(),
        ledger=ledger,
        metrics=evaluation.metrics.read(),
        details=Details.read(evaluation.details),
    )
    out.index.write(_page(results, params, read(PICTURE.read_text(encoding="utf-8"))))


def _compared(ledger: Sequence[Row], records: Mapping[str, Record], distill: Distilled) -> Compared:
    """The student and what stands beside it; nothing of that is read where it is off."""
    facts = distill.int8.facts.read() if records[distilled.STUDENT].enabled else {}
    return Compared(ledger, records, facts)


def _page(
    results: _Results, params: ReportParams, stages: Sequence[tuple[str, Sequence[str]]]
) -> str:
    """The page's text; everything that comes from data is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=count, minus=minus, capital=capital, heading=heading, listed=listed
    )
    details, metrics = results.details, results.metrics
    task = details.task
    classes = task == "classification"
    seen = _seen(results, params)
    told = diagnosed.forecast(seen)
    found = diagnosed.diagnoses(seen, told)
    return environment.get_template(TEMPLATE).render(
        title=params.title,
        task=task,
        details=details,
        objective=results.objective,
        level=percent(details.level, digits=0),
        headline=_headline(results),
        asked=_asked(results),
        data=_data(results),
        findings=results.findings,
        most_findings=data.MOST_FINDINGS,
        # `draw` escapes the names; it knows nothing of templates.
        dag=Markup(draw(stages, _labels(results))),
        ledger=_ledger(results),
        costs=costs.drawn(
            results.ledger, distilled.costs(results.compared), details.chosen, results.objective
        ),
        curves=_curves(results),
        distilled=results.records["distill"].enabled,
        rates=searching.rates(results.rates),
        trials=searching.drawn(
            results.trials, results.objective, results.records["search"].summary
        ),
        figures=holdout.figures(metrics["chosen"], metrics["baseline"], details),
        recalls=holdout.recalls(metrics, details),
        threshold=holdout.threshold(details),
        confusion=holdout.confusion(details) if classes else None,
        mistakes=holdout.mistakes(details) if classes else [],
        calibration=holdout.calibration(details) if classes else None,
        quantities=holdout.quantities(details) if task == "regression" else [],
        diagnosis=diagnosed.section(seen, told, found),
        ablation=ablation.section(results.ablation, results.objective),
        transfer=transfer.section(
            results.probe,
            results.worth,
            results.objective,
            enabled=results.records["finetune"].enabled,
        ),
        student=distilled.section(results.compared, results.objective, details.tolerance),
        scatter_style=Markup(STYLE),
        advice=advise(_evidence(results, params, found.get(details.chosen))),
        settings=_settings(results.records),
    )


def _seen(results: _Results, params: ReportParams) -> diagnosed.Seen:
    return diagnosed.Seen(
        task=results.details.task,
        records=results.records,
        curves=results.curves,
        fits=results.fits,
        learning=results.learning,
        findings=results.parted,
        train=results.summary["parts"]["train"],
        balanced=results.summary["balance"] != "none",
        validation=results.details.validation_examples,
        level=results.details.level,
        limits=Limits(params.gap, params.noise, params.gain),
    )


def _evidence(results: _Results, params: ReportParams, found: Diagnosis | None) -> Evidence:
    metrics = results.metrics
    return Evidence(
        ledger=results.ledger,
        details=results.details,
        chosen=metrics["chosen"],
        recalls=metrics["recall"]["chosen"] if "recall" in metrics else {},
        diagnosis=found,
        trials=results.trials,
        worth=results.worth,
        compared=results.compared,
        train=results.summary["parts"]["train"],
        reads_texts=data.reads_texts(results.profile),
        recall=params.recall,
        ece=params.ece,
    )


def _headline(results: _Results) -> dict[str, str]:
    """The objective on the holdout, of both models, with its unit."""
    reading, name = results.objective, results.details.objective
    held = {model: results.metrics[model][name] for model in ("chosen", "baseline")}
    return {
        **{model: tidy(reading.text(one["value"])) for model, one in held.items()},
        **{f"{model}_span": _span(reading, one) for model, one in held.items()},
    }


def _span(reading: Reading, interval: Mapping[str, float]) -> str:
    return minus(reading.span(interval["low"], interval["high"]))


def _asked(results: _Results) -> dict[str, Any]:
    profile, details, reading = results.profile, results.details, results.objective
    allowed = (
        f"{100 * details.tolerance:g} % of its reference's value"
        if reading.unit
        else f"{reading.difference(details.tolerance).lstrip('+')}{reading.points}"
    )
    return {
        "source": profile["source"],
        "wanted": data.wanted(profile),
        "known": data.known(profile),
        "ignored": data.left_out(profile),
        "weight": profile.get("weight"),
        "allowed": tidy(allowed),
    }


def _data(results: _Results) -> dict[str, Any]:
    return {
        "rows": results.profile["rows"],
        "tables": data.tables(results.profile, results.summary),
        "columns": data.columns(results.profile),
        "notes": [*results.profile.get("notes", []), *results.summary.get("notes", [])],
    }


def _labels(results: _Results) -> dict[str, str]:
    """What each stage handled or cost, for the picture."""
    sizes = data.sizes(results.summary)
    labels = {
        "ingest": f"{count(results.profile['rows'])} examples",
        "split": f"{' + '.join(map(count, sizes.values()))}: {', '.join(sizes)}",
        "evaluate": f"chose {results.details.chosen}; no fits",
        "report": "this page; no fits",
    }
    # What a stage trains to compare its candidate with costs as much.
    more = {"distill": [row for row in results.ledger if row.candidate == distilled.CONTROL]}
    return labels | {
        name: _cost(record, more.get(name, [])) for name, record in results.records.items()
    }


def _cost(record: Record, more: Sequence[Row]) -> str:
    """Of a candidate, and of what was trained besides."""
    if not record.enabled:
        return "switched off"
    every = [record, *more]
    fits, epochs, examples = (
        sum(getattr(one, name) or 0 for one in every) for name in ("fits", "epochs", "examples")
    )
    if not fits:
        return "no fits"
    return f"{many(fits, 'fit')}, {many(epochs, 'epoch')}, {many(examples, 'example')}"


def _ledger(results: _Results) -> dict[str, Any]:
    """The ledger's headings and rows, texts and drawings."""
    reading, loss = results.objective, results.details.loss
    scale = _ledger_scale(results.ledger, results.details.chosen, reading)
    return {
        "title": capital(reading.title),
        "unit": reading.unit,
        "points": reading.points.strip(),
        # The objective itself may be what would stand there.
        "loss": None if loss.title == reading.title else heading(loss),
        "scale": plots.scale_labels(scale),
        "rows": [_drawn(row, reading, loss, scale) for row in results.ledger],
    }


def _drawn(row: Row, reading: Reading, loss: Reading, scale: Axis) -> dict[str, Any]:
    drawn: dict[str, Any] = {"row": row, "score": None, "difference": None, "loss": ""}
    if row.score is None or row.score_low is None or row.score_high is None:
        return drawn
    kind = "accent" if row.decision == "chosen" else "plain"
    low, high = row.score_low, row.score_high
    label = f"{row.candidate}: {figure(reading, row.score, low, high)}"
    drawn |= {
        "score": bare(reading, row.score),
        "span": minus(reading.span(low, high)),
        "plot": plots.whiskers([(row.score, low, high, kind)], scale, label),
    }
    if row.loss is not None:
        drawn["loss"] = bare(loss, row.loss)
    ends = (row.difference, row.difference_low, row.difference_high)
    if None not in ends:
        value, lowest, highest = (minus(reading.difference(end or 0.0)) for end in ends)
        drawn |= {"difference": value, "difference_span": f"{lowest} to {highest}"}
    return drawn


def _ledger_scale(ledger: Sequence[Row], chosen: str, reading: Reading) -> Axis:
    """Over the intervals of all but those that lie so far off that they would squeeze the rest,
    as a constant answer's mostly does."""
    known = {
        row.candidate: (row.score_low, row.score_high)
        for row in ledger
        if row.score_low is not None and row.score_high is not None
    }
    networks = [
        known[row.candidate]
        for row in ledger
        if row.multiply_adds is not None and row.candidate in known
    ]
    centre = next(row.score for row in ledger if row.candidate == chosen)
    held = near(known.values(), centre or 0.0, networks)
    return axis(reading, min(low for low, _ in held), max(high for _, high in held))


def _curves(results: _Results) -> list[dict[str, Any]]:
    """Panels of the loss, and of the accuracy where there is one."""
    task = results.details.task
    kinds = [(LOSSES[task], "val_loss", "loss")]
    if task in RIGHT:
        kinds.append((RIGHT[task], "val_accuracy", "accuracy"))
    titled = [
        {"title": title, "panels": _panels(results, title, validation, train)}
        for title, validation, train in kinds
    ]
    return [one for one in titled if one["panels"]]


def _panels(results: _Results, title: str, validation: str, train: str) -> list[dict[str, Any]]:
    """One panel for each candidate, all on the same axes; None for the panel of one that is off.

    What was never fitted, as an ensemble, has none.
    """
    lines = {name: _points_of(held, validation) for name, held in results.curves.items()}
    trained = {name: _points_of(held, train) for name, held in results.curves.items()}
    every = [point for held in (*lines.values(), *trained.values()) for point in held]
    if not every:
        return []
    x = axes.axis(1 if len(every) == 1 else 0, max(at for at, _ in every), count)
    heights = [height for _, height in every]
    loss = validation == "val_loss"
    if loss:
        # First epochs and diverging ends may be far above what is worth seeing.
        y = axes.plain_axis(0.0, 1.1 * float(np.quantile(heights, 0.9)))
    else:
        y = share_axis(float(np.quantile(heights, 0.05)), max(heights))
    panels = []
    for name, points in lines.items():
        if results.records[name].enabled and not results.curves[name]:
            continue
        best = diagnosis.best(results.curves[name])
        mark = None
        if best is not None and best[validation] is not None:
            height = float(best[validation] or 0.0)
            text = f"lowest {significant(height, 3)}" if loss else percent(height)
            mark = ((float(best["epoch"] or 0), height), f"{text}, epoch {best['epoch']:g}")
        label = f"{name}: {title} by epoch" + (f"; {mark[1]}" if mark else "")
        others = [held for other, held in lines.items() if other != name]
        panel = plots.curves_panel(trained[name], points, others, x, y, mark, label)
        panels.append(
            {
                "name": name,
                "panel": panel if points else None,
                "chosen": name == results.details.chosen,
            }
        )
    return panels


def _settings(records: Mapping[str, Record]) -> dict[str, Any]:
    """The settings of every candidate that ran, one row a setting."""
    ran = {name: record for name, record in records.items() if record.enabled}
    keys = dict.fromkeys(key for record in ran.values() for key in record.settings)
    return {
        "names": list(ran),
        "rows": [
            (key, [shown(record.settings.get(key, "")) for record in ran.values()]) for key in keys
        ],
        "summaries": {name: record.summary for name, record in records.items()},
        "seeds": [", ".join(map(str, record.seeds)) for record in ran.values()],
    }


def _mappings(table: Csv) -> list[dict[str, Any]]:
    """A CSV's rows as mappings, None for empty cells. A class may be called "NA" or "null"."""
    import pandas as pd

    frame = pd.read_csv(table.path, keep_default_na=False, na_values=[""])
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger's row with its counts whole again: beside empty cells CSV makes them floats."""
    counts = ("parameters", "multiply_adds", "fits", "epochs", "examples")
    return {
        name: int(value) if name in counts and value is not None else value
        for name, value in row.items()
    }


def _points_of(lines: Lines, column: str) -> list[plots.Point]:
    return [
        (float(line["epoch"] or 0), float(height))
        for line in lines
        if (height := line[column]) is not None
    ]
