"""Prefect's door: one flow run a pipeline run, one task run a stage, pieces as task runs below it.

A stage that DVC finds current or restores shows as Cached. A mistake of the user's ends the stage
and the flow as Failed with its message and no traceback.
"""

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Completed, Failed

from pipeline import telling
from pipeline.artifacts import Artifact, Bundle
from pipeline.aside import Aside
from pipeline.body import run_body, write_timing
from pipeline.declaration import Stage
from pipeline.errors import EnvironmentFault, ExitCode, FettleError, as_fault
from pipeline.graph import Node
from pipeline.memory import Found, Memory
from pipeline.params_file import Params
from pipeline.pieces import Remembering
from pipeline.run_params import Runner
from pipeline.runners.choose import pool
from pipeline.runners.freight import Freight
from pipeline.snapshot import Snapshot
from pipeline.task_runs import TaskRuns
from pipeline.watch import Look, RunCancelled, time_limit, watched
from pipeline.whereabouts import standing_at

log = logging.getLogger("fettle")

STATE_NAMES = {
    ExitCode.INPUT: "Bad input",
    ExitCode.ENVIRONMENT: "Blocked",
    ExitCode.FAILED: "Failed",
    ExitCode.INTERRUPTED: "Cancelled",
}
"""What a failed run is called in the UI, by the exit code the command line ends with."""


def failed(error: FettleError) -> State[Any]:
    """The Prefect state that says `error`."""
    if error.exit_code is ExitCode.INTERRUPTED:
        return Cancelled(message=str(error))
    return Failed(name=STATE_NAMES[error.exit_code], message=str(error))


class RunWatch:
    """Notices that the flow run was cancelled, and that the Prefect server went away, before
    Prefect's retries pile up."""

    def __init__(self, flow_run: UUID) -> None:
        self._flow_run = flow_run
        self._silent = 0
        self._client: SyncPrefectClient | None = None

    def look(self) -> None:
        """Raise RunCancelled, or EnvironmentFault where the server was silent three times."""
        try:
            if self._client is None:
                # Of its own: the run's is used by another thread.
                self._client = get_client(httpx_settings={"timeout": 5.0}, sync_client=True)
            state = self._client.read_flow_run(self._flow_run).state
        except ObjectNotFound:
            raise RunCancelled("The run was deleted from the Prefect server.") from None
        except Exception as error:
            self._silent += 1
            if self._silent == SILENT:
                url = get_current_settings().api.url
                raise EnvironmentFault(
                    f"The Prefect server does not answer any more ({url}: {error}).\n"
                    "Finished stages are kept. See ./fettle server status, then run again."
                ) from None
            return
        self._silent = 0
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            raise RunCancelled(
                "The run was cancelled. Finished stages and finished pieces are kept; run again "
                "to go on."
            )


SILENT = 3
"""Looks in a row that the server may not answer."""

_body: ContextVar[Callable[[], State[Any]]] = ContextVar("body")


def run_stage() -> State[Any]:
    """What the task of every stage calls.

    The body comes by a context variable, so that all stages are one task of Prefect's.
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
        runner: Runner | None = None,
    ) -> None:
        """`at_work` is called before each stage that has to run; `runner` takes the place of
        `run.runner`."""
        self._memory = memory
        self._at_work = at_work
        self._params = params
        self._code = code
        self._root = root
        self._pool = pool(params.run, root, runner)
        self._tags = _tags(params, runner)
        self.found: dict[str, Found] = {}
        """What became of each stage so far."""

    def __enter__(self) -> Self:
        context = FlowRunContext.get()
        self._flow_run = context.flow_run if context else None
        if self._flow_run is not None:
            tags = sorted({*self._flow_run.tags, *self._tags})
            with get_client(sync_client=True) as client:
                client.update_flow_run(self._flow_run.id, tags=tags)
        self._pool.__enter__()
        self._aside = Aside()
        return self

    def __exit__(self, *error: Any) -> None:
        self._aside.close()
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

        with standing_at(stage.name):
            token = _body.set(run)
            try:
                state = self._as_task(stage)(return_state=True)
            finally:
                _body.reset(token)
            if failure is not None:
                raise failure
            if not state.is_completed():
                # A defect, not a mistake of the user's: let it be seen whole.
                state.result(raise_on_failure=True)

    def _as_task(self, stage: Stage) -> Task[[], State[Any]]:
        return _stage_run.with_options(
            name=stage.name,
            task_run_name=stage.name,
            description=stage.description,
            # Not the stage's name as well: for every set of tags that it has not seen Prefect
            # opens a client to ask for limits, which takes a second or two.
            tags=self._tags,
        )

    def _looks(self) -> Sequence[Look]:
        return () if self._flow_run is None else (RunWatch(self._flow_run.id).look,)

    def _recall_or_run(self, node: Node) -> State[Any]:
        timing: dict[str, Any] = {}
        shown: list[TaskRuns] = []

        def body() -> None:
            log.info("%s: %s", node.name, node.stage.description)
            self._at_work()
            telling.begun(node, self._params)
            fits = node.stage.cost(self._params).fits
            freight = Freight.of(node, self._code, self._root)
            tags = [node.name, *self._tags]
            pieces = TaskRuns(self._pool, node.stage, freight, fits, tags, self._aside)
            shown.append(pieces)
            remembering = Remembering(pieces, self._code, self._root, pieces.show_recalled)
            limit = time_limit(node.name, self._params.run.timeouts.get(node.name))

            def work() -> None:
                timing.update(run_body(node, self._params, remembering, self._code, self._root))

            watched(work, [*self._looks(), *limit])

        found = self._memory.recall_or_run(node.name, body)
        for pieces in shown:
            # Not before the result is kept: it may not be lost over what the server shows.
            pieces.finish()
        self.found[node.name] = found
        telling.ended(node, self._params, found.value, self._root, timing)
        if found is Found.RAN:
            write_timing(node, timing, self._root)
            log.info("%s: done in %.1f s", node.name, timing["seconds"])
            return Completed(message=f"Ran in {timing['seconds']:.1f} s")
        words = self._memory.words(found)
        log.info("%s: cached (%s)", node.name, words)
        return Completed(name="Cached", message=f"DVC: {words}")


def _tags(params: Params, runner: Runner | None) -> list[str]:
    """Of the flow run and its task runs: what runs the pieces, and the kind of data."""
    ingest = params.get("ingest")
    kinds = [getattr(ingest, name, None) for name in ("kind", "task")]
    return [runner or params.run.runner, *(kind for kind in kinds if isinstance(kind, str))]
