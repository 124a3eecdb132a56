"""Somebody is told when a run comes to nothing: failed, crashed or cancelled.

`run.notify` in params.yaml names the environment variable that holds a webhook's address, or a
Prefect block that sends notifications. Neither address nor password is ever printed.
"""

import asyncio
import inspect
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun

from pipeline.errors import EnvironmentFault
from pipeline.nightly_params import is_variable, require_no_address
from pipeline.params_file import PARAMS, read_raw
from pipeline.server_access import masked
from pipeline.whereabouts import is_known, stage_of

log = logging.getLogger("fettle")

ROOT = Path(__file__).resolve().parents[1]
"""The checkout: whoever ends a run that was killed may stand elsewhere."""
SECONDS = 15
"""That a webhook has for its answer."""
LETTERS = 600
"""Of a reason, at the most."""
UNFINISHED = (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED, StateType.RUNNING)


def tell(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Post what became of a flow run; called by Prefect. Never raises: a message that cannot be
    sent is said in the log, and the run ends as it does."""
    if flow_run.parent_task_run_id is not None:
        # The flow that called this one tells of both.
        return
    try:
        notify = read_raw(ROOT / PARAMS)["run"]["notify"]
        if notify is None:
            return
        require_no_address(notify)
        _send(notify, f"fettle: {flow.name} {_ended(state)}", message(flow, flow_run, state))
        _say(flow_run, logging.INFO, f"told {notify} that this run {_ended(state)}")
    except Exception as error:
        # Not the error's words: they may hold the address.
        why = str(error) if isinstance(error, EnvironmentFault) else type(error).__name__
        _say(flow_run, logging.WARNING, f"nobody was told that this run {_ended(state)}: {why}")


def message(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> str:
    """Flow, stage, reason and link, a line each."""
    lines = [f"flow: {flow.name}, run {flow_run.name}"]
    if stage := _stage(flow_run.id):
        lines.append(f"stage: {stage}")
    reason = masked(state.message or state.name or "unknown")
    lines.append(f"reason: {reason[:LETTERS]}")
    lines.append(f"run: {_link(flow_run.id)}")
    return "\n".join(lines)


def _ended(state: State[Any]) -> str:
    # Prefect asks on the way to Cancelled; what fettle calls a failure says more than "failed".
    name = "Cancelled" if state.is_cancelling() else state.name or state.type.value
    return f"ended as {name}"


def _stage(run: UUID) -> str | None:
    """The stage at which the flow run, or one that it called, came to nothing."""
    from prefect import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterParentFlowRunId,
    )

    try:
        with get_client(sync_client=True) as client:
            below = client.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run])
                )
            )
            runs = [*(child.id for child in below), run]
            if any(is_known(one) for one in runs):
                return next(filter(None, map(stage_of, runs)), None)
            tasks = client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=runs))
            )
    except Exception:
        # The reason and the link are worth telling without it.
        return None
    return last_stage(tasks, run)


def last_stage(tasks: Sequence[TaskRun], run: UUID) -> str | None:
    """The stage that a run, whose process is no more, was at as far as the server was told.

    That is the last one begun, if it did not end well: of one before it the end may not have been
    told. Pieces are left out, which have a stage as their parent. The stages of a run that was
    called say more than what `run` itself was at.
    """
    stages = [task for task in tasks if not task.task_inputs.get("__parents__")]
    for own in (False, True):
        begun = [
            (task.start_time, task.name, task.state_type)
            for task in stages
            if task.start_time and (task.flow_run_id == run) == own
        ]
        if begun and max(begun)[2] in UNFINISHED:
            return max(begun)[1]
    return None


def _link(run: UUID) -> str:
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    base = settings.ui_url or (settings.api.url or "").removesuffix("/api")
    return f"{masked(base)}/runs/flow-run/{run}"


def _send(notify: str, subject: str, body: str) -> None:
    if is_variable(notify):
        _post(notify, f"{subject}\n{body}")
        return
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    block = Block.load(notify)
    if not isinstance(block, NotificationBlock):
        raise EnvironmentFault(f"the block {notify} sends no notifications")
    sent = block.notify(body, subject=subject)
    if inspect.iscoroutine(sent):
        asyncio.run(sent)


def _post(variable: str, text: str) -> None:
    """As Slack, Mattermost and Teams take it: a JSON object with one text."""
    address = os.environ.get(variable)
    if not address:
        raise EnvironmentFault(f"{variable} is not set in the environment")
    if not address.startswith(("http://", "https://")):
        raise EnvironmentFault(f"{variable} holds no http address")
    request = urllib.request.Request(
        address,
        data=json.dumps({"text": text}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    try:
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise EnvironmentFault(f"{variable} answered {error.code}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise EnvironmentFault(f"{variable} does not answer ({type(reason).__name__})") from None


def _say(flow_run: FlowRun, level: int, line: str) -> None:
    """To the terminal and to the run's page; the run itself is over, so its context is too."""
    from prefect.logging.loggers import flow_run_logger

    log.log(level, "%s", line)
    flow_run_logger(flow_run).log(level, line)
