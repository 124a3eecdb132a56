"""`fettle run`: the pipeline once, through Prefect's door, and its result in a few lines.
`fettle nightly`: the same for what is done every night."""

import json
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.readings import Reading
from models.judging.evaluation import Chosen
from pipeline.errors import ExitCode, as_fault, shown
from pipeline.project import Project
from pipeline.run_params import Runner
from pipeline.server_access import masked
from tracking.keeping import where

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

log = logging.getLogger("fettle")


def run(project: Project, runner: Runner | None = None) -> int:
    """Run the pipeline against a Prefect server; returns the exit code after saying how it ended.

    `runner` takes the place of `run.runner` in params.yaml.
    """
    _reach_server(project)
    # Only now: Prefect reads its settings when it is imported.
    from flows.schedule import training_run

    return _ended(project, partial(training_run, runner, return_state=True))


def nightly(project: Project) -> int:
    """The same of what is done every night, now."""
    _reach_server(project)
    from flows.nightly import nightly_run

    return _ended(project, partial(nightly_run, return_state=True))


def _reach_server(project: Project) -> None:
    from pipeline import server

    own = server.configured_url() is None
    if own and server.find(project.root) is None:
        log.info("starting the project's Prefect server, once; ./fettle server stop ends it")
    url = server.use(project.root)
    log.info("Prefect UI: %s", masked(url.removesuffix("/api")))
    for line in where(project.params(), project.root):
        log.info("%s", line)


def _ended(project: Project, flow: Callable[[], "State[Any]"]) -> int:
    from pipeline.prefect_door import STATE_NAMES

    try:
        state = flow()
    except Exception as error:
        fault = as_fault(error)
        if fault is None:
            raise
        print(f"fettle: {fault}", file=sys.stderr)
        return fault.exit_code
    if state.is_completed():
        log.info("%s", state.message)
        if state.name != "Skipped":
            for line in result(project.root):
                print(shown(line))
        return ExitCode.OK
    codes = {name: code for code, name in STATE_NAMES.items()}
    print(f"fettle: {state.message}", file=sys.stderr)
    return codes.get(state.name or "", ExitCode.FAILED)


def result(root: Path) -> list[str]:
    """The chosen model and its objective on the holdout with its interval, and where the report
    is."""
    evaluation = root / "artifacts/evaluate"
    choice = Chosen(evaluation / "chosen").choice()
    metrics = json.loads((evaluation / "metrics.json").read_text("utf-8"))
    details = json.loads((evaluation / "details.json").read_text("utf-8"))
    figure = metrics["chosen"][metrics["objective"]]
    reading = Reading.model_validate(details["figures"][metrics["objective"]])
    return [
        f"chosen: {choice.candidate}. {choice.reason}",
        f"{reading.title} on the holdout ({metrics['n']} examples): "
        f"{reading.text(figure['value'])} ({100 * details['level']:g} % interval "
        f"{reading.span(figure['low'], figure['high'])})",
        "report: artifacts/report/index.html",
    ]
