"""`fettle run`: the pipeline once, through Prefect's door, and its result in a few lines."""

import json
import logging
import sys
from pathlib import Path

from metrics.readings import Reading
from models.evaluation import Chosen
from pipeline.errors import ExitCode, as_fault, shown
from pipeline.project import Project
from pipeline.run_params import Runner
from tracking.keeping import where

log = logging.getLogger("fettle")


def run(project: Project, runner: Runner | None = None) -> int:
    """Run the flow against a Prefect server; returns the exit code after saying how it ended.

    `runner` takes the place of `run.runner` in params.yaml.
    """
    from pipeline import server

    own = server.configured_url() is None
    if own and server.find(project.root) is None:
        log.info("starting the project's Prefect server, once; ./fettle server stop ends it")
    url = server.use(project.root)
    # Only now: Prefect reads its settings when it is imported.
    from flows.schedule import training_run
    from pipeline.prefect_door import STATE_NAMES

    log.info("Prefect UI: %s", url.removesuffix("/api"))
    for line in where(project.params(), project.root):
        log.info("%s", line)
    try:
        state = training_run(runner, return_state=True)
    except Exception as error:
        fault = as_fault(error)
        if fault is None:
            raise
        print(f"fettle: {fault}", file=sys.stderr)
        return fault.exit_code
    if state.is_completed():
        log.info("%s", state.message)
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
