"""What a door tells the journal of a stage."""

import json
from pathlib import Path
from typing import Any

from pipeline import journal
from pipeline.errors import FettleError
from pipeline.graph import Node
from pipeline.params_file import Params


def begun(node: Node, params: Params) -> None:
    """A stage begins; what this process and its workers tell from now on belongs to it."""
    if not journal.is_open():
        return
    journal.enter(node.name)
    cost = node.stage.cost(params)
    journal.tell(
        "stage begun",
        description=node.stage.description,
        params=_sections(node, params),
        declared={"fits": cost.fits, "epochs": cost.epochs},
    )


def ended(node: Node, params: Params, found: str, root: Path, timing: dict[str, Any]) -> None:
    """A stage's outputs are in place; `found` says how they came there, `timing` what the clock
    said, if it ran."""
    if not journal.is_open():
        return
    journal.enter(node.name)
    journal.tell(
        "stage ended",
        found=found,
        description=node.stage.description,
        params=_sections(node, params),
        metrics=_metrics(node, root),
        counted=_counted(node, root),
        seconds=timing.get("seconds"),
    )


def failed(node: Node, error: BaseException) -> None:
    """A stage has come to nothing. Only what is meant for people is told of the error."""
    if not journal.is_open():
        return
    # It may have failed before it began, when the one before was still under way.
    journal.enter(node.name)
    reason = str(error) if isinstance(error, FettleError) else type(error).__name__
    journal.tell("stage ended", found="failed", reason=reason.split("\n")[0])


def _sections(node: Node, params: Params) -> dict[str, Any]:
    names = sorted(set(node.stage.section_names().values()))
    return {name: params[name].model_dump(mode="json") for name in names}


def _metrics(node: Node, root: Path) -> dict[str, Any]:
    """The content of the stage's metrics.json; what cannot be read is left out."""
    found: dict[str, Any] = {}
    for leaf in node.writes():
        if leaf.kind == "metrics":
            found |= _content(root / leaf.path)
    return found


def _counted(node: Node, root: Path) -> dict[str, int]:
    """The counts in the records that lie in the stage's folders: fits, epochs, parameters, …"""
    counts: dict[str, int] = {}
    for leaf in node.writes():
        if not leaf.suffix:
            record = _content(root / leaf.path / "record.json")
            counts |= {name: value for name, value in record.items() if type(value) is int}
    return counts


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
