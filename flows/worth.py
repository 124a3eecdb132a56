"""What the ledger says of every candidate, for the page of timings."""

import csv
import json
from pathlib import Path

from metrics.readings import Reading
from pipeline import axes
from pipeline.timing import Figure, Worth

EVALUATION = Path("artifacts/evaluate")
KNOWN = ("score", "score_low", "score_high", "multiply_adds")
"""What a row has whose candidate is a network and is on."""


def read_worth(root: Path) -> Worth | None:
    """The objective on validation of every network that is on; None where there is none."""
    with (root / EVALUATION / "ledger.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    known = [row for row in rows if all(row.get(name) for name in KNOWN)]
    if not known:
        return None
    details = json.loads((root / EVALUATION / "details.json").read_text(encoding="utf-8"))
    reading = Reading.model_validate(details["figures"][details["objective"]])
    figures = {row["candidate"]: _figure(row, reading) for row in known}
    ends = [(figure.low, figure.high) for figure in figures.values()]
    chosen = figures.get(details["chosen"], next(iter(figures.values())))
    kept = axes.near(ends, chosen.value, ends)
    low, high = min(low for low, _ in kept), max(high for _, high in kept)
    scale = axes.share_axis(low, high) if reading.share else axes.plain_axis(low, high)
    title = reading.title[:1].upper() + reading.title[1:]
    if reading.unit:
        title += f", {reading.unit}"
    return Worth(title, reading.sign, scale, figures, details["chosen"])


def _figure(row: dict[str, str], reading: Reading) -> Figure:
    value, low, high = (float(row[end]) for end in ("score", "score_low", "score_high"))
    return Figure(value, low, high, f"{reading.text(value)} ({reading.span(low, high)})")
