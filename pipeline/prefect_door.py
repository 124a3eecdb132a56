"""Prefect's door: one flow run a pipeline run, one task run a stage, pieces as task runs below it.

A stage that DVC finds current or restores shows as Cached. A mistake of the user's ends the stage
and the flow as Failed with its message and no traceback.
"""

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self, cast
from uuid import UUID

import cloudpickle
from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import hydrated_context, serialize_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings
from prefect.states import Completed, Failed
from prefect.task_engine import run_task_sync

from pipeline import journal, telling, workers
from pipeline.artifacts import Artifact, Bundle
from pipeline.body import run_body, write_timing
from pipeline.declaration import Stage
from pipeline.errors import EnvironmentFault, ExitCode, FettleError, as_fault
from pipeline.executor import Item, Result
from pipeline.graph import Node
from pipeline.memory import Found, Memory
from pipeline.params_file import Params
from pipeline.pieces import Remembering
from pipeline.server import answers
from pipeline.snapshot import Snapshot
from pipeline.workers import ProcessPool, timed

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
    workers.start()


_piece = task(cache_policy=NO_CACHE, persist_result=False)(timed)


def recalled_piece() -> State[Any]:
    """What the task of a piece does whose result is known."""
    return Completed(name="Recalled", message="It was finished before the stage was interrupted")


_recalled = task(cache_policy=NO_CACHE, persist_result=False)(recalled_piece)


def run_piece(
    context: bytes, stage: str, name: str, function: Callable[[Any], Any], item: Any
) -> tuple[Any, dict[str, float]]:
    """In a worker: a piece as a task run called `name`, below the task run of its stage.

    What Prefect's own runners for Dask and Ray do on theirs. Its process pool is not used: when
    the server goes away it can lose a future and wait for ever (prefect 3.8.8, task_runners.py:
    `_ChainedFuture` passes on an Exception, not a BaseException).
    """
    journal.enter(stage)
    with hydrated_context(cloudpickle.loads(context)):
        try:
            result = run_task_sync(
                _piece.with_options(name=f"{stage} piece", task_run_name=_literal(name)),
                parameters={"function": function, "item": item},
            )
            return cast(tuple[Any, dict[str, float]], result)
        finally:
            # A pool's worker ends without the exit handlers that would send what is left.
            EventsWorker.instance().wait_until_empty()
            APILogHandler().flush()


def _literal(name: str) -> str:
    """Prefect fills braces in a name's template."""
    return name.replace("{", "{{").replace("}", "}}")


class _TaskRuns:
    """Executor for one stage: pieces are task runs in the flow's pool of processes."""

    def __init__(self, pool: ProcessPool, stage: Stage, pieces_expected: int) -> None:
        self._pool = pool
        self._stage = stage
        self._expected = pieces_expected
        self._submitted = 0
        self._done = 0
        self._artifact: UUID | None = None
        self._watch = ServerWatch()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        keep: bool = False,
    ) -> list[Result]:
        """As `Executor.map`, but that `Remembering` keeps the results."""
        self._submitted += len(items)
        self._show()
        context = cloudpickle.dumps(serialize_context())

        def say(place: int, seconds: float) -> None:
            self._done += 1
            self._show()
            log.info(
                "%s %d of %d: %s, %.1f s",
                self._stage.name,
                self._done,
                max(self._expected, self._submitted),
                names[place],
                seconds,
            )

        calls = [
            (context, self._stage.name, name, function, item)
            for name, item in zip(names, items, strict=True)
        ]
        return self._pool.run(run_piece, calls, say, self._watch.look)

    def show_recalled(self, name: str) -> None:
        """Show a piece as a task run that ended at once, since its result was known."""
        self._submitted += 1
        self._done += 1
        _recalled.with_options(name=f"{self._stage.name} piece", task_run_name=_literal(name))(
            return_state=True
        )
        self._show()

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


class ServerWatch:
    """Notices that the Prefect server went away, before Prefect's retries pile up."""

    def __init__(self) -> None:
        self._url = get_current_settings().api.url
        self._silent = 0

    def look(self) -> None:
        """Raise EnvironmentFault where the server has not answered three times in a row."""
        if self._url is None or answers(self._url):
            self._silent = 0
            return
        self._silent += 1
        if self._silent == 3:
            raise EnvironmentFault(
                f"The Prefect server does not answer any more ({self._url}).\n"
                "Finished stages are kept. See ./fettle server status, then run again."
            )


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

    def __init__(
        self,
        memory: Memory,
        params: Params,
        code: Snapshot,
        root: Path,
        at_work: Callable[[], None] = lambda: None,
    ) -> None:
        """`at_work` is called before each stage that has to run."""
        self._memory = memory
        self._at_work = at_work
        self._params = params
        self._code = code
        self._root = root
        self._pool = ProcessPool(params.run.workers, start_worker)
        self.found: dict[str, Found] = {}
        """What became of each stage so far."""

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)

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
                    telling.failed(node, error)
                    raise
                failure = fault
            telling.failed(node, failure)
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
            self._at_work()
            telling.begun(node, self._params)
            fits = node.stage.cost(self._params).fits
            pieces = _TaskRuns(self._pool, node.stage, fits)
            remembering = Remembering(pieces, self._code, self._root, pieces.show_recalled)
            timing.update(run_body(node, self._params, remembering, self._code, self._root))
            pieces.finish()

        found = self._memory.recall_or_run(node.name, body)
        self.found[node.name] = found
        telling.ended(node, self._params, found.value, self._root, timing)
        if found is Found.RAN:
            write_timing(node, timing, self._root)
            log.info("%s: done in %.1f s", node.name, timing["seconds"])
            return Completed(message=f"Ran in {timing['seconds']:.1f} s")
        words = self._memory.words(found)
        log.info("%s: cached (%s)", node.name, words)
        return Completed(name="Cached", message=f"DVC: {words}")
