"""What `evaluate` leaves: the ledger, the holdout's figures, and the chosen model."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from dataset.examples import Schema
from dataset.target import Target, Task
from metrics.readings import Reading
from metrics.threshold import Decision, Tuned
from models.judging.ledger import Rule
from pipeline.artifacts import Bundle, Confusion, Csv, Folder, Json, Metrics, replacing


class Choice(BaseModel):
    """Which candidate was chosen, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    reason: str


class Chosen(Folder):
    """All that predicting needs: model.keras, schema.json, target.json, decision.json and
    choice.json."""

    @property
    def model(self) -> Path:
        """The saved model: raw values in, predictions out."""
        return self.path / "model.keras"

    def write(
        self, model: Path, schema: Schema, target: Target, decision: Decision, choice: Choice
    ) -> None:
        """Copy `model` byte for byte and write what its inputs and outputs mean."""
        self.make()
        with replacing(self.model) as temporary:
            shutil.copyfile(model, temporary)
        for name, content in (
            ("schema", schema),
            ("target", target),
            ("decision", decision),
            ("choice", choice),
        ):
            Json(self.path / f"{name}.json").write(content.model_dump(mode="json"))

    def schema(self) -> Schema:
        """What one example looks like."""
        return Schema.model_validate_json(self._text("schema"))

    def target(self) -> Target:
        """What the model's predictions are about."""
        return Target.model_validate_json(self._text("target"))

    def decision(self) -> Decision:
        """How its predictions become answers."""
        return Decision.model_validate_json(self._text("decision"))

    def choice(self) -> Choice:
        """Which candidate it is, and why."""
        return Choice.model_validate_json(self._text("choice"))

    def _text(self, name: str) -> str:
        return (self.path / f"{name}.json").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Evaluation(Bundle):
    """The outputs of `evaluate`."""

    ledger: Csv
    """One row a candidate, in story order, all on validation: candidate, reference, score (the
    objective) with _low and _high, difference (to the reference) with _low and _high, loss (log
    loss; of quantities the root mean squared error), parameters, multiply_adds, fits, epochs,
    examples, decision (yardstick, off, left out, kept, chosen, compared) and reason. Shares are
    from 0 to 1; what is not known is empty. Rows that are compared are no candidates."""
    metrics: Metrics
    """Holdout figures: n; objective, the name of the figure that was chosen by; chosen and
    baseline, each the figures of `metrics.objective.all_figures` by name; recall, for both by class
    or label (of quantities there is none). Each is {"value", "low", "high"}."""
    details: Json
    """What the report draws; see `Details`."""
    confusion: Confusion
    """Actual and predicted answer of every holdout example: its class, its labels in one text, or
    the tenth of the holdout's values that the first target lies in."""
    chosen: Chosen


class Label(BaseModel):
    """How one label fared on the holdout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    examples: int
    """How many have it."""
    answers: int
    """How many are said to have it."""
    right: int
    """How many of those do."""
    recall: float | None
    precision: float | None


class Points(BaseModel):
    """Holdout examples of one target, for a drawing of predicted against actual values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actual: tuple[float, ...]
    predicted: tuple[float, ...]


class Details(BaseModel):
    """The content of details.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    names: tuple[str, ...]
    """Classes, labels or targets, in the order of the models' outputs."""
    positive: str | None
    """The class that recall, precision and a threshold between two classes are about."""
    chosen: str
    objective: str
    """Name of the figure that was chosen by."""
    figures: dict[str, Reading]
    """How each holdout figure reads: title, sign, share or unit; the objective's is among them."""
    loss: Reading
    """How the ledger's column `loss` reads."""
    thresholds: dict[str, Tuned]
    """For chosen and baseline; empty where no threshold decides."""
    level: float
    replicates: int
    seed: int
    tolerance: float
    rule: Rule
    """By which a candidate was chosen."""
    validation_examples: int
    holdout_examples: int
    confusion: tuple[tuple[int, ...], ...]
    """Classes: holdout counts of the chosen model, actual class by predicted class; else empty."""
    calibration: dict[str, tuple[dict[str, float], ...]]
    """Classes: for chosen and baseline the bins of `metrics.classification.calibration_bins`."""
    labels: dict[str, tuple[Label, ...]]
    """Labels: for chosen and baseline how each label fared."""
    residuals: dict[str, dict[str, tuple[float, ...]]]
    """Quantities: for chosen and baseline, by target, the 5, 25, 50, 75 and 95 % quantiles of
    prediction minus truth."""
    points: dict[str, Points]
    """Quantities: by target, at most `metrics.particulars.DRAWN` holdout examples and what the
    chosen model says of them."""

    @classmethod
    def read(cls, artifact: Json) -> "Details":
        """The details that `evaluate` wrote."""
        return cls.model_validate_json(artifact.path.read_text(encoding="utf-8"))

    def write(self, artifact: Json) -> None:
        """Write details.json."""
        content: dict[str, Any] = self.model_dump(mode="json")
        artifact.write(content)
