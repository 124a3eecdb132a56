"""The champion: the model in use, with all that a later comparison and drift need of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from dataset.checks.reference import Reference
from dataset.examples import Development
from dataset.partition import Keys, content_keys
from metrics.readings import Reading
from models.candidate import Trained
from models.judging.evaluation import Chosen
from pipeline.artifacts import Json, replacing


class Figures(BaseModel):
    """A figure with its interval, in its own unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float


class Facts(BaseModel):
    """Where a champion comes from: the content of champion.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """From 1, in the order in which they were made."""
    candidate: str
    commit: str | None
    """git's, when it was made champion; None outside of git."""
    changed: tuple[str, ...]
    """Tracked files that were not committed then."""
    lock: str
    """The MD5 sum of the dvc.lock that it was made by."""
    development: str
    """What DVC calls the rows that it was trained and chosen on."""
    reading: Reading
    """How the objective's figures read."""
    level: float
    """Of the holdout's interval."""
    holdout: Figures
    """The objective on the holdout of its own run."""
    holdout_rows: int


class Champion(Chosen):
    """As the chosen model, and beside it champion.json, known.npz (hashes of the rows that it was
    trained and chosen on) and reference/ (what new data are held against)."""

    @property
    def reference(self) -> Reference:
        """What new data are held against."""
        return Reference(self.path / "reference")

    def facts(self) -> Facts:
        """Where it comes from."""
        return Facts.model_validate_json(self._text("champion"))

    def known(self) -> Keys:
        """Hashes of the rows that it was trained and chosen on, as `content_keys` has them."""
        with np.load(self.path / "known.npz", allow_pickle=False) as arrays:
            keys: Keys = arrays["known"]
        return keys

    def write_from(self, run: "Run", facts: Facts) -> None:
        """Take over a run's chosen model, and keep what is needed of its data."""
        self.make()
        for path in sorted(run.chosen.path.iterdir()):
            with replacing(self.path / path.name) as temporary:
                shutil.copyfile(path, temporary)
        with replacing(self.path / "known.npz") as temporary:
            np.savez_compressed(temporary, known=known_of(run.development))
        self.reference.write(run.development, run.said_of_validation())
        Json(self.path / "champion.json").write(facts.model_dump(mode="json"))


@dataclass(frozen=True)
class Run:
    """What a run left, as far as the champion is concerned."""

    artifacts: Path

    @property
    def chosen(self) -> Chosen:
        """The model that it chose."""
        return Chosen(self.artifacts / "evaluate/chosen")

    @property
    def development(self) -> Development:
        """What its models were trained and chosen on."""
        return Development(self.artifacts / "split/development")

    def said_of_validation(self) -> Any:
        """What the chosen model says of the validation examples, `(n, k)` float32."""
        trained = Trained(self.artifacts / self.chosen.choice().candidate / "model")
        record = trained.record()
        place = 0 if record.saved_seed is None else record.seeds.index(record.saved_seed)
        return trained.predictions()[place]

    def metrics(self) -> Any:
        """The holdout's figures, see `models.judging.evaluation.Evaluation.metrics`."""
        return Json(self.artifacts / "evaluate/metrics.json").read()

    def details(self) -> Any:
        """How they read, see `models.judging.evaluation.Details`."""
        return Json(self.artifacts / "evaluate/details.json").read()


def known_of(development: Development) -> Keys:
    """Hashes of all rows that models were trained and chosen on, each once, rising."""
    keys = [
        content_keys(block)
        for part in ("train", "validation")
        for block in development.blocks(part)
    ]
    return np.unique(np.concatenate(keys))
