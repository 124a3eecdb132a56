"""DVC's door: `./fettle stage NAME`, the command of every stage in dvc.yaml."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline import telling
from pipeline.body import run_body, write_timing
from pipeline.errors import InputError
from pipeline.executor import Item, Landed, Result, unheard
from pipeline.graph import Node
from pipeline.params_file import Params
from pipeline.pieces import Remembering
from pipeline.run_params import Runner
from pipeline.runners.choose import pool
from pipeline.runners.freight import Freight
from pipeline.runners.pool import Named, Pool, Work
from pipeline.snapshot import Snapshot
from pipeline.watch import time_limit, watched


def run_stage(
    nodes: list[Node],
    name: str,
    params: Params,
    code: Snapshot,
    root: Path,
    runner: Runner | None = None,
) -> None:
    """Run the body of one stage; DVC has looked for a remembered result, and keeps this one.

    `runner` takes the place of `run.runner`. Raises InputError where there is no such stage.
    """
    node = next((node for node in nodes if node.name == name), None)
    if node is None:
        raise InputError(
            f"{name}: there is no such stage. There are: {', '.join(node.name for node in nodes)}."
        )
    telling.begun(node, params)
    try:
        limit = time_limit(name, params.run.timeouts.get(name))
        timing: dict[str, Any] = {}
        with pool(params.run, root, runner) as opened:
            pieces = _Pieces(opened, name, Freight.of(node, code, root))

            def work() -> None:
                remembering = Remembering(pieces, code, root)
                timing.update(run_body(node, params, remembering, code, root))

            watched(work, limit)
    except Exception as error:
        telling.failed(node, error)
        raise
    write_timing(node, timing, root)
    telling.ended(node, params, "ran", root, timing)


class _Pieces:
    """Executor for one stage."""

    def __init__(self, pool: Pool, stage: str, freight: Freight) -> None:
        self._pool = pool
        self._stage = stage
        self._freight = freight

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        landed: Landed[Result] = unheard,
    ) -> list[Result]:
        """As `Spread.map`."""
        work = Work(self._stage, function, items, names, self._freight)
        return self._pool.run(work, Named(names), landed)
