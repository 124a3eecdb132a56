"""dvc.yaml, rendered from the flow; never edited by hand.

What is rendered depends on the code and on which files params.yaml names: `ingest.path` (and for
lists of pictures `ingest.kind`), `finetune.pretrained`, `distill.teacher`, `distill.unlabelled`.
"""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.closure import closure
from pipeline.errors import InputError
from pipeline.graph import Node

DVC_YAML = Path("dvc.yaml")
RUNTIME = ("fettle", "requirements.lock")
"""What every result depends on: the launcher says how a process computes, the lock with what."""

HEADER = """\
# Rendered from flows/training.py by `./fettle render`. Not to be edited: change the flow, a task's
# signature or a file that params.yaml names, and render again.
"""


def render(nodes: list[Node], root: Path) -> str:
    """The text of dvc.yaml for the traced flow of the project at `root`."""
    stages = {node.name: _entry(node, root) for node in nodes}
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump({"stages": stages}, text)
    return HEADER + text.getvalue()


def dependencies(node: Node, root: Path) -> list[str]:
    """Everything the stage's result depends on besides its params: inputs, code, runtime."""
    code = closure(node.stage.module, root)
    inputs = [path.as_posix() for path in node.reads()]
    return [*inputs, *sorted({*code, *node.stage.files}), *RUNTIME]


def check(text: str, root: Path) -> None:
    """Raise InputError where the committed dvc.yaml is not `text`, byte for byte."""
    path = root / DVC_YAML
    if not path.is_file():
        raise InputError("dvc.yaml is missing. Write it with: ./fettle render")
    committed = path.read_text(encoding="utf-8")
    if committed == text:
        return
    line = _first_difference(committed, text)
    raise InputError(
        f"dvc.yaml, line {line}: it is not what the code renders, so DVC and fettle would not "
        "mean the same.\nIf the code changed, params.yaml names another file, or dvc.yaml was "
        "edited by hand: ./fettle render (see what changes with: git diff dvc.yaml)"
    )


def _first_difference(one: str, other: str) -> int:
    ours, theirs = one.splitlines(), other.splitlines()
    for number, (left, right) in enumerate(zip(ours, theirs, strict=False), start=1):
        if left != right:
            return number
    return min(len(ours), len(theirs)) + 1


def _entry(node: Node, root: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "desc": node.stage.description,
        "cmd": f"./fettle stage {node.name}",
        "deps": dependencies(node, root),
    }
    if sections := node.stage.section_names():
        entry["params"] = sorted(sections.values(), key=lambda name: name != node.name)
    for artifact in node.writes():
        path = artifact.path.as_posix()
        entry.setdefault(artifact.kind, []).append({path: artifact.plot} if artifact.plot else path)
    return entry
