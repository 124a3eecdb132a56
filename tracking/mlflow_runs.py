"""MLflow: the pipeline as a run, its stages as runs below it, their fits as runs below these.

An SQLite file in .fettle by default, or the server that MLFLOW_TRACKING_URI names. What is new is
sent together, one request for each run that it belongs to. Everything can be sent twice: runs are
found by the tag `fettle.key`, and MLflow keeps equal figures once.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType

from tracking.events import (
    EpochEnded,
    Event,
    FitBegun,
    FitEnded,
    RunBegun,
    RunEnded,
    StageBegun,
    StageEnded,
    flat,
    numbers,
    word,
)
from tracking.tracker import FOLDER, Place

URI = f"sqlite:///{FOLDER}/mlflow.db"
"""Below the project's folder, where the follower stands."""
EXPERIMENT = "fettle"
"""Unless MLFLOW_EXPERIMENT_NAME says otherwise."""
TOP = "run"
"""Key of the pipeline's own run."""
LETTERS = 500
"""Of a parameter, at the most."""
TAG_LETTERS = 5000
METRICS, OTHERS = 800, 90
"""In one request at the most; MLflow allows 1000 together, and 100 parameters or tags."""
STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "killed": "KILLED"}
FAILED = ("failed", "diverged")


@dataclass
class _Bundle:
    """What is to be sent of one run."""

    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    end: tuple[str, int] | None = None
    """Its status and when it ended, in ms."""


