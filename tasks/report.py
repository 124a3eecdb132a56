"""The report: one page that opens without a network and says what was done, found and decided."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from markupsafe import Markup
from pydantic import Field

from models.candidate import Baseline, Candidate, Record, Searched
from models.evaluation import Details, Evaluation
from models.ledger import Row
from pipeline.artifacts import Bundle, Csv, Json, Page
from pipeline.declaration import stage
from pipeline.params import Section
from pipeline.picture import draw, read
from tasks import report_plots as plots
from tasks.report_advice import Evidence, Lines, advise, best_line, best_trial

TEMPLATE = "report.html"
PICTURE = Path("docs/dag.svg")
"""The DAG as rendered from the flow; DVC lets no stage depend on dvc.yaml itself."""
MOST_CELLS, MOST_CLASSES, MOST_COLUMNS = 20, 40, 60
"""Classes of a confusion matrix, rows of recalls and columns of the data that are shown at most."""
FIGURES: dict[str, tuple[str, int | None]] = {
    "accuracy": ("Accuracy", None),
    "balanced_accuracy": ("Balanced accuracy", None),
    "macro_f1": ("Macro F1", None),
    "auc": ("Area under ROC curve", 4),
    "log_loss": ("Log loss, nats", 3),
    "ece": ("Calibration error", None),
}
"""Heading of each holdout figure, and its digits; None: in per cent, with one digit."""
LOWER_IS_BETTER = ("log_loss", "ece")
VARIED = {
    "learning_rate": "learning rate",
    "width": "width",
    "depth": "depth",
    "batch_size": "batch size",
}


class ReportParams(Section):
    """What stands above the report, and when its advice speaks up."""

    title: str = Field(min_length=1)
    gap: float = Field(gt=0, lt=1)
    """Training minus validation accuracy, from 0 to 1, from which overfitting is named."""
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
    parts: dict[str, dict[str, int]]
    notes: list[str]
    findings: list[dict[str, str]]
    records: dict[str, Record]
    curves: dict[str, Lines]
    trials: list[dict[str, Any]]
    ledger: list[Row]
    metrics: dict[str, Any]
    details: Details


@stage(files=("tasks/report.html", "docs/dag.svg"))
def report(
    out: Report,
    profile: Json,
    findings: Json,
    split: Json,
    baseline: Baseline,
    search: Searched,
    regularize: Candidate,
    finetune: Candidate,
    distill: Candidate,
    evaluation: Evaluation,
    params: ReportParams,
) -> None:
    """One page with what was asked, done, found and decided, and what to try next."""
    candidates: dict[str, Candidate] = {
        "baseline": baseline,
        "search": search,
        "regularize": regularize,
        "finetune": finetune,
        "distill": distill,
    }
    described, parted = profile.read(), split.read()
    results = _Results(
        profile=described,
        parts={name: parted["parts"][name] for name in ("train", "validation", "holdout")},
        notes=[*described["notes"], *parted["notes"]],
        findings=findings.read(),
        records={name: candidate.model.record() for name, candidate in candidates.items()},
        curves={name: _mappings(candidate.curves) for name, candidate in candidates.items()},
        trials=_mappings(search.trials),
        ledger=[Row(**_whole(row)) for row in _mappings(evaluation.ledger)],
        metrics=evaluation.metrics.read(),
        details=Details.read(evaluation.details),
    )
    out.index.write(_page(results, params, read(PICTURE.read_text(encoding="utf-8"))))


def _page(
    results: _Results, params: ReportParams, stages: Sequence[tuple[str, Sequence[str]]]
) -> str:
    """The page's text; everything that comes from data is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        percent=_percent, points=_points, count=_count, loss=_loss, minus=_minus
    )
    metrics = results.metrics
    evidence = Evidence(
        ledger=results.ledger,
        details=results.details,
        chosen=metrics["chosen"],
        recalls=metrics["recall"]["chosen"],
        curves=results.curves,
        trials=results.trials,
        train=results.parts["train"],
        gap=params.gap,
        recall=params.recall,
        ece=params.ece,
    )
    return environment.get_template(TEMPLATE).render(
        title=params.title,
        results=results,
        profile=results.profile,
        details=results.details,
        metrics=metrics,
        level=_percent(results.details.level, digits=0),
        columns=results.profile["columns"][:MOST_COLUMNS],
        # `draw` escapes the names; it knows nothing of templates.
        dag=Markup(draw(stages, _labels(results))),
        ledger=_ledger(results.ledger),
        scale=plots.scale_labels(_ledger_scale(results.ledger)),
        curves=_curves(results, "val_loss", "loss"),
        accuracies=_curves(results, "val_accuracy", "accuracy"),
        trials=_trials(results),
        figures=_figures(results),
        recalls=_recalls(results),
        confusion=_confusion(results.details),
        mistakes=_mistakes(results.details),
        calibration=_calibration(results.details),
        advice=advise(evidence),
        settings=_settings(results.records),
    )


