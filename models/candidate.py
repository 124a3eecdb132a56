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
    """None where nothing was drawn: of what was not trained."""
    saved_seed: int | None
    """The seed of the saved model: the one with the lowest validation loss. None without seeds:
    then the first predictions are those of the saved model."""
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
        """The saved model: raw values in, predictions out."""
        return self.path / "model.keras"

    @property
    def fits(self) -> Csv:
        """Curves of every fit: columns fit, phase, seed, epoch (from 1, counting on over the
        phases), loss, accuracy, val_loss, val_accuracy, learning_rate. Only the header where
        nothing was fitted."""
        return Csv(self.path / "fits.csv")

    def record(self) -> Record:
        """What the candidate is and cost."""
        return Record.model_validate_json((self.path / "record.json").read_text(encoding="utf-8"))

    def write_record(self, record: Record) -> None:
        """Write record.json."""
        Json(self.make() / "record.json").write(record.model_dump(mode="json"))

    def predictions(self) -> npt.NDArray[np.float32]:
        """Of the validation examples, `(seeds, examples, k)` float32, see `dataset.target`."""
        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            values: npt.NDArray[np.float32] = arrays["predictions"]
        return values

    def write_predictions(self, predictions: npt.NDArray[np.float32]) -> None:
        """Write predictions.npz from `(seeds, examples, k)`."""
        with replacing(self.make() / "predictions.npz") as temporary:
            np.savez_compressed(temporary, predictions=predictions.astype(np.float32))


@dataclass(frozen=True)
class Candidate(Bundle):
    """The outputs of one training stage."""

    model: Trained
    curves: Curves
    """The mean over seeds, one row an epoch: epoch, loss, accuracy, val_loss, val_accuracy;
    accuracies are empty for quantities. Only the header where nothing was fitted."""
    metrics: Metrics
    """{"validation": {figure: value}}, means over seeds of the task's figures by name and of
    "loss", what fits are stopped by; {} when switched off."""


class Yardsticks(Folder):
    """What a network must beat: a constant answer and a linear model, on the validation rows."""

    def write(self, predictions: dict[str, npt.NDArray[np.float32]]) -> None:
        """Write predictions.npz from `(examples, k)` by the yardstick's name."""
        with replacing(self.make() / "predictions.npz") as temporary:
            np.savez_compressed(temporary, **predictions)  # type: ignore[arg-type]

    def read(self) -> dict[str, npt.NDArray[np.float32]]:
        """`(examples, k)` float32 by name: `majority` or, of quantities, `mean`; then `linear`."""
        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


@dataclass(frozen=True)
class Baseline(Candidate):
    """A candidate, the yardsticks beside it, and how it learns from fewer rows."""

    yardsticks: Yardsticks
    learning: Csv
    """A row for each fit on a share of the training rows, and of those on all of them, see
    `models.judging.shares.Learned`; only the header where no shares were wished."""


@dataclass(frozen=True)
class Regularized(Candidate):
    """A candidate, and what each of its techniques was worth."""

    ablation: Csv
    """Two rows a technique, see `models.judging.ablation.Outcome`; only the header when switched
    off."""


@dataclass(frozen=True)
class Finetuned(Candidate):
    """A candidate, the sources that it was chosen from, and whether transfer is worth it."""

    probe: Csv
    """One row a source, in the order of params.yaml, and one for its network untrained: source,
    network, features (numbers an example), score (of the objective: a linear model on the frozen
    features, of training examples in the folds that it did not learn from), low, high, parameters,
    multiply_adds, chosen (whether it was fine-tuned). Only the header when switched off, or with
    one source."""
    worth: Csv
    """A row for each share of the training examples and each way (scratch, frozen, tuned): share,
    examples, way, seeds, score (of the objective on validation, the mean over seeds), low, high,
    difference (to scratch), difference_low, difference_high, loss, epochs, examples_seen (both of
    all seeds together). Only the header where no shares were wished."""


class Quantised(Folder):
    """network.tflite, predictions.npz and facts.json; facts.json alone where there is none."""

    @property
    def network(self) -> Path:
        """The student's network with weights and activations of 8 bits: encoded values in, logits
        out."""
        return self.path / "network.tflite"

    @property
    def facts(self) -> Json:
        """enabled, reason (in words, where there is none), parameters, multiply_adds, bytes and
        float_bytes (of the network's file before)."""
        return Json(self.path / "facts.json")

    def predictions(self) -> npt.NDArray[np.float32]:
        """Of the validation examples, `(1, examples, k)` float32, see `dataset.target`."""
        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            values: npt.NDArray[np.float32] = arrays["predictions"]
        return values


@dataclass(frozen=True)
class Distilled(Candidate):
    """A student, the same one without its teacher, and the same one in 8 bits."""

    control: Trained
    """The same student, seeds and budget without the teacher; no model.keras."""
    int8: Quantised


@dataclass(frozen=True)
class Searched(Candidate):
    """A candidate, and the trials that led to it."""

    trials: Csv
    """One row a trial, in the order asked: trial (from 1); every setting that was varied, empty
    where a condition did not hold; score (of the objective), spread (its standard deviation between
    folds) and loss on validation, empty where it came to nothing; epochs, examples, parameters;
    seed; status (completed, stopped, diverged, failed, memory); reason. Only the header when
    switched off."""
    rates: Csv
    """The range test of learning rates, one row a step: rate, loss, average (of the losses so far)
    and, in every row, the suggestion; only the header where there was none."""
