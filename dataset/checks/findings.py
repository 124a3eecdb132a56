"""Ways in which data lie, looked for before anything is trained.

Each check looks at the typed examples and gives findings: what, where, the evidence, how bad, and
what to do. An error stops the run until it is mended or waved through by its name in params.yaml;
a warning is shown. Thresholds are round numbers chosen to be quiet on clean data; each says why.

The checks: of single columns and of rows (`dataset.checks.columns`), of what tells the target
(`dataset.checks.leaks`), of the labels (`dataset.checks.labels`), and, once the examples are
parted, of what the parts have in common (`dataset.checks.parts`).
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dataset.examples import Examples, Schema
from pipeline.errors import InputError

CHECKS = (
    "contradictions",
    "constant",
    "hidden_missing",
    "identifier",
    "mixed_types",
    "leak",
    "label_noise",
    "broken_pictures",
)
"""What findings on examples as they were read are called before the colon."""


@dataclass(frozen=True)
class Finding:
    """One thing found."""

    name: str
    """As `allow` in params.yaml takes it: the check, and the column if there is one."""
    severity: Literal["error", "warning"]
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}. {self.advice}"


def look(examples: Examples, schema: Schema) -> list[Finding]:
    """All findings on the examples as they were read, errors first, then in the checks' order."""
    from dataset.checks import columns, labels, leaks

    found = [
        *columns.look(examples, schema),
        *leaks.look(examples, schema),
        *labels.look(examples, schema),
    ]
    return sorted(found, key=lambda finding: finding.severity)


def require(
    findings: Sequence[Finding],
    allowed: Sequence[str],
    source: str,
    key: str = "ingest.allow",
    checks: Sequence[str] = (),
) -> list[str]:
    """Raise InputError where an error is not among the `allowed` names; else notes for people.

    `source` is where it was found, for people; `key` where params.yaml allows it. A name that no
    finding has is a note: data may have got better. But one of a check that there is not, if
    `checks` are told, is refused.
    """
    notes = [
        _unknown(name, findings, key, checks)
        for name in allowed
        if name not in [finding.name for finding in findings]
    ]
    stopping = [
        finding
        for finding in findings
        if finding.severity == "error" and finding.name not in allowed
    ]
    if stopping:
        told = "\n".join(f"  {finding}" for finding in stopping)
        names = json.dumps([*allowed, *(finding.name for finding in stopping)], ensure_ascii=False)
        hints = "".join(f"\n{note}" for note in notes)
        raise InputError(
            f"{source}: these data would teach a network the wrong thing.\n{told}\n"
            f"To go on all the same, put into params.yaml: {key}: {names}{hints}"
        )
    return notes


def _unknown(name: str, findings: Sequence[Finding], key: str, checks: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, [finding.name for finding in findings], n=1)
    check = name.partition(":")[0]
    if checks and check not in checks:
        near = near or difflib.get_close_matches(check, checks, n=1, cutoff=0)
        raise InputError(
            f"params.yaml: {key}: there is no finding {name!r}; did you mean {near[0]!r}?"
        )
    return f"{key}: {name!r} was not found" + (f"; did you mean {near[0]!r}?" if near else "")
