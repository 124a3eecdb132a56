"""The table of faults: counts by kind, as text, as JSON and in docs/faults.md."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tests.conftest import ROOT
from tests.faults.injection import Outcome

COLUMNS = ("injected", "survived", "lost")
JSON = ROOT / "benchmarks" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def counts(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """By kind, in the order of their first."""
    table: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        row = table.setdefault(
            outcome.kind, {"injected": 0, "survived": 0, "lost": 0, "missed": 0, "skipped": 0}
        )
        row[outcome.verdict] += 1
        row["injected"] += outcome.verdict in ("survived", "lost")
    return table


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The table as Markdown, which reads well in a terminal too."""
    table = counts(outcomes)
    width = max(map(len, table), default=5)
    yield f"| {'fault':<{width}} | injected | survived | lost |"
    yield f"|{'-' * (width + 2)}|---------:|---------:|-----:|"
    total = {column: sum(row[column] for row in table.values()) for column in COLUMNS}
    for kind, row in [*table.items(), ("all", total)]:
        injected, survived, lost = (row[column] for column in COLUMNS)
        yield f"| {kind:<{width}} | {injected:>8} | {survived:>8} | {lost:>4} |"
    for verdict in ("missed", "skipped"):
        if number := sum(outcome.verdict == verdict for outcome in outcomes):
            reasons = sorted({one.why for one in outcomes if one.verdict == verdict})
            yield ""
            yield f"{number} {verdict}: {'; '.join(reasons)}."


def write(seed: int, outcomes: Sequence[Outcome]) -> None:
    """Write benchmarks/faults.json, with every fault and what it came to, and the table into
    docs/faults.md."""
    content = {
        "seed": seed,
        "counts": counts(outcomes),
        "faults": [
            {name: value for name, value in asdict(outcome).items() if name != "output"}
            for outcome in outcomes
        ],
    }
    JSON.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join([f"Seed {seed}:", "", *summary(outcomes)])
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
