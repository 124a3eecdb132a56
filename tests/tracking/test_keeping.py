"""A run's own side: what is kept, for how long, and that it stands in no run's way."""

import io
import logging
from pathlib import Path

import pytest

from pipeline import journal
from pipeline.artifacts import Json
from pipeline.params_file import Params
from pipeline.run_params import RunParams, TrackingParams
from tracking import events, keeping
from tracking.events import RunBegun, RunEnded
from tracking.tracker import Place


def params(*on: str) -> Params:
    names = ("tensorboard", "mlflow", "dvclive")
    tracking = TrackingParams(**{name: name in on for name in names})
    run = RunParams(
        runner="local", cluster=None, workers=1, timeouts={}, schedule="", tracking=tracking
    )
    return Params({"run": run})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """Followers that would have been started."""
    places: list[Place] = []

    class Follower:
        stdin = io.BytesIO()

    def start(place: Place, trackers: tuple[str, ...], stdin: int) -> Follower:
        places.append(place)
        return Follower()

    monkeypatch.setattr(keeping, "start", start)
    monkeypatch.setattr(keeping, "await_end", lambda *arguments: None)
    return places


def journals(root: Path) -> list[str]:
    folder = root / ".fettle" / "tracking"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_without_a_tracker_there_is_no_journal(tmp_path: Path, started: list[Place]) -> None:
    with keeping.kept(tmp_path, params(), "run") as keeper:
        assert not journal.is_open()
        keeper.follow()
    assert started == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_work_is_kept_from_its_begin_to_its_end(
    tmp_path: Path, started: list[Place]
) -> None:
    (tmp_path / "dvc.lock").write_text("stages\n")
    with keeping.kept(tmp_path, params("mlflow"), "run") as keeper:
        assert keeping.lasts(keeping.runs(tmp_path)[0])
        for _ in range(2):
            keeper.follow()
    assert not journal.is_open()
    [place] = started
    assert not keeping.lasts(place)
    begun, ended = events.read(place.journal, {})[0]
    assert isinstance(begun, RunBegun)
    assert isinstance(ended, RunEnded)
    assert ended.state == "finished"
    assert ended.lock == begun.lock
    assert begun.lock is not None
    assert (place.journal / "dvc.lock").read_text() == "stages\n"


def test_a_run_with_nothing_to_do_is_not_kept(tmp_path: Path, started: list[Place]) -> None:
    with keeping.kept(tmp_path, params("mlflow"), "run"):
        journal.tell("stage ended", found="current")
    assert started == []
    assert journals(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")]
)
def test_how_a_run_ended_is_told_and_raised(
    tmp_path: Path, started: list[Place], error: type[BaseException], state: str
) -> None:
    def run() -> None:
        with keeping.kept(tmp_path, params("mlflow"), "run") as keeper:
            keeper.follow()
            raise error

    with pytest.raises(error):
        run()
    ended = events.read(started[0].journal, {})[0][-1]
    assert isinstance(ended, RunEnded)
    assert ended.state == state


def test_a_disk_that_takes_no_journal_ends_no_run(
    tmp_path: Path, started: list[Place], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".fettle").write_text("a file where the folder should be")
    ran = False
    with (
        caplog.at_level(logging.WARNING, "fettle"),
        keeping.kept(tmp_path, params("mlflow"), "run") as keeper,
    ):
        keeper.follow()
        ran = True
    assert ran
    assert started == []
    assert "no tracker is told of this run" in caplog.text


def test_the_last_journals_are_kept_and_nothing_else_is_removed(
    tmp_path: Path, started: list[Place]
) -> None:
    folder = tmp_path / ".fettle" / "tracking"
    names = [f"20260101-0000{second:02d}-1" for second in range(30)]
    for name in names:
        Json(folder / name / "run.json").write({})
    (folder / "notes").mkdir()
    elsewhere = tmp_path / "elsewhere"
    Json(elsewhere / "run.json").write({})
    (folder / "20250101-000000-1").symlink_to(elsewhere)
    with keeping.kept(tmp_path, params("mlflow"), "run") as keeper:
        keeper.follow()
    left = journals(tmp_path)
    assert left[1:20] == names[-19:]
    assert len(left) == 1 + keeping.KEPT + 1
    assert "notes" in left
    assert (elsewhere / "run.json").exists()


def test_where_to_look_is_said_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv").mkdir()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    every = params("tensorboard", "mlflow", "dvclive")
    assert list(keeping.where(every, tmp_path)) == [
        "TensorBoard: .venv/bin/tensorboard --logdir .fettle/tensorboard --host 127.0.0.1",
        "MLflow: .venv/bin/mlflow ui --backend-store-uri sqlite:///.fettle/mlflow.db "
        "--host 127.0.0.1",
        "DVCLive: .fettle/dvclive",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host/mlflow")
    assert list(keeping.where(params("mlflow"), tmp_path)) == ["MLflow: https://host/mlflow"]
    assert list(keeping.where(params(), tmp_path)) == []
