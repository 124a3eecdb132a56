"""What MLflow's client finds in an SQLite file that was told of a run."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.tracking import told
from tracking.mlflow_runs import EXPERIMENT, MlflowRuns
from tracking.tracker import Place, lock_hash


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: Path) -> Place:
    shutil.copyfile(empty, tmp_path / "mlflow.db")
    # MLflow keeps what it opened by its address: the default one would be another test's.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    # Where artifacts then go.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("stages\n")
    (tmp_path / "artifacts" / "report").mkdir(parents=True)
    (tmp_path / "artifacts" / "report" / "index.html").write_text("<p>report")
    place = told.place(tmp_path)
    lines = told.whole()
    lines["1-1"][-1] = told.END | {"lock": lock_hash(tmp_path)}
    told.write(place, lines)
    for name in ("dvc.lock", "params.yaml"):
        (place.journal / name).write_text("kept\n")
    return place


def client() -> MlflowClient:
    return MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


def found() -> dict[str, Any]:
    """Every run by its key."""
    experiment = client().get_experiment_by_name(EXPERIMENT)
    runs = client().search_runs([experiment.experiment_id])
    keyed = {run.data.tags["fettle.key"]: run for run in runs}
    assert len(keyed) == len(runs)
    return keyed


def history(run: Any) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [(one.step, one.value) for one in client().get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def test_a_run_its_stages_and_their_fits(place: Place) -> None:
    MlflowRuns(place).take(told.read(place))
    runs = found()
    fits = ("2-1:1", "2-1:2", "3-1:1")
    assert set(runs) == {"run", "search", *(f"search/{fit}" for fit in fits)}
    top, stage, fit = runs["run"], runs["search"], runs["search/2-1:1"]
    assert stage.data.tags["mlflow.parentRunId"] == top.info.run_id
    assert fit.data.tags["mlflow.parentRunId"] == stage.info.run_id
    assert (top.info.run_name, fit.info.run_name) == (told.RUN, "search trial 1")

    for run in runs.values():
        assert run.data.tags["mlflow.source.git.commit"] == told.COMMIT
        assert run.data.tags["fettle.dvc_lock"] == lock_hash(place.root)
        assert run.data.tags["fettle.dvc_lock_before"] == "b" * 64
        assert run.data.tags["fettle.dirty"] == "false"
        assert run.info.end_time is not None
        expected = "FAILED" if run is runs["search/3-1:1"] else "FINISHED"
        assert run.info.status == expected

    assert fit.data.params["width"] == "4"
    assert fit.data.params["patience"] == "null"
    assert history(fit)["val_loss"] == [(1, 3.0), (2, 4.0)]
    assert history(fit)["final_val_loss"] == [(0, 0.25)]
    assert top.data.params["search.space.width.choice"] == "[1, 2]"
    assert stage.data.metrics["validation.accuracy"] == 0.5
    assert stage.data.metrics["counted.epochs"] == 4
    strange = [name for name in stage.data.params if name.startswith("search.space.")]
    assert len(strange) == 1
    assert strange[0] != "search.space.a/b ü"

    artifacts = {one.path for one in client().list_artifacts(top.info.run_id)}
    assert artifacts == {"dvc.lock", "params.yaml", "report"}


def test_told_twice_and_bit_by_bit_it_is_the_same(place: Place) -> None:
    events = told.read(place)
    MlflowRuns(place).take(events)
    before = {key: (run.info.run_id, history(run), run.data.params) for key, run in found().items()}
    MlflowRuns(place).take(events)
    last_first = MlflowRuns(place)
    for event in reversed(events):
        last_first.take([event])
    after = {key: (run.info.run_id, history(run), run.data.params) for key, run in found().items()}
    assert after == before


def test_in_any_order_runs_nest(place: Place) -> None:
    runs = MlflowRuns(place)
    for event in reversed(told.read(place)):
        runs.take([event])
    keyed = found()
    assert len(keyed) == 5
    for key, run in keyed.items():
        parent = {"run": None, "search": "run"}.get(key, "search")
        expected = keyed[parent].info.run_id if parent else None
        assert run.data.tags.get("mlflow.parentRunId") == expected


def test_what_had_no_end_is_ended_with_the_run(place: Place) -> None:
    lines = told.whole()
    one = told.place(place.root)
    for path in one.journal.glob("*.jsonl"):
        path.unlink()
    killed = {"event": "run ended", "state": "killed"}
    told.write(one, {"1-1": lines["1-1"][:2], "2-1": lines["2-1"][:2]})
    MlflowRuns(one).take(told.read(one))
    assert {run.info.status for run in found().values()} == {"RUNNING"}
    told.write(one, {"killed": [killed]})
    MlflowRuns(one).take([event for event in told.read(one) if event.event == "run ended"])
    assert {run.info.status for run in found().values()} == {"KILLED"}
    artifacts = {each.path for each in client().list_artifacts(found()["run"].info.run_id)}
    assert "report" not in artifacts


def test_more_than_one_request_holds(place: Place) -> None:
    many = {f"name {n}": n for n in range(250)}
    begun = told.begin(params={"search": many})
    told.write(place, {"4-1": [begun, *told.fit(1, "long", epochs=300)]})
    MlflowRuns(place).take(told.read(place))
    runs = found()
    assert len(runs["run"].data.params) == 252
    assert len(history(runs["search/4-1:1"])["val_loss"]) == 300