def _labels(results: _Results) -> dict[str, str]:
    """What each stage handled or cost, for the picture."""
    sizes = [_count(sum(part.values())) for part in results.parts.values()]
    labels = {
        "ingest": f"{_count(results.profile['rows'])} examples",
        "split": f"{' + '.join(sizes)}: {', '.join(results.parts)}",
        "evaluate": f"chose {results.details.chosen}; no fits",
        "report": "this page; no fits",
    }
    for name, record in results.records.items():
        labels[name] = (
            f"{_many(record.fits, 'fit')}, {_many(record.epochs, 'epoch')}, "
            f"{_many(record.examples, 'example')}"
            if record.enabled
            else "switched off"
        )
    return labels


def _ledger_scale(ledger: Sequence[Row]) -> plots.Axis:
    """From the lowest interval to the highest; the majority class would squeeze all others."""
    known = [row for row in ledger if row.accuracy is not None and row.candidate != "majority"]
    lows = [row.accuracy_low for row in known if row.accuracy_low is not None]
    highs = [row.accuracy_high for row in known if row.accuracy_high is not None]
    return _share_axis(min(lows), max(highs))


def _ledger(ledger: Sequence[Row]) -> list[dict[str, Any]]:
    scale = _ledger_scale(ledger)
    drawn = []
    for row in ledger:
        plot = None
        if row.accuracy is not None and row.accuracy_low is not None:
            kind = "accent" if row.decision == "chosen" else "plain"
            high = row.accuracy_high if row.accuracy_high is not None else row.accuracy
            label = f"{row.candidate}: {_range(row.accuracy, row.accuracy_low, high)}"
            interval = (row.accuracy, row.accuracy_low, high, kind)
            plot = plots.whiskers([interval], scale, label)
        drawn.append({"row": row, "plot": plot})
    return drawn


def _curves(results: _Results, validation: str, train: str) -> list[dict[str, Any]]:
    """One panel for each candidate, all on the same axes; None for the panel of one that is off."""
    lines = {name: _points_of(held, validation) for name, held in results.curves.items()}
    trained = {name: _points_of(held, train) for name, held in results.curves.items()}
    every = [point for held in (*lines.values(), *trained.values()) for point in held]
    if not every:
        return []
    x = plots.axis(1 if len(every) == 1 else 0, max(at for at, _ in every), _count)
    heights = [height for _, height in every]
    loss = validation == "val_loss"
    if loss:
        # First epochs and diverging ends may be far above what is worth seeing.
        top = 1.1 * float(np.quantile(heights, 0.9))
        y = plots.axis(0.0, top, lambda value: f"{value:.2g}")
    else:
        y = _share_axis(float(np.quantile(heights, 0.05)), max(heights))
    panels = []
    for name, points in lines.items():
        best = best_line(results.curves[name])
        mark = None
        if best is not None and best[validation] is not None:
            height = float(best[validation] or 0.0)
            text = f"lowest {_loss(height)}" if loss else _percent(height)
            mark = ((float(best["epoch"] or 0), height), f"{text}, epoch {best['epoch']:g}")
        kind = "loss" if loss else "accuracy"
        label = f"{name}: {kind} by epoch" + (f"; {mark[1]}" if mark else "")
        others = [held for other, held in lines.items() if other != name]
        panel = plots.curves_panel(trained[name], points, others, x, y, mark, label)
        panels.append(
            {"name": name, "panel": panel if points else None, "chosen": _is_chosen(results, name)}
        )
    return panels


