"""What is done every night: new data, what has to run, the champion, a commit of its own.

`make ui` serves it on the schedule in params.yaml, prefect.yaml deploys it to a team's server, and
`./fettle nightly` runs it once. What every step does, and why a night does nothing, is in the log.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from prefect import Flow, flow, get_client, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Crashed

from flows.notify import tell
from flows.record import (
    SHORT,
    Recorded,
    difference,
    push_branch,
    push_cache,
    record,
    require_branch,
)
from flows.schedule import training_run
from pipeline.errors import FettleError, as_fault
from pipeline.nightly_params import FetchParams, branch_name
from pipeline.params_file import PARAMS, read_raw
from pipeline.prefect_door import failed
from pipeline.run_params import RunParams
from pipeline.whereabouts import standing_at

log = logging.getLogger("fettle")

T = TypeVar("T")

STATE = Path(".fettle/nightly.json")
"""Which steps the result that is in place has been through already."""


def end_training(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Let the pipeline's flow run end with the night's; called by Prefect, which leaves it as
    Running for ever where the process that ran both was killed (3.8.8)."""
    parent = FlowRunFilterParentFlowRunId(any_=[flow_run.id])
    with get_client(sync_client=True) as client:
        for below in client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=parent)
        ):
            if below.state is not None and not below.state.is_final():
                ended = Cancelled if state.is_cancelling() else Crashed
                client.set_flow_run_state(below.id, ended(message=state.message), force=True)


@flow(
    name="nightly",
    description="New data, then what has to run, then the champion's decision, then a commit on a "
    "branch of its own. Cached where nothing changed, Skipped where it was not its turn.",
    persist_result=False,
    on_failure=[tell],
    on_crashed=[tell, end_training],
    on_cancellation=[tell, end_training],
)
def nightly_run() -> State[Any]:
    """Do a night's work in the checkout in the working directory.

    Ends Completed, as Cached where nothing had to be done and as Skipped where it was not its turn,
    or Failed with a message for people.
    """
    from flows.left_running import noted
    from flows.turns import alone, missed
    from pipeline.project import open_project

    # A server or a worker starts this in a process of its own, which shows warnings alone.
    log.setLevel(logging.INFO)
    try:
        project = open_project()
        project.require_rendered()
        settings = project.params().run.nightly
        context = FlowRunContext.get()
        if why := missed(settings, context.flow_run if context else None):
            return _skipped(why)
        with noted(project.root), alone(project.root, settings.overlap) as why:
            return _skipped(why) if why else _night(project.root)
    except FettleError as error:
        return failed(error)
    except Exception as error:
        fault = as_fault(error)
        if fault is None:
            raise
        return failed(fault)


