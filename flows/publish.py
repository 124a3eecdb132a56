"""The results in Prefect's UI: the ledger as a table artifact, the report as a markdown one."""

import csv
import json
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

EVALUATION = Path("artifacts/evaluate")


def publish(root: Path) -> None:
    """Attach the ledger and a summary of the report to the current flow run."""
    ledger = _read_ledger(root / EVALUATION / "ledger.csv")
    metrics = json.loads((root / EVALUATION / "metrics.json").read_text(encoding="utf-8"))
    create_table_artifact(
        key="ledger",
        table=[{name: _short(value) for name, value in row.items()} for row in ledger],
        description="Every candidate on the validation set: what it gained, cost, and the decision",
    )
    create_markdown_artifact(
        key="report",
        markdown=_summary(ledger, metrics, root),
        description="The run's result; the whole report is artifacts/report/index.html",
    )


def _read_ledger(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _short(value: str) -> str:
    """Figures to four digits; everything else as it is."""
    try:
        number = float(value)
    except ValueError:
        return value
    return value if number.is_integer() else f"{number:.4f}"


def _summary(ledger: list[dict[str, str]], metrics: dict[str, Any], root: Path) -> str:
    chosen = next((row for row in ledger if row["decision"] == "chosen"), ledger[0])
    lines = [
        f"# Chosen: {chosen['candidate']}",
        "",
        _escaped(chosen["reason"]),
        "",
        "| figure on the holdout | chosen | baseline |",
        "|---|---|---|",
    ]
    chosen_figures, baseline_figures = metrics["chosen"], metrics["baseline"]
    for name, figure in chosen_figures.items():
        if isinstance(figure, dict) and "value" in figure:
            lines.append(
                f"| {name.replace('_', ' ')} | {_interval(figure)} "
                f"| {_interval(baseline_figures[name])} |"
            )
    lines += ["", f"The whole report: `{root / 'artifacts/report/index.html'}`"]
    return "\n".join(lines)


def _interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.4f} ({figure['low']:.4f} to {figure['high']:.4f})"


def _escaped(text: str) -> str:
    """Text from data must not become markup in the UI."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