def _is_chosen(results: _Results, name: str) -> bool:
    return name == results.details.chosen


def _trials(results: _Results) -> dict[str, Any] | None:
    """The search as panels, one for each value that was varied; None where it is off."""
    done = [trial for trial in results.trials if trial["accuracy"] is not None]
    if not done:
        return None
    best = best_trial(done)
    lost = [trial for trial in results.trials if trial["accuracy"] is None]
    heights = [trial["accuracy"] for trial in done]
    y = _share_axis(min(heights), max(heights))
    panels = []
    for name, title in VARIED.items():
        tried = sorted({trial[name] for trial in results.trials})
        if len(tried) < 2:
            continue
        log = name == "learning_rate"
        x = plots.logarithmic_axis(tried[0], tried[-1]) if log else plots.category_axis(tried)
        places = {value: value if log else float(at) for at, value in enumerate(tried)}
        panel = plots.trials_panel(
            [(places[trial[name]], trial["accuracy"]) for trial in done],
            (places[best[name]], best["accuracy"]),
            [places[trial[name]] for trial in lost],
            x,
            y,
            title,
            f"Validation accuracy of {len(done)} trials by {title}; "
            f"the best has {best[name]:g} and {_percent(best['accuracy'])}",
        )
        panels.append(panel)
    return {"panels": panels, "best": best, "done": len(done), "lost": len(lost)}


def _figures(results: _Results) -> list[dict[str, Any]]:
    """Holdout figures of the chosen model and the baseline; those in per cent share a scale."""
    chosen, baseline = results.metrics["chosen"], results.metrics["baseline"]
    names = [name for name in FIGURES if name in chosen and name in baseline]
    shares = [name for name in names if name not in LOWER_IS_BETTER]
    return [
        {
            "title": FIGURES[name][0],
            "lower": name in LOWER_IS_BETTER,
            # Neighbours on one scale need its ends once.
            "first": name not in shares[1:],
            "scale": plots.scale_labels(_figure_scale(chosen, baseline, name, shares)),
            **_compared(
                FIGURES[name][0],
                chosen[name],
                baseline[name],
                _figure_scale(chosen, baseline, name, shares),
                FIGURES[name][1],
            ),
        }
        for name in names
    ]


def _figure_scale(
    chosen: Mapping[str, Any], baseline: Mapping[str, Any], name: str, shares: Sequence[str]
) -> plots.Axis:
    together = shares if name in shares else [name]
    held = [model[one] for one in together for model in (chosen, baseline)]
    low, high = min(one["low"] for one in held), max(one["high"] for one in held)
    if name in shares or FIGURES[name][1] is None:
        return _share_axis(low if name in shares else 0.0, high)
    return plots.axis(0.0, high, lambda value: f"{value:.2g}")


def _recalls(results: _Results) -> dict[str, Any]:
    """Recall by class; of very many classes those found least often."""
    chosen = results.metrics["recall"]["chosen"]
    baseline = results.metrics["recall"]["baseline"]
    names = [name for name in results.details.classes if name in chosen]
    shown = names
    if len(names) > MOST_CLASSES:
        shown = sorted(names, key=lambda name: chosen[name]["value"])[:MOST_CLASSES]
    held = [model[name] for name in shown for model in (chosen, baseline)]
    scale = _share_axis(min(one["low"] for one in held), max(one["high"] for one in held))
    places = {name: place for place, name in enumerate(results.details.classes)}
    rows = [
        {
            "name": name,
            "examples": sum(results.details.confusion[places[name]]),
            **_compared(name, chosen[name], baseline[name], scale, None),
        }
        for name in shown
    ]
    return {
        "rows": rows,
        "scale": plots.scale_labels(scale),
        "hidden": len(names) - len(shown),
        "absent": [name for name in results.details.classes if name not in chosen],
    }