@dataclass(frozen=True)
class Progress:
    """What was done about one result, told by the hash of its dvc.lock."""

    lock: str | None
    challenged: bool = False
    recorded: bool = False

    @classmethod
    def read(cls, root: Path) -> "Progress":
        """About the result that is in place; a file that cannot be read says that nothing was."""
        from tracking.tracker import lock_hash

        lock = lock_hash(root)
        try:
            found = cls(**json.loads((root / STATE).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return cls(lock)
        return found if found.lock == lock else cls(lock)

    def write(self, root: Path) -> None:
        """Keep it for the next night."""
        from pipeline.artifacts import replacing

        with replacing(root / STATE) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")


def _night(root: Path) -> State[Any]:
    """The steps, each of which is a task run or, of the pipeline, a flow run.

    What failed in one night is made up for in the next: a step that the result has been through is
    not repeated, one that it has not been through is.
    """
    from pipeline.project import open_project

    began = datetime.now(UTC)
    run = open_project().params().run
    if run.nightly.commit:
        date, time = _written(began)
        require_branch(root, branch_name(run.nightly.branch, date, time))
    bring = partial(_fetch, root, run.nightly.fetch)
    _step("fetch", "Bring the data below data/ up to date", bring)
    trained = training_run(return_state=True)
    if not trained.is_completed():
        return State(type=trained.type, name=trained.name, message=trained.message)
    progress = Progress.read(root)
    said = [] if trained.name == "Cached" else [trained.message or ""]
    if not progress.challenged and (challenge := _challenge(root)):
        said.append(_step("challenge", "Hold the chosen model against the champion", challenge))
        progress = replace(progress, challenged=True)
        progress.write(root)
    if run.nightly.commit and not progress.recorded:
        keep = partial(_keep, root, run, began, ". ".join(said) or "Nothing had to run")
        said.append(_step("commit", "Commit the result on a branch of its own", keep))
        replace(progress, recorded=True).write(root)
    if not said:
        return Completed(name="Cached", message="Nothing had to run")
    return Completed(message=". ".join(said))


def _skipped(why: str) -> State[Any]:
    return Completed(name="Skipped", message=why)


def _step(name: str, description: str, body: Callable[[], T]) -> T:
    """Run `body` as a task run; raises what it raised."""
    done: list[T] = []
    failure: FettleError | None = None

    def run() -> State[Any]:
        nonlocal failure
        try:
            done.append(body())
        except FettleError as error:
            failure = error
        except Exception as error:
            failure = as_fault(error)
            if failure is None:
                raise
        return failed(failure) if failure else Completed(message=str(done[0]))

    step = task(name=name, description=description, cache_policy=NO_CACHE, persist_result=False)
    with standing_at(name):
        state = step(run)(return_state=True)
        if failure is not None:
            raise failure
        if not done:
            # A defect, not a mistake of the user's: let it be seen whole.
            state.result(raise_on_failure=True)
    return done[0]


def _fetch(root: Path, wanted: FetchParams) -> str:
    from flows.fetch import fetch

    return "; ".join(fetch(root, wanted)) or "Nothing new"


def _challenge(root: Path) -> Callable[[], str] | None:
    """What holds the chosen model against the champion and says how that ended; None where there is
    nothing to hold them against each other on (`split.promotion` of params.yaml)."""
    values = read_raw(root / PARAMS)
    if "champion" not in values or not values["split"].get("promotion"):
        return None
    if find_spec("flows.champion") is None:
        return None

    def challenge() -> str:
        decision = import_module("flows.champion").challenge(root)
        for line in (decision.line(), *decision.notes):
            log.info("champion: %s", line)
        return f"Champion: {decision.line()}"

    return challenge


def _keep(root: Path, run: RunParams, began: datetime, said: str) -> str:
    """Commit and push; returns what was done, in words."""
    date, time = _written(began)
    night = record(root, run.nightly.branch, date, time, f"Night of {date}\n\n{said}")
    words = [f"Committed {night.branch} ({night.commit[:SHORT]})"]
    log.info("the result is on branch %s, commit %s", night.branch, night.commit[:SHORT])
    if night.edited:
        log.info("committed there as edited, not as in HEAD: %s", ", ".join(night.edited))
    _publish(root, night)
    if cache := push_cache(root, run.model_dump().get("remote")):
        words.append(f"results pushed to {cache}")
    else:
        log.info("no DVC remote is configured: the results are in this machine's cache alone")
    if run.nightly.push:
        push_branch(root, run.nightly.push, night.branch)
        words.append(f"branch pushed to {run.nightly.push}")
    return ", ".join(words)


def _written(began: datetime) -> tuple[str, str]:
    """Date and time as the names of branches have them."""
    return began.strftime("%Y-%m-%d"), began.strftime("%H%M")


def of_the_chosen(table: str) -> list[str]:
    """The lines of a table of metrics that a log is read for: the chosen model's figures, without
    their intervals."""
    head, rule, *rows = [*table.splitlines(), "", ""]
    shown = [row for row in rows if " chosen." in row and ".value " in row]
    return [head, rule, *shown] if shown else [line for line in (head, rule, *rows) if line]


def _publish(root: Path, night: Recorded) -> None:
    """What changed since the night before, in the log and on the run's page."""
    table = difference(root, night)
    if table is None or night.before is None:
        log.info("there is no night before to compare the metrics with")
        return
    title = f"Metrics since the night before ({night.before[:SHORT]} to {night.commit[:SHORT]})"
    command = f"dvc metrics diff {night.before[:SHORT]} {night.branch}"
    log.info("%s; all of them: %s", title, command)
    for line in of_the_chosen(table):
        log.info("%s", line)
    create_markdown_artifact(
        key="night",
        markdown=f"# {title}\n\n{table}\n\n`{command}`",
        description="What the night changed",
    )
