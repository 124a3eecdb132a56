"""DVC's door: `./fettle stage NAME`, the command of every stage in dvc.yaml."""

from pathlib import Path

from pipeline import telling
from pipeline.body import run_body, write_timing
from pipeline.errors import InputError
from pipeline.graph import Node
from pipeline.params_file import Params
from pipeline.pieces import Remembering
from pipeline.snapshot import Snapshot
from pipeline.workers import ProcessPool


def run_stage(nodes: list[Node], name: str, params: Params, code: Snapshot, root: Path) -> None:
    """Run the body of one stage; DVC has looked for a remembered result, and keeps this one.

    Raises InputError where there is no such stage.
    """
    node = next((node for node in nodes if node.name == name), None)
    if node is None:
        raise InputError(
            f"{name}: there is no such stage. There are: {', '.join(node.name for node in nodes)}."
        )
    telling.begun(node, params)
    try:
        with ProcessPool(params.run.workers) as pool:
            timing = run_body(node, params, Remembering(pool, code, root), code, root)
    except Exception as error:
        telling.failed(node, error)
        raise
    write_timing(node, timing, root)
    telling.ended(node, params, "ran", root, timing)
