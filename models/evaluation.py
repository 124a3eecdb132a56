"""What `evaluate` leaves: the ledger, the holdout's figures, and the chosen model."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.examples import Schema
from pipeline.artifacts import Bundle, Confusion, Csv, Folder, Json, Metrics, replacing


class Choice(BaseModel):
    """Which candidate was chosen, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    reason: str


class Chosen(Folder):
    """All that predicting needs: model.keras, schema.json, classes.json and choice.json."""

    @property
    def model(self) -> Path:
        """The saved model: raw values in, class probabilities out."""
        return self.path / "model.keras"

    def write(self, model: Path, schema: Schema, classes: Sequence[str], choice: Choice) -> None:
        """Copy `model` byte for byte and write what its inputs and outputs mean."""
        self.make()
        with replacing(self.model) as temporary:
            shutil.copyfile(model, temporary)
        Json(self.path / "schema.json").write(schema.model_dump(mode="json"))
        Json(self.path / "classes.json").write(list(classes))
        Json(self.path / "choice.json").write(choice.model_dump(mode="json"))

    def schema(self) -> Schema:
        """What one example looks like."""
        return Schema.model_validate_json((self.path / "schema.json").read_text(encoding="utf-8"))

    def classes(self) -> list[str]:
        """Class names in the order of the model's outputs."""
        names: list[str] = Json(self.path / "classes.json").read()
        return names

    def choice(self) -> Choice:
        """Which candidate it is, and why."""
        return Choice.model_validate_json((self.path / "choice.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Evaluation(Bundle):
    """The outputs of `evaluate`."""

    ledger: Csv
    """One row a candidate, in story order, all on validation: candidate, reference, accuracy with
    _low and _high, difference (to the reference) with _low and _high, log_loss, parameters,
    multiply_adds, fits, epochs, examples, decision (yardstick, off, left out, kept, chosen) and
    reason. Shares are from 0 to 1; what is not known is empty."""
    metrics: Metrics
    """Holdout figures: n; chosen and baseline, each accuracy, log_loss, balanced_accuracy,
    macro_f1, auc and ece; recall, for both by class. Each is {"value", "low", "high"}."""
    details: Json
    """What the report draws; see `Details`."""
    confusion: Confusion
    """Actual and predicted class of every holdout example."""
    chosen: Chosen


class Details(BaseModel):
    """The content of details.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: str
    classes: tuple[str, ...]
    level: float
    replicates: int
    seed: int
    tolerance: float
    validation_examples: int
    holdout_examples: int
    confusion: tuple[tuple[int, ...], ...]
    """Holdout counts of the chosen model: actual class by predicted class."""
    calibration: dict[str, tuple[dict[str, float], ...]]
    """For chosen and baseline the bins of `models.metrics.calibration_bins`."""

    @classmethod
    def read(cls, artifact: Json) -> "Details":
        """The details that `evaluate` wrote."""
        return cls.model_validate_json(artifact.path.read_text(encoding="utf-8"))

    def write(self, artifact: Json) -> None:
        """Write details.json."""
        content: dict[str, Any] = self.model_dump(mode="json")
        artifact.write(content)
