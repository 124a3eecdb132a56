from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import task_runs
from pipeline.errors import EnvironmentFault
from pipeline.runners.freight import Freight
from pipeline.runners.local import Local
from pipeline.task_runs import TaskRuns
from pipeline.watch import RunCancelled


class Told:
    """In a server's place: what it is told, at once."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.states: list[tuple[Any, str]] = []
        self.percents: list[float] = []

    def later(self, call: Any) -> None:
        call(self)

    def wait(self, seconds: float | None = None) -> None:
        pass

    def create_task_run(self, task: Any, flow_run: Any, **told: Any) -> None:
        self.made.append(told)

    def set_task_run_state(self, run: Any, state: Any, *, force: bool) -> None:
        self.states.append((run, state.name))

    def update_artifact(self, artifact: Any, update: Any) -> None:
        self.percents.append(update.data)


def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    from uuid import uuid4

    monkeypatch.setattr(task_runs, "create_progress_artifact", lambda **told: uuid4())
    return Told()


def runs(told: Told, expected: int) -> TaskRuns:
    stage: Any = SimpleNamespace(name="search", description="Trials.")
    aside: Any = told
    return TaskRuns(Local(), stage, Freight.none(), expected, ["local"], aside)


def test_every_piece_is_a_task_run_of_its_own(told: Told, tmp_path: Path) -> None:
    """Rounds of a long search come and go; Prefect takes two of one key for the same."""
    running = runs(told, 60)
    for place in range(30):
        names = [f"trial {2 * place}", f"trial {2 * place + 1}"]
        assert running.map(double, [1, 2], names) == [2, 4]
    running.finish()

    assert [one["name"] for one in told.made] == [f"trial {place}" for place in range(60)]
    for key in ("dynamic_key", "id"):
        assert len({str(one[key]) for one in told.made}) == 60
    assert told.states == [(one["id"], "Completed") for one in told.made]


def test_the_server_is_told_how_far_a_stage_is_now_and_then(told: Told) -> None:
    running = runs(told, 200)
    running.map(double, list(range(100)), [str(place) for place in range(100)])
    assert len(told.percents) < 20
    running.finish()
    assert told.percents[-1] == 100.0


def test_a_piece_that_was_recalled_is_shown_as_such(told: Told) -> None:
    running = runs(told, 2)
    running.show_recalled("trial 1")
    [made] = told.made
    assert (made["name"], made["state"].name) == ("trial 1", "Recalled")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (EnvironmentFault("The disk is full."), "Crashed"),
        (RunCancelled("The run was cancelled."), "Cancelled"),
    ],
)
def test_pieces_do_not_outlive_their_stage(
    told: Told, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str
) -> None:
    running = runs(told, 1)

    def run(work: Any, hearing: Any, landed: Any) -> None:
        hearing.began(0)
        raise error

    monkeypatch.setattr(running._pool, "run", run)
    with pytest.raises(type(error)):
        running.map(double, [1], ["trial 1"])
    [made] = told.made
    assert told.states == [(made["id"], state)]
