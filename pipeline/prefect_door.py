"""Prefect's door: one flow run a pipeline run, one task run a stage, pieces as task runs below it.

A stage that DVC finds current or restores shows as Cached. A mistake of the user's ends the stage
and the flow as Failed with its message and no traceback.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.states import Completed, Failed
from prefect.task_runners import ProcessPoolTaskRunner

from pipeline import clock
from pipeline.artifacts import Artifact, Bundle
from pipeline.body import run_body, write_timing
from pipeline.declaration import Stage
from pipeline.errors import ExitCode, FettleError, as_fault
from pipeline.executor import Item, Result
from pipeline.graph import Node
from pipeline.memory import Found, Memory
from pipeline.params_file import Params
from pipeline.snapshot import Snapshot
from pipeline.workers import end_with_parent, timed

log = logging.getLogger("fettle")

STATE_NAMES = {
    ExitCode.INPUT: "Bad input",
    ExitCode.ENVIRONMENT: "Blocked",
    ExitCode.FAILED: "Failed",
}
"""What a failed run is called in the UI, by the exit code the command line ends with."""


def failed(error: FettleError) -> State[Any]:
    """The Prefect state that says `error`."""
    return Failed(name=STATE_NAMES[error.exit_code], message=str(error))


def start_worker() -> None:
    """Prepare a worker process: its log lines go to the run, and it ends with the run."""
    log.setLevel(logging.INFO)
    end_with_parent()


class _Pool(ProcessPoolTaskRunner):
    """Prefect's process pool, whose task runs hang below the stage that submitted them.

    Prefect serialises the context once a pool (prefect 3.8.8, task_runners.py: `_cached_context`),
    which would put the pieces of every stage below the first.
    """

    def submit(self, *arguments: Any, **keywords: Any) -> Any:
        self._cached_context = None
        return super().submit(*arguments, **keywords)


class _TaskRuns:
    """Executor for one stage: pieces are task runs in the flow's pool of processes."""

    def __init__(self, pool: Callable[[], _Pool], stage: Stage, pieces_expected: int) -> None:
        self._pool = pool
        self._stage = stage
        self._expected = pieces_expected
        self._submitted = 0
        self._done = 0
        self._artifact: UUID | None = None

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str]
    ) -> list[Result]:
        """As `Executor.map`."""
        pool = self._pool()
        self._submitted += len(items)
        self._show()
        futures = {}
        for place, item in enumerate(items):
            piece = task(
                name=f"{self._stage.name} piece",
                task_run_name=names[place].replace("{", "{{").replace("}", "}}"),
                cache_policy=NO_CACHE,
                persist_result=False,
            )(timed)
            futures[pool.submit(piece, {"function": function, "item": item})] = place
        results: list[Any] = [None] * len(items)
        for future in as_completed(list(futures)):
            place = futures[future]
            results[place], spans = future.result()
            clock.add(spans)
            self._done += 1
            self._show()
            log.info(
                "%s %d of %d: %s, %.1f s",
                self._stage.name,
                self._done,
                max(self._expected, self._submitted),
                names[place],
                spans["piece"],
            )
        return results

    def finish(self) -> None:
        """Show the stage as done, where fewer pieces were needed than declared."""
        if self._artifact:
            update_progress_artifact(self._artifact, progress=100.0)

    def _show(self) -> None:
        percent = 100.0 * self._done / max(self._expected, self._submitted)
        if self._artifact is None:
            made = create_progress_artifact(
                progress=percent, key=self._stage.name, description=self._stage.description
            )
            assert isinstance(made, UUID)
            self._artifact = made
        else:
            update_progress_artifact(self._artifact, progress=percent)


_body: ContextVar[Callable[[], State[Any]]] = ContextVar("body")


def run_stage() -> State[Any]:
    """What the task of every stage calls.

    The body comes by a context variable, not by closure, and this function is importable under
    its own name, because Prefect pickles the submitting task along with every piece.
    """
    return _body.get()()


_stage_run = task(cache_policy=NO_CACHE, persist_result=False)(run_stage)


class PrefectDoor:
    """Takes a flow's stage calls to DVC's memory, each as a task run of the current flow run."""

    def __init__(self, memory: Memory, params: Params, code: Snapshot, root: Path) -> None:
        self._memory = memory
        self._params = params
        self._code = code
        self._root = root
        self._open = ExitStack()
        self._runner: _Pool | None = None
        self.found: dict[str, Found] = {}
        """What became of each stage so far."""

    def __enter__(self) -> "PrefectDoor":
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def call(self, stage: Stage, inputs: dict[str, Artifact | Bundle], out: Bundle) -> None:
        """Run the stage as a task run; raises the FettleError it ended with."""
        node = Node(stage, inputs, out)
        failure: FettleError | None = None

        def run() -> State[Any]:
            nonlocal failure
            try:
                return self._recall_or_run(node)
            except FettleError as error:
                failure = error
            except Exception as error:
                fault = as_fault(error)
                if fault is None:
                    raise
                failure = fault
            return failed(failure)

        token = _body.set(run)
        try:
            state = _stage_run.with_options(
                name=stage.name, task_run_name=stage.name, description=stage.description
            )(return_state=True)
        finally:
            _body.reset(token)
        if failure is not None:
            raise failure
        if not state.is_completed():
            # A defect, not a mistake of the user's: let it be seen whole.
            state.result(raise_on_failure=True)

    def _recall_or_run(self, node: Node) -> State[Any]:
        timing: dict[str, Any] = {}

        def body() -> None:
            log.info("%s: %s", node.name, node.stage.description)
            pieces = _TaskRuns(self._pool, node.stage, self._cost(node))
            timing.update(run_body(node, self._params, pieces, self._code, self._root))
            pieces.finish()

        found = self._memory.recall_or_run(node.name, body)
        self.found[node.name] = found
        if found is Found.RAN:
            write_timing(node, timing, self._root)
            log.info("%s: done in %.1f s", node.name, timing["seconds"])
            return Completed(message=f"Ran in {timing['seconds']:.1f} s")
        log.info("%s: cached (%s)", node.name, found.value)
        return Completed(name="Cached", message=f"DVC: {found.value}")

    def _cost(self, node: Node) -> int:
        params = self._params[node.name] if node.stage.params_type else None
        return node.stage.cost(params).fits

    def _pool(self) -> _Pool:
        if self._runner is None:
            self._runner = _Pool(max_workers=self._params.run.workers, initializer=start_worker)
            self._open.enter_context(self._runner)
        return self._runner
