"""The DAG as a Prefect flow: what `fettle run` runs once, and every night is part of another
(flows/nightly.py)."""

import logging
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.notify import tell
from pipeline.run_params import Runner


@flow(
    name="training",
    description="From raw data to the sealed test: one task run a stage, Cached where DVC knows "
    "the result.",
    persist_result=False,
    on_failure=[tell],
    on_crashed=[tell],
    on_cancellation=[tell],
)
def training_run(runner: Runner | None = None) -> State[Any]:
    """Run the pipeline of the checkout in the working directory.

    runner: what runs trials, folds and seeds instead of what params.yaml names.

    Ends Completed, as Cached where nothing had to run, or Failed with a message for people.
    """
    from prefect.states import Completed

    # A server or a worker starts this in a process of its own, which shows warnings alone.
    logging.getLogger("fettle").setLevel(logging.INFO)
    from flows.left_running import noted
    from flows.publish import publish
    from flows.training import training
    from flows.turns import at_work
    from flows.worth import read_worth
    from pipeline.declaration import through
    from pipeline.errors import FettleError, as_fault
    from pipeline.memory import Found, Memory
    from pipeline.prefect_door import PrefectDoor, failed
    from pipeline.project import open_project, read_given
    from pipeline.timing import write_page
    from tracking.keeping import kept

    try:
        project = open_project()
        project.require_rendered()
        params = project.params()
        memory = Memory(project.root, params.run.remote)
        with (
            noted(project.root),
            at_work(project.root),
            kept(project.root, params, "run") as keeper,
        ):
            with (
                PrefectDoor(
                    memory, params, project.code, project.root, keeper.follow, runner
                ) as door,
                through(door),
            ):
                training(read_given())
            write_page(project.nodes, project.root, read_worth(project.root))
            publish(project.root)
        if params.run.push:
            memory.push(door.found)
    except FettleError as error:
        return failed(error)
    except Exception as error:
        fault = as_fault(error)
        if fault is None:
            raise
        return failed(fault)
    ran = [name for name, found in door.found.items() if found is Found.RAN]
    if not ran:
        return Completed(name="Cached", message="Nothing had to run")
    return Completed(message=f"Ran {', '.join(ran)}")