class MlflowRuns:
    """Parameters, metrics by step, tags, artifacts, and the chosen model with its signature."""

    resumes: ClassVar[bool] = True

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or URI)
        self._experiment = self._named(os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)
        self._ids: dict[str, str] = {}
        self._running: set[str] = set()
        """Keys of runs that have not ended."""
        self._common: dict[str, str] = {}
        for run in self._known():
            key = run.data.tags["fettle.key"]
            self._ids[key] = run.info.run_id
            if run.info.status == "RUNNING":
                self._running.add(key)
            if key == TOP:
                names = ("fettle.door", *_LEADS)
                self._common = {n: run.data.tags[n] for n in names if n in run.data.tags}
        self._bundles: defaultdict[str, _Bundle] = defaultdict(_Bundle)

    def take(self, events: Sequence[Event]) -> None:
        """As `Tracker.take`."""
        self._bundles.clear()
        ended: RunEnded | None = None
        for event in events:
            if isinstance(event, RunEnded):
                ended = event
            else:
                self._one(event)
        self._send()
        if ended is not None:
            self._close(ended)

    def _named(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            experiment: str = found.experiment_id
            return experiment
        own = not os.environ.get("MLFLOW_TRACKING_URI")
        # A server has a place for artifacts itself.
        artifacts = (self._place.root / FOLDER / "mlflow-artifacts").as_uri() if own else None
        created: str = self._client.create_experiment(name, artifact_location=artifacts)
        return created

    def _known(self) -> Iterator[Any]:
        """What was made of this run before, the top one included."""
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.`fettle.run` = '{self._place.run}'",
                ViewType.ACTIVE_ONLY,
                max_results=1000,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _one(self, event: Event) -> None:
        match event:
            case RunBegun():
                self._common = _leads(event)
                top = self._bundle(TOP, self._place.run, event.time)
                top.tags |= self._common
                top.params |= _params(event.params)
            case StageBegun() | StageEnded():
                self._stage(event)
            case FitBegun() | EpochEnded() | FitEnded():
                self._fit(event)

    def _stage(self, event: StageBegun | StageEnded) -> None:
        stage = self._bundle(event.stage, event.stage, event.time)
        stage.tags |= {"mlflow.note.content": event.description} if event.description else {}
        stage.params |= _params(event.params)
        if isinstance(event, StageBegun):
            stage.params |= _params({"declared": event.declared})
            return
        figures = numbers(event.metrics) | numbers({"counted": event.counted})
        if event.seconds is not None:
            figures["seconds"] = event.seconds
        stage.metrics += _metrics(figures, event.time, 0)
        stage.tags["fettle.found"] = event.found
        if event.reason:
            stage.tags["fettle.reason"] = event.reason[:TAG_LETTERS]
        stage.end = ("FAILED" if event.found == "failed" else "FINISHED", _ms(event.time))

    def _fit(self, event: FitBegun | EpochEnded | FitEnded) -> None:
        self._bundle(event.stage, event.stage, event.time)
        name = event.name if isinstance(event, FitBegun) else event.fit
        fit = self._bundle(f"{event.stage}/{event.fit}", name, event.time, event.stage)
        match event:
            case FitBegun():
                about = {name: getattr(event, name) for name in ("seed", "examples", "parameters")}
                fit.params |= _params(event.settings | about)
            case EpochEnded():
                fit.metrics += _metrics(event.figures(), event.time, event.epoch)
            case FitEnded():
                fit.metrics += _metrics(event.figures(), event.time, 0)
                fit.tags["fettle.ended"] = event.how
                status = "FAILED" if event.how in FAILED else "FINISHED"
                fit.end = (status, _ms(event.time))

    def _bundle(self, key: str, name: str, time: float, parent: str = TOP) -> _Bundle:
        """What is to be sent of the run with that key, which is made where there is none."""
        if key not in self._ids:
            tags = {"fettle.run": self._place.run, "fettle.key": key, **self._common}
            if key != TOP:
                self._bundle(TOP, self._place.run, time)
                tags["mlflow.parentRunId"] = self._ids[parent]
            made = self._client.create_run(self._experiment, _ms(time), tags, name)
            self._ids[key] = made.info.run_id
            self._running.add(key)
        return self._bundles[key]

    def _send(self) -> None:
        for key, bundle in self._bundles.items():
            run = self._ids[key]
            tags = [RunTag(name, value) for name, value in bundle.tags.items()]
            params = [Param(name, value) for name, value in bundle.params.items()]
            for metrics, some, tagged in _parts(bundle.metrics, params, tags):
                self._client.log_batch(run, metrics, some, tagged)
            if bundle.end is not None:
                status, time = bundle.end
                self._client.set_terminated(run, status, time)
                self._running.discard(key)
        self._bundles.clear()

    def _close(self, event: RunEnded) -> None:
        """Tag everything with the lock file that came of the run, and keep what it left."""
        self._bundle(TOP, self._place.run, event.time)
        if event.lock is not None and self._common.get("fettle.door") == "run":
            lock = [RunTag(name, value) for name, value in _lock("fettle.dvc_lock", event.lock)]
            for run in self._ids.values():
                self._client.log_batch(run, tags=lock)
        top = self._ids[TOP]
        self._client.set_tag(top, "fettle.ended", event.state)
        for name in ("dvc.lock", "params.yaml"):
            # Copies as they were at its end, beside the journal.
            if (self._place.journal / name).is_file():
                self._client.log_artifact(top, str(self._place.journal / name))
        if self._place.unmoved(event):
            self._keep(top)
        for key in sorted(self._running - {TOP}):
            self._client.set_terminated(self._ids[key], "KILLED", _ms(event.time))
        self._client.set_terminated(top, STATES[event.state], _ms(event.time))
        self._running.clear()

    def _keep(self, top: str) -> None:
        artifacts = self._place.root / "artifacts"
        for path in ("report/index.html", "evaluate/ledger.csv", "evaluate/metrics.json"):
            if (artifacts / path).is_file():
                self._client.log_artifact(top, str(artifacts / path), path.split("/")[0])
        chosen = artifacts / "evaluate" / "chosen"
        if (chosen / "model.keras").is_file() and (chosen / "schema.json").is_file():
            from tracking import mlflow_model

            tags = self._client.get_run(top).data.tags
            if "fettle.model" not in tags:
                uri = mlflow_model.log(
                    self._client, top, self._experiment, chosen, self._place.root
                )
                self._client.set_tag(top, "fettle.model", uri)


_LEADS = (
    "mlflow.source.git.commit",
    "fettle.commit",
    "fettle.dirty",
    "fettle.dvc_lock_before",
    "fettle.dvc_lock_before.short",
)


def _leads(event: RunBegun) -> dict[str, str]:
    """Tags by which a figure leads back to code and data."""
    tags = {"fettle.door": event.door, "fettle.dirty": word(event.dirty)}
    if event.commit is not None:
        tags |= {"mlflow.source.git.commit": event.commit, "fettle.commit": event.commit}
    if event.lock is not None:
        tags |= dict(_lock("fettle.dvc_lock_before", event.lock))
    return tags


def _lock(name: str, lock: str) -> list[tuple[str, str]]:
    return [(name, lock), (f"{name}.short", lock[:12])]


def _params(values: Mapping[str, Any]) -> dict[str, str]:
    return {_key(name): word(value)[:LETTERS] for name, value in flat(values).items()}


def _metrics(figures: Mapping[str, float], time: float, step: int) -> list[Metric]:
    # Of the event's own time: told again, it is the same figure.
    return [Metric(_key(name), value, _ms(time), step) for name, value in figures.items()]


def _ms(time: float) -> int:
    return int(1000 * time)


def _key(name: str) -> str:
    """A name as MLflow takes it; what it cannot hold is told apart by a few digits."""
    plain = re.sub(r"[^\w\-. ]", "_", name, flags=re.ASCII)[:200]
    if plain == name and name.strip("."):
        return name
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _parts(
    metrics: list[Metric], params: list[Param], tags: list[RunTag]
) -> Iterator[tuple[list[Metric], list[Param], list[RunTag]]]:
    """As much as one request may hold at a time."""
    while metrics or params or tags:
        yield metrics[:METRICS], params[:OTHERS], tags[:OTHERS]
        metrics, params, tags = metrics[METRICS:], params[OTHERS:], tags[OTHERS:]
