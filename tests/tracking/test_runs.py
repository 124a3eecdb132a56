"""Runs of the toy project, told to all three trackers: what they find, and that DVC finds nothing
else than without them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.closure import closure
from pipeline.graph import trace
from pipeline.project import read_given
from tests.conftest import ROOT, Checkout
from tracking import keeping
from tracking.tracker import lock_hash

OFF = "tracking: {tensorboard: false, mlflow: false, dvclive: false}"
ON = OFF.replace("false", "true")
TELLING = """
    with journal.fit(f"trial {place}", {"width": place}, seed=1, examples=2, parameters=3) as fit:
        figures = {"loss": 1.0, "accuracy": None, "val_loss": 0.5, "val_accuracy": None}
        fit.epoch({"epoch": 1, **figures, "learning_rate": 0.1})
        time.sleep(piece.seconds)
    fit.end("whole", val_loss=0.5)
"""


def telling(checkout: Checkout) -> None:
    """Let the pieces of the toy's search be fits."""
    checkout.replace("tasks/search.py", "\n    time.sleep(piece.seconds)\n", TELLING)
    checkout.replace(
        "tasks/search.py",
        "from pipeline.declaration",
        "from pipeline import journal\nfrom pipeline.declaration",
    )
    checkout.fettle("render")
    checkout.git("commit", "--quiet", "--all", "--message=tell")


def in_mlflow(root: Path) -> dict[str, Any]:
    """Runs by the keys of theirs and those above them, and MLflow's own names."""
    client = MlflowClient(f"sqlite:///{root}/.fettle/mlflow.db")
    experiment = client.get_experiment_by_name("fettle")
    found = client.search_runs([experiment.experiment_id])
    return {run.data.tags["fettle.key"]: run for run in found}


@pytest.mark.doors
def test_trackers_see_all_of_a_run_and_change_nothing(clone: Callable[[str], Checkout]) -> None:
    untold, told = clone("untold"), clone("told")
    for checkout in (untold, told):
        telling(checkout)
    told.replace("params.yaml", OFF, ON)
    output = told.fettle("run")
    untold.fettle("run")
    assert told.lock == untold.lock
    assert set(told.git("status", "--short").split("\n")) == {" M params.yaml", "?? dvc.lock", ""}
    assert not (untold.root / ".fettle" / "tracking").exists()

    lines = [re.sub(r"^\S+ +", "", line) for line in output.splitlines()]
    at = [next(n for n, line in enumerate(lines) if line.startswith(word)) for word in (
        "TensorBoard: .venv/bin/tensorboard --logdir .fettle/tensorboard",
        "MLflow: .venv/bin/mlflow ui --backend-store-uri sqlite:///.fettle/mlflow.db",
        "DVCLive: .fettle/dvclive",
        "ingest:",
    )]  # fmt: skip
    assert at == sorted(at)
    assert "not handed on" not in output

    [place] = keeping.runs(told.root)
    runs = in_mlflow(told.root)
    fits = {key: run for key, run in runs.items() if key.startswith("search/")}
    stages = runs.keys() - fits.keys() - {"run"}
    assert len(stages) == 9
    assert {run.info.run_name for run in fits.values()} == {f"trial {n}" for n in range(3)}
    for key, run in runs.items():
        above = {"run": None}.get(key, "search" if key in fits else "run")
        assert run.data.tags.get("mlflow.parentRunId") == (above and runs[above].info.run_id)
        assert run.data.tags["fettle.commit"] == told.git("rev-parse", "HEAD").strip()
        assert run.data.tags["fettle.dvc_lock"] == lock_hash(told.root)
        assert run.data.tags["fettle.dirty"] == "true"
        assert run.info.status == "FINISHED"
    top = runs["run"]
    artifacts = (told.root / ".fettle" / "mlflow-artifacts").as_uri()
    assert top.info.artifact_uri.startswith(artifacts)
    kept = told.root / ".fettle/mlflow-artifacts" / top.info.run_id / "artifacts" / "dvc.lock"
    assert kept.read_bytes() == told.lock

    for folder in ("tensorboard", "dvclive"):
        parts = {path.name for path in (told.root / ".fettle" / folder / place.run).iterdir()}
        assert stages <= parts
    assert told.fettle("track") == ""

    # Nothing to do: no tracker is told, and none of their packages is loaded.
    started = told.start("env", "PYTHONPROFILEIMPORTTIME=1", "./fettle", "run")
    again, _ = started.communicate(timeout=120)
    assert started.returncode == 0
    assert "Nothing had to run" in again
    assert re.search(r"\| +pydantic$", again, re.MULTILINE)
    assert not re.search(r"\| +(mlflow|dvclive|tensorboard|tensorflow)$", again, re.MULTILINE)
    assert keeping.runs(told.root) == [place]
    assert len(in_mlflow(told.root)) == len(runs)

    # Through DVC's door each stage is a run of its own.
    told.replace("params.yaml", "title: Toy", "title: Told")
    assert "Running stage 'report'" in told.dvc("repro")
    [_, later] = keeping.runs(told.root)
    report = [
        run.data.tags
        for run in MlflowClient(f"sqlite:///{told.root}/.fettle/mlflow.db").search_runs(
            [top.info.experiment_id], f"tags.`fettle.run` = '{later.run}'"
        )
    ]
    assert {tags["fettle.key"] for tags in report} == {"run", "report"}
    assert all("fettle.dvc_lock" not in tags for tags in report)
    assert "up to date" in told.dvc("status")


def test_no_stage_depends_on_a_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    from flows.training import training

    for node in trace(training, read_given()):
        reached = closure(node.stage.module, ROOT)
        assert not [path for path in reached if path.startswith("tracking/")]
        for path in reached:
            text = (ROOT / path).read_text()
            named = re.findall(r"^\s*(?:from|import) (mlflow|tensorboard|dvclive)\b", text, re.M)
            assert named == [], path
        assert not {"pipeline/telling.py", "pipeline/params_file.py"} & set(reached)
    assert "pipeline/journal.py" in closure("models.fitting.fit", ROOT)
