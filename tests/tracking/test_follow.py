"""The follower as a process: a run that is killed, a server that goes away and comes back."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from flows.track import track
from pipeline.artifacts import Json
from pipeline.errors import EnvironmentFault, InputError
from tests.conftest import ROOT
from tests.tracking import told
from tests.tracking.test_mlflow_runs import empty  # noqa: F401  a fixture
from tracking import keeping
from tracking.delivery import Progress

pytestmark = pytest.mark.doors


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with the code alone."""
    for package in ("tracking", "pipeline", "models", "dataset", "metrics"):
        (tmp_path / package).symlink_to(ROOT / package)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def wait_until(true: Callable[[], Any], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


RUN = """
import os, sys, time
from pathlib import Path
from pipeline import journal
from pipeline.params_file import Params
from pipeline.run_params import RunParams, TrackingParams
from tracking.keeping import kept

trackers = TrackingParams(tensorboard=True, mlflow=False, dvclive=False)
params = Params({"run": RunParams.model_construct(workers=1, tracking=trackers)})
with kept(Path.cwd(), params, "run") as keeper:
    keeper.follow()
    journal.enter("search")
    with journal.fit("one", {"width": 1}, seed=1, examples=2, parameters=3):
        print("ready", flush=True)
        time.sleep(60)
"""


def test_a_killed_run_is_told_to_its_end_and_no_process_stays(root: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-B", "-c", RUN], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    try:
        assert run.stdout.readline() == "ready\n"
        [place] = keeping.runs(root)
        assert keeping.lasts(place)
        with contextlib.redirect_stdout(None):
            track(None, root)
        assert not Progress.read(place.journal, "tensorboard").whole
    finally:
        run.kill()
        run.communicate()
    wait_until(lambda: Progress.read(place.journal, "tensorboard").whole)
    wait_until(lambda: not keeping.lasts(place))
    assert json.loads((place.journal / "killed.jsonl").read_text())["state"] == "killed"
    files = root / ".fettle" / "tensorboard" / place.run
    assert {path.parent.name for path in files.rglob("*tfevents*")} == {place.run, "one"}


@contextmanager
def server(root: Path) -> Iterator[tuple[str, int]]:
    """A real MLflow server on a file below `root`: its address and its group of processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{root}/server.db",
        "--artifacts-destination": str(root / "kept"),
    }
    with (root / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                *(x for pair in options.items() for x in pair),
            ],
            cwd=root,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is None and _answers(url), 120)
        yield url, process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def test_a_server_that_goes_away_is_told_the_rest_later(
    root: Path,
    empty: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copyfile(empty, root / "server.db")
    # What a user says is not overruled, and a test need not wait so long.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    lines, place = told.whole(), told.place(root)
    with server(root) as (url, group):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url.replace("//", "//me:secret@"))
        told.write(place, {"1-1": lines["1-1"][:2], "2-1": lines["2-1"][:3]})
        about = {"trackers": ["mlflow"], "mlflow": keeping.shown_uri()}
        Json(place.journal / "run.json").write(about)
        (place.journal / "dvc.lock").write_text("stages\n")
        follower = keeping.start(place, ("mlflow",), subprocess.PIPE)
        wait_until(lambda: Progress.read(place.journal, "mlflow").offsets)

        # It answers no more, and there is more to tell.
        os.killpg(group, signal.SIGSTOP)
        told.write(place, {"1-1": lines["1-1"][2:], "2-1": lines["2-1"][3:], "3-1": lines["3-1"]})
        assert follower.stdin is not None
        follower.stdin.close()
        with caplog.at_level("WARNING", "fettle"):
            keeping.await_end(follower, place, ("mlflow",))
        assert follower.returncode == 1
        progress = Progress.read(place.journal, "mlflow")
        assert progress.left == sum(map(len, lines.values())) - 5
        [line] = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert f"MLflow: {progress.left} events were not handed on" in line
        assert f".fettle/tracking/{told.RUN}" in line
        assert f"./fettle track {told.RUN}" in line
        written = [path.read_text() for path in place.journal.iterdir() if path.is_file()]
        assert "secret" not in line + "".join(written)

        os.killpg(group, signal.SIGCONT)
        track(None, root)
        assert f"{told.RUN}: handed on to MLflow." in capsys.readouterr().out
        track(told.RUN, root)
        assert "nothing is left" in capsys.readouterr().out
        client = MlflowClient(url)
        [experiment] = [one for one in client.search_experiments() if one.name == "fettle"]
        every = client.search_runs([experiment.experiment_id])
        runs = {run.data.tags["fettle.key"]: run for run in every}
        assert len(runs) == len(every) == 5
        fit = runs["search/2-1:1"]
        assert fit.info.run_name == "search trial 1"
        assert fit.data.tags["mlflow.parentRunId"] == runs["search"].info.run_id
        steps = client.get_metric_history(fit.info.run_id, "val_loss")
        assert [(one.step, one.value) for one in steps] == [(1, 3.0), (2, 4.0)]
        assert runs["run"].info.status == "FINISHED"
        assert [one.path for one in client.list_artifacts(runs["run"].info.run_id)] == ["dvc.lock"]
    with pytest.raises(InputError, match="no journal of such a run is kept"):
        track("20260102-030405-7", root)


def test_a_server_that_is_still_away_is_a_fault_and_another_one_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.keeping.LONGEST", 1.0)
    place = told.place(root)
    told.write(place, told.whole())
    Json(place.journal / "run.json").write({"trackers": ["mlflow"], "mlflow": "http://a:1"})
    with pytest.raises(InputError, match="Set it as it was"):
        track(None, root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    Json(place.journal / "run.json").write({"trackers": ["mlflow"], "mlflow": "http://127.0.0.1:9"})
    with pytest.raises(EnvironmentFault, match="events were not handed on"):
        track(None, root)
