"""What a run of every night leaves, without the run: parts, a chosen model, figures, dvc.lock.

A real git and DVC repository and real models, which are small: what they answer follows from one
weight. The rows are x, whose sign tells the class mostly, and a colour.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from dvc.repo import Repo

from dataset.examples import Examples, Schema, Table
from metrics.readings import Reading
from metrics.threshold import Decision
from models.candidate import Trained
from models.judging.evaluation import Choice, Chosen
from pipeline.artifacts import Json
from tasks.split import Parts, SplitParams, split
from tests.conftest import ROOT
from tests.dataset import tabled
from tests.models import small
from tests.tasks.test_split import DEFAULT

STAGES = """
stages:
  split:
    cmd: "true"
    outs: [artifacts/split/development, artifacts/split/holdout, artifacts/split/promotion]
  evaluate:
    cmd: "true"
    deps: [artifacts/split/development]
    outs: [artifacts/evaluate/chosen, artifacts/evaluate/details.json]
    metrics: [artifacts/evaluate/metrics.json: {cache: false}]
"""
PARAMS = """
champion: {rule: better, margin: 0.0, rows: 20, replicates: 300, level: 0.95, seed: 1,
  drift: {psi: 0.2, level: 0.01}}
objective: {metric: accuracy, positive: null, precision: 0.9, quantile: 0.5}
ingest:
  {path: data/t.csv, kind: table, task: classification, target: [y], ignore: [], types: {},
  missing: ["", "?"], missing_in: {}, weight: null, size: null, channels: null, picture: null,
  allow: []}
evaluate: {replicates: 200, level: 0.9, seed: 1, tolerance: 0.01, bins: 10, threshold: half,
  choice: smallest, limits: {parameters: null, multiply_adds: null}}
"""


def rows(count: int, *, seed: int = 0, noise: float = 0.3) -> tuple[Examples, Schema]:
    """`count` rows, the same first ones for every count."""
    generator = np.random.default_rng(seed)
    drawn = generator.normal(size=(10_000, 2))[:count]
    x = drawn[:, 0].astype(np.float32)
    y = np.where(drawn[:, 0] + noise * drawn[:, 1] > 0, "yes", "no")
    colours = np.where(drawn[:, 1] > 0, "red", "blue")
    return tabled.table(y.tolist(), {"x": x.tolist(), "colour": colours.tolist()})


@cache
def model(weight: float, schema: Schema, classes: int) -> bytes:
    """Says the second class by the sign of x where the weight is above 0, else the other way."""
    import keras

    from models import archive
    from models.fitting import determinism
    from models.networks.encode import input_name

    determinism.pin()
    inputs, parts = {}, []
    for column in schema.columns:
        text = column.type == "categorical"
        given = keras.Input((), name=input_name(column.name), dtype="string" if text else "float32")
        inputs[input_name(column.name)] = given
        if text:
            lookup = keras.layers.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")
            parts.append(lookup(keras.layers.Reshape((1,), dtype="string")(given)))
        else:
            parts.append(keras.layers.Reshape((1,))(given))
    joined = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    last = keras.layers.Dense(classes, activation="softmax", name="last")
    built = keras.Model(inputs, last(joined))
    kernel = np.zeros(last.kernel.shape, dtype=np.float32)
    kernel[0, :2] = [-weight, weight]
    last.set_weights([kernel, np.array([0, 0, -9][:classes], dtype=np.float32)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        archive.save(built, path)
        return path.read_bytes()


@dataclass(frozen=True)
class Nights:
    """The checkout of a pipeline that runs every night."""

    root: Path

    @classmethod
    def begin(cls, root: Path) -> "Nights":
        """An empty project in a repository of its own."""
        root.mkdir()
        for name in (".gitignore", ".dvcignore"):
            (root / name).write_text((ROOT / name).read_text())
        (root / "dvc.yaml").write_text(STAGES)
        (root / "params.yaml").write_text(PARAMS)
        nights = cls(root)
        nights.git("init", "--quiet", "--initial-branch=main")
        nights.git("config", "user.name", "test")
        nights.git("config", "user.email", "test@localhost")
        Repo.init(str(root)).close()
        nights.git("add", "--all")
        nights.git("commit", "--quiet", "--message=start")
        return nights

    def git(self, *arguments: str) -> str:
        """What git says."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def params(self, old: str, new: str) -> None:
        """Edit params.yaml."""
        path = self.root / "params.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def run(
        self,
        weight: float,
        count: int = 600,
        *,
        given: tuple[Examples, Schema] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """What a run on the first `count` rows leaves, whose chosen model has this weight."""
        examples, schema = given or rows(count)
        table = Table(self.root / ".fettle/table")
        table.write(examples, schema)
        parts = Parts.at(self.root / "artifacts/split")
        wished = DEFAULT | {"promotion": 0.3} | dict(settings or {})
        # The findings on parts take most of a split's time, and are about something else.
        with mock.patch("dataset.checks.parts.look", return_value=[]):
            split.function(parts, table, SplitParams(**wished))
        development = parts.development
        target = development.target()
        artifacts = self.root / "artifacts"
        trained = Trained(artifacts / "search/model")
        trained.write_record(small.record("search"))
        trained.model.write_bytes(model(weight, schema, len(target.names)))
        shares = 1 / (
            1 + np.exp(-2 * weight * development.validation().features["x"].astype(float))
        )
        said = np.zeros((1, len(shares), len(target.names)), dtype=np.float32)
        said[0, :, 0], said[0, :, 1] = 1 - shares, shares
        trained.write_predictions(said)
        Chosen(artifacts / "evaluate/chosen").write(
            trained.model,
            schema,
            target,
            Decision(task="classification", positive=1, thresholds=()),
            Choice(candidate="search", reason="Found by a search."),
        )
        figure = {"value": 0.9, "low": 0.8, "high": 0.95}
        Json(artifacts / "evaluate/metrics.json").write(
            {"n": 99, "objective": "accuracy", "chosen": {"accuracy": figure}}
        )
        reading = Reading(title="accuracy", sign=1, share=True, unit="")
        Json(artifacts / "evaluate/details.json").write(
            {"figures": {"accuracy": reading.model_dump()}, "level": 0.95}
        )
        repo = Repo(str(self.root))
        repo.commit(None, force=True)
        repo.close()

    def log(self, table: pd.DataFrame, name: str = "log.csv") -> Path:
        """A table of predictions as a user has logged them."""
        path = self.root / name
        table.to_csv(path, index=False)
        return path
