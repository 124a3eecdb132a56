"""Running one stage's body in this process, by whichever door, and refusing a result whose
sources moved meanwhile."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline import clock, snapshot
from pipeline.artifacts import replacing
from pipeline.errors import EnvironmentFault, InputError
from pipeline.executor import Executor
from pipeline.graph import Node
from pipeline.params_file import PARAMS, Params, read_raw
from pipeline.render import dependencies
from pipeline.snapshot import Snapshot


class SourcesChanged(EnvironmentFault):
    """A file the stage depends on was edited while it ran; its result is not kept."""


def run_body(
    node: Node, params: Params, executor: Executor, code: Snapshot, root: Path
) -> dict[str, Any]:
    """Run the stage and return what the clock said; wall-clock figures only, never a result.

    `code` was taken before any first-party module of this process was imported. Raises
    InputError where an input is missing, SourcesChanged where a dependency was edited meanwhile.
    """
    _require_inputs(node, root)
    _require_unedited(node, code, root)
    inputs_before = snapshot.of_inputs(root, node.reads())
    sections = node.stage.section_names()
    sections_before = _sections(sections.values(), root)
    clock.take()
    start = time.perf_counter()
    arguments: dict[str, Any] = {"out": node.out, **node.inputs}
    arguments |= {parameter: params[section] for parameter, section in sections.items()}
    if node.stage.fans_out:
        arguments["executor"] = executor
    node.stage.function(**arguments)
    seconds = time.perf_counter() - start
    changed = code.changed(root, dependencies(node, root))
    inputs_after = snapshot.of_inputs(root, node.reads())
    changed += sorted(
        path
        for path in inputs_before.keys() | inputs_after.keys()
        if inputs_before.get(path) != inputs_after.get(path)
    )
    sections_after = _sections(sections.values(), root)
    changed += [
        f"{PARAMS} (section {name})"
        for name, content in sections_before.items()
        if sections_after[name] != content
    ]
    if changed:
        raise SourcesChanged(
            f"{node.name}: edited while the stage ran: {', '.join(changed)}.\n"
            "Its result belongs to neither version and is not kept. Run again."
        )
    return {"seconds": seconds, "spans": clock.take()}


def _sections(names: Iterable[str], root: Path) -> dict[str, Any]:
    raw = read_raw(root / PARAMS)
    return {name: raw.get(name) for name in names}


def write_timing(node: Node, timing: dict[str, Any], root: Path) -> None:
    """Write what the clock said beside the stage's outputs, where DVC does not look."""
    with replacing(root / "artifacts" / node.name / "timing.json") as temporary:
        temporary.write_text(json.dumps(timing, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _require_unedited(node: Node, code: Snapshot, root: Path) -> None:
    changed = code.changed(root, dependencies(node, root))
    if changed:
        raise SourcesChanged(
            f"{node.name}: edited since this process read it: {', '.join(changed)}.\n"
            "Finished stages are kept. Run again to go on with the new version."
        )


def _require_inputs(node: Node, root: Path) -> None:
    missing = [path.as_posix() for path in node.reads() if not (root / path).exists()]
    if missing:
        raise InputError(
            f"{node.name}: its input {missing[0]} is missing.\n"
            "An earlier stage has not run, or the data were not fetched. "
            "Run the stages in order with ./fettle run or dvc repro; fetch data with dvc pull."
        )
