"""Pieces of a stage as Prefect task runs below the stage's own.

The run's own process makes them: it learns of every piece when it begins and ends, whatever runs
it. So workers need neither Prefect, whose import takes two seconds, nor a way to its server, which
may listen on the run's machine alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from prefect import task
from prefect.artifacts import create_progress_artifact
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.objects import State, TaskRunResult
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from pipeline.aside import Aside
from pipeline.declaration import Stage
from pipeline.errors import FettleError
from pipeline.executor import Item, Landed, Result, unheard
from pipeline.runners.freight import Freight
from pipeline.runners.pool import Hearing, Line, Pool, Work, record_of, show_progress
from pipeline.watch import Ended, RunCancelled

log = logging.getLogger("fettle")

OFTEN = 1.0
"""Seconds between two times that the server is told how far a stage is."""
PATIENCE = 20.0
"""Seconds that a finished stage waits until the server knows of all its pieces."""
FAREWELL = 5.0
"""Seconds that a stage which was ended may take to say what became of its pieces."""


@task(name="piece")
def piece() -> None:
    """What Prefect is told that every piece is; it is never called."""


class TaskRuns:
    """Executor for one stage: its pieces go to the run's pool, and each is a task run."""

    def __init__(
        self,
        pool: Pool,
        stage: Stage,
        freight: Freight,
        expected: int,
        tags: Sequence[str],
        aside: Aside,
    ) -> None:
        """`expected`: pieces that the stage declares; `aside`: who tells the server."""
        self._pool = pool
        self._stage = stage
        self._freight = freight
        self._expected = expected
        self._tags = tags
        self._submitted = 0
        self._done = 0
        self._artifact: UUID | None = None
        self._shown = 0.0
        self._aside = aside

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        landed: Landed[Result] = unheard,
    ) -> list[Result]:
        """As `Spread.map`."""
        self._submitted += len(items)
        self._show()
        work = Work(self._stage.name, function, items, names, self._freight)
        runs = _Runs(self._stage.name, names, self._tags, self._say, self._aside)
        try:
            return self._pool.run(work, runs, landed)
        except BaseException as error:
            runs.close(error)
            raise

    def show_recalled(self, name: str) -> None:
        """Show a piece as a task run that ended at once, since its result was known."""
        self._submitted += 1
        self._done += 1
        _Runs(self._stage.name, [name], self._tags, self._say, self._aside).recalled()
        self._show()

    def finish(self) -> None:
        """Show the stage as done, where fewer pieces were needed than declared. The server then
        knows of all of them, unless it takes too long."""
        if self._artifact:
            self._update(100.0)
        self._aside.wait(PATIENCE)

    def _say(self, name: str, seconds: float) -> None:
        self._done += 1
        self._show()
        total = max(self._expected, self._submitted)
        log.info("%s %d of %d: %s, %.1f s", self._stage.name, self._done, total, name, seconds)

    def _show(self) -> None:
        percent = 100.0 * self._done / max(self._expected, self._submitted)
        if self._artifact is None:
            made = create_progress_artifact(
                progress=percent, key=self._stage.name, description=self._stage.description
            )
            assert isinstance(made, UUID)
            self._artifact = made
        elif time.monotonic() - self._shown > OFTEN:
            self._shown = time.monotonic()
            self._update(percent)

    def _update(self, percent: float) -> None:
        artifact = self._artifact
        assert artifact is not None
        self._aside.later(
            lambda client: client.update_artifact(artifact, ArtifactUpdate(data=percent))
        )


class _Runs(Hearing):
    """Task runs of pieces that are handed out together."""

    def __init__(
        self,
        stage: str,
        names: Sequence[str],
        tags: Sequence[str],
        say: Callable[[str, float], None],
        aside: Aside,
    ) -> None:
        self._stage = stage
        self._names = names
        self._tags = tags
        self._say = say
        self._aside = aside
        self._open: dict[int, UUID] = {}
        self._logs = APILogHandler()
        flow, parent = FlowRunContext.get(), TaskRunContext.get()
        self._flow_run = flow.flow_run.id if flow and flow.flow_run else None
        self._parent = parent.task_run.id if parent else None

    def began(self, place: int) -> None:
        """Make the task run; one whose worker was lost goes on."""
        if place in self._open:
            self._set(self._open[place], Running(name="Retrying"))
        else:
            self._open[place] = self._make(place, Running())

    def said(self, place: int, line: Line) -> None:
        """Send the line to the task run, and to the terminal how far a long fit is."""
        record = record_of(line)
        record.flow_run_id, record.task_run_id = self._flow_run, self._open.get(place)
        if record.name == "fettle.progress":
            show_progress(record)
        else:
            self._logs.emit(record)

    def ended(self, place: int, seconds: float) -> None:
        """The task run is completed."""
        self._set(self._open.pop(place), Completed(message=f"{seconds:.1f} s"))
        self._say(self._names[place], seconds)

    def failed(self, place: int, error: BaseException) -> None:
        """The task run failed, unless it was ended from outside."""
        if isinstance(error, Exception):
            message = str(error) if isinstance(error, FettleError) else repr(error)
            self._set(self._open.pop(place), Failed(message=message))

    def recalled(self) -> None:
        """All pieces ended at once, since their results were known."""
        for place in range(len(self._names)):
            message = "It was finished before the stage was interrupted"
            self._make(place, Completed(name="Recalled", message=message))

    def close(self, error: BaseException) -> None:
        """Say what became of pieces under way, as far as the server can be told."""
        if isinstance(error, Ended):
            error = error.why
        ended = isinstance(error, RunCancelled | KeyboardInterrupt)
        message = "Ended with the stage"
        for run in self._open.values():
            self._set(run, Cancelled(message=message) if ended else Crashed(message=message))
        # No longer: it may be the server that is away.
        self._aside.wait(FAREWELL)

    def _make(self, place: int, state: State[Any]) -> UUID:
        run = uuid4()
        parent: list[Any] = [TaskRunResult(id=self._parent)] if self._parent else []
        self._aside.later(
            lambda client: client.create_task_run(
                piece,
                self._flow_run,
                # Of one key Prefect makes one task run, however often it is asked.
                dynamic_key=str(run),
                id=run,
                name=self._names[place],
                extra_tags=self._tags,
                state=state,
                task_inputs={"__parents__": parent} if parent else None,
            )
        )
        return run

    def _set(self, run: UUID, state: State[Any]) -> None:
        self._aside.later(lambda client: client.set_task_run_state(run, state, force=True))