def _compared(
    title: str,
    chosen: Mapping[str, float],
    baseline: Mapping[str, float],
    scale: plots.Axis,
    digits: int | None,
) -> dict[str, Any]:
    """One figure of both models, as text and as a drawing."""
    texts = {
        name: _range(one["value"], one["low"], one["high"], digits)
        for name, one in (("chosen", chosen), ("baseline", baseline))
    }
    intervals = [
        (one["value"], one["low"], one["high"], kind)
        for kind, one in (("accent", chosen), ("plain", baseline))
    ]
    label = f"{title}: chosen {texts['chosen']}; baseline {texts['baseline']}"
    return {**texts, "plot": plots.whiskers(intervals, scale, label)}


def _confusion(details: Details) -> list[dict[str, Any]] | None:
    """The matrix's rows, each cell with its share of the row; None for too many classes."""
    if len(details.classes) > MOST_CELLS:
        return None
    return [
        {
            "name": name,
            "cells": [
                {
                    "count": count,
                    "right": at == place,
                    # Roots, so that a few errors among many examples are seen.
                    "tint": round(60 * (count / sum(row)) ** 0.5) if count else 0,
                }
                for at, count in enumerate(row)
            ],
        }
        for place, (name, row) in enumerate(zip(details.classes, details.confusion, strict=True))
    ]


def _mistakes(details: Details) -> list[dict[str, Any]]:
    """The five commonest mistakes."""
    every = [
        {"actual": actual, "predicted": predicted, "count": count, "of": sum(row)}
        for actual, row in zip(details.classes, details.confusion, strict=True)
        for predicted, count in zip(details.classes, row, strict=True)
        if count and actual != predicted
    ]
    return sorted(every, key=lambda one: -int(str(one["count"])))[:5]


def _calibration(details: Details) -> Markup:
    bins = {
        name: [{**one, **_wilson(one["accuracy"], one["examples"], details.level)} for one in held]
        for name, held in details.calibration.items()
    }
    lowest = min(
        value for held in bins.values() for one in held for value in (one["confidence"], one["low"])
    )
    scale = _share_axis(lowest, 1.0)
    most = max(bins["chosen"], key=lambda one: one["examples"])
    label = (
        f"Accuracy by confidence; the bin with most examples, {most['examples']:g}, has a mean "
        f"confidence of {_percent(most['confidence'])} and is right for "
        f"{_range(most['accuracy'], most['low'], most['high'])}"
    )
    return plots.calibration_panel(bins, scale, scale, label)


def _wilson(share: float, examples: float, level: float) -> dict[str, float]:
    """The interval of a share among few examples (Wilson, 1927): {"low", "high"}."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    weight = z * z / examples
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / examples + weight / examples / 4)
    return {"low": max(0.0, middle - reach), "high": min(1.0, middle + reach)}


def _settings(records: Mapping[str, Record]) -> dict[str, Any]:
    """The settings of every candidate that ran, one row a setting."""
    ran = {name: record for name, record in records.items() if record.enabled}
    keys = dict.fromkeys(key for record in ran.values() for key in record.settings)
    return {
        "names": list(ran),
        "rows": [
            (key, [_setting(record.settings.get(key, "")) for record in ran.values()])
            for key in keys
        ],
        "summaries": {name: record.summary for name, record in records.items()},
        "seeds": [", ".join(map(str, record.seeds)) for record in ran.values()],
    }


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


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


def _share_axis(low: float, high: float) -> plots.Axis:
    """An axis of shares, named in per cent; never beyond 100 %."""
    reach = max(high - low, 0.01)
    digits = 0 if reach >= 0.04 else 1
    return plots.axis(max(0.0, low), min(1.0, high), lambda value: _percent(value, digits))


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _points(share: float) -> str:
    """A difference of shares in percentage points; never "-0.00"."""
    return _minus(f"{round(100 * share, 2) + 0.0:+.2f}")


def _minus(text: str) -> str:
    """Hyphens before digits as minus signs."""
    return re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", text)


def _range(value: float, low: float, high: float, digits: int | None = None) -> str:
    """A value with its interval, in per cent or with so many digits."""
    if digits is None:
        return f"{_percent(value)} ({100 * low:.1f} to {100 * high:.1f})"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _loss(value: float) -> str:
    return f"{value:.3f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
