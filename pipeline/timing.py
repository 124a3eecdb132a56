"""What the clock said, on a page of its own beside the report, untracked.

Wall-clock figures differ between two runs of the same inputs, so no cached output holds them.
"""

import html
import json
from pathlib import Path
from typing import Any

from pipeline.artifacts import Page
from pipeline.graph import Node

PAGE = Path("artifacts/report/timing.html")

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What the clock said</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #8886; text-align: right }
th:first-child, td:first-child { text-align: left }
</style>
<h1>What the clock said</h1>
<p>Seconds of each stage's last run on this machine. Time in pieces and fits is added up over the
workers, so it may exceed the stage's own.</p>
<table><tr><th>Stage</th><th>Stage, s</th><th>Pieces, s</th><th>Fits, s</th></tr>
"""


def read(node: Node, root: Path) -> dict[str, Any] | None:
    """The stage's timing.json: `seconds` and `spans` (seconds by name); None where none is left."""
    path = root / "artifacts" / node.name / "timing.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def write_page(nodes: list[Node], root: Path) -> None:
    """Write the page from every stage's timing.json."""
    rows = []
    total = 0.0
    for node in nodes:
        timing = read(node, root)
        seconds = timing["seconds"] if timing else None
        total += seconds or 0.0
        spans = timing["spans"] if timing else {}
        cells = [node.name, *(_cell(x) for x in (seconds, spans.get("piece"), spans.get("fit")))]
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>\n")
    rows.append(f"<tr><th>together</th><th>{total:.1f}</th><th></th><th></th></tr>\n")
    Page(root / PAGE).write(_HEAD + "".join(rows) + "</table></html>\n")


def _cell(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f}"
