"""What `ingest` understood of the raw data, whatever they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.checks.findings import Finding
from dataset.examples import GIVEN, Examples, Schema, Texts
from dataset.profile import profile

Blocks = Callable[[], Iterator[tuple[Examples, Texts]]]
"""The examples and the columns set aside, a block at a time; begins anew at each call."""


@dataclass(frozen=True)
class Read:
    """Examples, and facts about them for people."""

    examples: Examples
    """All of them; of data that are too large for memory, a sample spread evenly over them."""
    schema: Schema
    aside: Texts
    """Columns that are no features, and `GIVEN` where the data came in parts; of `examples`."""
    profile: dict[str, Any]
    findings: list[Finding]
    """What reading itself found; `dataset.checks.findings.look` finds the rest."""
    blocks: Blocks
    """All of them."""


def whole(
    examples: Examples,
    schema: Schema,
    aside: Texts,
    *,
    source: str,
    notes: list[str],
    findings: list[Finding],
) -> Read:
    """Data that are in memory; `source` and `notes` are for people."""
    given = aside.get(GIVEN)
    told = profile(examples, schema) | {
        "source": source,
        "notes": [*notes, *([] if given is None else [on_parts(given)])],
    }
    return Read(examples, schema, aside, told, findings, lambda: iter([(examples, aside)]))


def on_parts(given: npt.NDArray[np.generic]) -> str:
    """How many examples came in each part."""
    names = given.tolist()
    counts = {part: names.count(part) for part in ("train", "validation", "test")}
    told = ", ".join(f"{part} {count:,}" for part, count in counts.items() if count)
    return f"the data came in parts: {told}"
