"""At which stage a run came to nothing: as its own process knows, else as the server was told."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.exceptions import FailedRun
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Failed

from flows.notify import last_stage, message
from pipeline.errors import InputError
from pipeline.whereabouts import is_known, stage_of, standing_at

RUN, CALLED = uuid4(), uuid4()


def begun(
    name: str, second: int | None, state: StateType, run: UUID = CALLED, **more: Any
) -> TaskRun:
    start = None if second is None else datetime(2026, 11, 26, 3, 0, second, tzinfo=UTC)
    return TaskRun(
        name=name,
        flow_run_id=run,
        task_key="stage",
        dynamic_key=name,
        start_time=start,
        state_type=state,
        **more,
    )


@pytest.fixture
def server(prefect_server: str) -> Iterator[None]:
    with temporary_settings(
        {PREFECT_API_URL: prefect_server, PREFECT_LOGGING_TO_API_ENABLED: False}
    ):
        yield


@pytest.mark.doors
def test_a_process_knows_its_stage_before_the_server_does(server: None) -> None:
    """Nothing is told of task runs here, as where the server is slow to hear of them."""
    told: list[str] = []

    def tell(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
        told.append(message(flow, flow_run, state))

    @flow(name="below")
    def below() -> State[Any]:
        with standing_at("ingest"):
            pass
        try:
            with standing_at("baseline"):
                raise InputError("rows are missing")
        except InputError as error:
            return Failed(message=str(error))

    @flow(name="above", on_failure=[tell])
    def above() -> State[Any]:
        with standing_at("fetch"):
            pass
        return Failed(message=below(return_state=True).message)

    with pytest.raises(FailedRun):
        above()
    assert told[0].splitlines()[1:3] == ["stage: baseline", "reason: rows are missing"]


def test_outside_a_flow_nothing_is_noted() -> None:
    with standing_at("ingest"):
        assert not is_known(RUN)
    assert stage_of(RUN) is None


def test_the_last_stage_begun_is_where_a_killed_run_was() -> None:
    stale = begun("ingest", 1, StateType.RUNNING)
    split = begun("split", 2, StateType.COMPLETED)
    at_work = begun("baseline", 3, StateType.RUNNING)
    piece = begun("seed 1", 4, StateType.RUNNING, task_inputs={"__parents__": [{"id": uuid4()}]})
    waiting = begun("search", None, StateType.PENDING)
    calling = begun("training", 1, StateType.RUNNING, RUN)
    tasks = [at_work, piece, stale, waiting, split, calling]
    assert last_stage(tasks, RUN) == "baseline"
    # Between two stages: the first one's end was never told.
    assert last_stage([stale, split], RUN) is None
    # Behind the pipeline, whose stages are all done.
    commit = begun("commit", 9, StateType.CRASHED, RUN)
    assert last_stage([split, calling, commit], RUN) == "commit"
    assert last_stage([], RUN) is None
