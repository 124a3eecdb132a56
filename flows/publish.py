"""The results in Prefect's UI: ledger and findings as tables, a summary of the report."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from metrics.readings import Reading, significant

EVALUATION = Path("artifacts/evaluate")
FINDERS = ("ingest", "split")
"""Stages that look for ways in which data lie."""


def publish(root: Path) -> None:
    """Attach the ledger, the findings and a summary of the report to the current flow run."""
    ledger = _read_ledger(root / EVALUATION / "ledger.csv")
    metrics = json.loads((root / EVALUATION / "metrics.json").read_text(encoding="utf-8"))
    details = json.loads((root / EVALUATION / "details.json").read_text(encoding="utf-8"))
    readings = {
        name: Reading.model_validate(reading) for name, reading in details["figures"].items()
    }
    create_table_artifact(
        key="ledger",
        table=[{name: _short(value) for name, value in row.items()} for row in ledger],
        description="Every candidate on the validation set: what it gained, cost, and the decision",
    )
    create_table_artifact(
        key="findings",
        table=_findings(root),
        description="Ways in which the data may lie: what was found in them and between the parts",
    )
    create_markdown_artifact(
        key="report",
        markdown=_summary(ledger, metrics, readings, root),
        description="The run's result; the whole report is artifacts/report/index.html",
    )


def _findings(root: Path) -> list[dict[str, str]]:
    """What `ingest` and `split` found, each with the stage that did."""
    return [
        {"stage": stage, **{name: _escaped(text) for name, text in finding.items()}}
        for stage in FINDERS
        for finding in json.loads((root / "artifacts" / stage / "findings.json").read_text("utf-8"))
    ]


def _read_ledger(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _short(value: str) -> str:
    """Figures to four digits; everything else as it is."""
    try:
        number = float(value)
    except ValueError:
        return value
    return value if number.is_integer() else significant(number)


def _summary(
    ledger: list[dict[str, str]],
    metrics: dict[str, Any],
    readings: Mapping[str, Reading],
    root: Path,
) -> str:
    chosen = next((row for row in ledger if row["decision"] == "chosen"), ledger[0])
    objective = readings[metrics["objective"]]
    lines = [
        f"# Chosen: {chosen['candidate']}",
        "",
        _escaped(chosen["reason"]),
        "",
        f"Chosen by: {_escaped(objective.title)}.",
        "",
        "| figure on the holdout | chosen | baseline |",
        "|---|---|---|",
    ]
    for name, reading in readings.items():
        held = [metrics[model].get(name) for model in ("chosen", "baseline")]
        if any(held):
            texts = [_interval(figure, reading) for figure in held]
            lines.append(f"| {_escaped(reading.title)} | {' | '.join(texts)} |")
    lines += ["", f"The whole report: `{root / 'artifacts/report/index.html'}`"]
    return "\n".join(lines)


def _interval(figure: dict[str, float] | None, reading: Reading) -> str:
    if figure is None:
        return "not known"
    text = f"{reading.text(figure['value'])} ({reading.span(figure['low'], figure['high'])})"
    return _escaped(text)


def _escaped(text: str) -> str:
    """Text from data must not become markup in the UI."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
