"""The table of faults: counts by kind, as text, as JSON and in docs/faults.md."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tests.conftest import ROOT
from tests.faults.injection import Outcome

KINDS = (
    "kill -9 of the run",
    "kill -9 of a worker",
    "kill -9 of the Prefect server",
    "kill -9 of dvc repro",
    "no pages left on the disk",
    "no inodes left on the disk",
    "a corrupt file",
    "changed raw data",
    "two runs at once",
    "the clock is set",
    "files from another time",
    "a read-only folder",
    "a file that cannot be written",
    "a file that cannot be read",
    "a slow Prefect server",
    "a Prefect server that answers 500",
    "a Prefect server that restarts",
)
FIELDS = ("kind", "where", "verdict", "why", "code")
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
    docs/faults.md. Kinds that were not injected this time keep what they had."""
    before = json.loads(JSON.read_text(encoding="utf-8")) if JSON.exists() else {"faults": []}
    again = {outcome.kind for outcome in outcomes}
    faults = [fault for fault in before["faults"] if fault["kind"] not in again]
    for outcome in outcomes:
        told = {name: value for name, value in asdict(outcome).items() if name != "output"}
        faults.append({"seed": seed, **told})
    faults.sort(key=lambda fault: KINDS.index(fault["kind"]))
    every = [Outcome(**{name: fault[name] for name in FIELDS}) for fault in faults]
    content = {"counts": counts(every), "faults": faults}
    JSON.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    top, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, bottom = rest.partition(END)
    table = "\n".join(summary(every))
    PAGE.write_text(f"{top}{BEGIN}\n{table}\n{END}{bottom}", encoding="utf-8")
