"""A candidate: what every stage that trains leaves for those that compare, choose and report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipeline.artifacts import Bundle, Csv, Curves, Folder, Json, Metrics, replacing


class Record(BaseModel):
    """What a candidate is and what it cost, counted rather than clocked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    enabled: bool
    """False where the stage is switched off in params.yaml; then the counts are zero."""
    summary: str
    """One line for people: what was trained, and how."""
    settings: dict[str, Any]
    """The settings the network was built and trained with."""
    seeds: tuple[int, ...]
    saved_seed: int | None
    """The seed of the saved model: the one with the lowest validation loss."""
    parameters: int
    """Numbers in the network."""
    multiply_adds: int
    """Multiply-adds that one example costs at inference."""
    fits: int
    epochs: int
    """Epochs trained, over all fits of the stage."""
    examples: int
    """Training examples seen, over all fits of the stage."""


class Trained(Folder):
    """model.keras, predictions.npz, fits.csv and record.json; switched off, record.json alone."""

    @property
    def model(self) -> Path:
        """The saved model: raw values in, class probabilities out."""
        return self.path / "model.keras"

    @property
    def fits(self) -> Csv:
        """Curves of every fit: columns fit, phase, seed, epoch (from 1, counting on over the
        phases), loss, accuracy, val_loss, val_accuracy, learning_rate."""
        return Csv(self.path / "fits.csv")

    def record(self) -> Record:
        """What the candidate is and cost."""
        return Record.model_validate_json((self.path / "record.json").read_text(encoding="utf-8"))

    def write_record(self, record: Record) -> None:
        """Write record.json."""
        Json(self.make() / "record.json").write(record.model_dump(mode="json"))

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Validation predictions, `(seeds, examples, classes)` float32, rows adding up to 1."""
        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            values: npt.NDArray[np.float32] = arrays["probabilities"]
        return values

    def write_probabilities(self, probabilities: npt.NDArray[np.float32]) -> None:
        """Write predictions.npz from `(seeds, examples, classes)`."""
        with replacing(self.make() / "predictions.npz") as temporary:
            np.savez_compressed(temporary, probabilities=probabilities.astype(np.float32))


@dataclass(frozen=True)
class Candidate(Bundle):
    """The outputs of one training stage."""

    model: Trained
    curves: Curves
    """The mean over seeds, one row an epoch: epoch, loss, accuracy, val_loss, val_accuracy."""
    metrics: Metrics
    """{"validation": {"accuracy": …, "log_loss": …}}, means over seeds; {} when switched off."""


class Yardsticks(Folder):
    """What a network must beat: the majority class and a linear model, on the validation rows."""

    def write(self, probabilities: dict[str, npt.NDArray[np.float32]]) -> None:
        """Write predictions.npz from `(examples, classes)` by the yardstick's name."""
        with replacing(self.make() / "predictions.npz") as temporary:
            np.savez_compressed(temporary, **probabilities)  # type: ignore[arg-type]

    def read(self) -> dict[str, npt.NDArray[np.float32]]:
        """`(examples, classes)` float32 by name, `majority` and `linear`."""
        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


@dataclass(frozen=True)
class Baseline(Candidate):
    """A candidate, and the yardsticks beside it."""

    yardsticks: Yardsticks


@dataclass(frozen=True)
class Searched(Candidate):
    """A candidate, and the trials that led to it."""

    trials: Csv
    """One row a trial, in the order asked: trial (from 1), the values varied (learning_rate,
    width, depth, batch_size), accuracy and log_loss on validation, epochs, examples, parameters,
    status; only the header when switched off."""
