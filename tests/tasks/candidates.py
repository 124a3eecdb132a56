"""Synthetic results of the training stages: real records and predictions, tiny real models."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.candidate import Baseline, Candidate, Record, Searched
from models.examples import Column, Development, Examples, Holdout, Schema

STORY = ("baseline", "search", "regularize", "finetune", "distill")
MULTIPLY_ADDS = {
    "baseline": 10_000,
    "search": 40_000,
    "regularize": 40_000,
    "finetune": 40_000,
    "distill": 4_000,
}


def labels_of(n, classes):
    return np.arange(n) % len(classes)


def examples(labels, classes, seed=0):
    """Two numeric features, of which the first says the class."""
    random = np.random.default_rng(seed)
    n = len(labels)
    return Examples(
        {
            "x": (labels + random.normal(0, 0.3, n)).astype(np.float32),
            "y": random.normal(size=n).astype(np.float32),
        },
        np.array([classes[label] for label in labels], dtype=object),
        np.arange(n, dtype=np.int64),
    )


def probabilities(labels, classes, accuracy, seed=0):
    """`(n, classes)` float32 that are right on the given share of the examples.

    Lower accuracies err wherever higher ones do, so differences are narrow.
    """
    n, number = len(labels), len(classes)
    luck = np.random.default_rng(99).random(n)
    random = np.random.default_rng(seed)
    wrong = luck >= np.quantile(luck, accuracy) if accuracy < 1 else np.zeros(n, dtype=bool)
    answer = np.where(wrong, (labels + 1 + labels % (number - 1)) % number, labels)
    confidence = np.where(wrong, random.uniform(0.52, 0.8, n), random.uniform(0.6, 0.99, n))
    values = np.repeat(((1 - confidence) / (number - 1))[:, np.newaxis], number, axis=1)
    values[np.arange(n), answer] = confidence
    return values.astype(np.float32)


@dataclass(frozen=True)
class Made:
    """The inputs of `evaluate`, and those of `report` that come from training stages."""

    classes: list[str]
    development: Development
    holdout: Holdout
    baseline: Baseline
    search: Searched
    regularize: Candidate
    finetune: Candidate
    distill: Candidate

    def training(self):
        return [getattr(self, name) for name in STORY]

    def evaluate_inputs(self):
        return {
            "development": self.development,
            "holdout": self.holdout,
            "yardsticks": self.baseline.yardsticks,
            **{name: getattr(self, name).model for name in STORY},
        }


def make(
    root: Path,
    accuracies,
    *,
    classes=("0", "1", "2"),
    n=400,
    seeds=(1, 2),
    off=(),
    save=None,
):
    """Write everything below `root`.

    accuracies: validation accuracy by stage, and of `linear`. `save(path, classes)` writes a
    model; without it the files hold the stage's name.
    """
    classes = sorted(classes)
    labels = labels_of(n, classes)
    schema = Schema(
        kind="table",
        task="classification",
        target="label",
        columns=tuple(Column(name=name, type="numeric") for name in ("x", "y")),
        shape=(),
    )
    development, holdout = Development(root / "development"), Holdout(root / "holdout")
    development.write(examples(labels, classes, 1), examples(labels, classes, 2), schema)
    holdout.write(examples(labels[: n // 2], classes, 3), schema)
    made = Made(
        classes,
        development,
        holdout,
        Baseline.at(root / "baseline"),
        Searched.at(root / "search"),
        *(Candidate.at(root / name) for name in ("regularize", "finetune", "distill")),
    )
    majority = np.zeros((n, len(classes)), dtype=np.float32)
    majority[:, 0] = 1
    made.baseline.yardsticks.write(
        {"majority": majority, "linear": probabilities(labels, classes, accuracies["linear"])}
    )
    for name, candidate in zip(STORY, made.training(), strict=True):
        if name in off:
            write_off(candidate, name)
        else:
            write(candidate, name, labels, classes, accuracies[name], seeds, save)
    write_trials(made.search, off)
    return made


def record(name, enabled, seeds=()):
    return Record(
        stage=name,
        enabled=enabled,
        summary=f"What {name} trained." if enabled else f"Switched off by {name}.enabled.",
        settings={"width": 32, "learning_rate": 0.001} if enabled else {},
        seeds=seeds,
        saved_seed=seeds[0] if enabled else None,
        parameters=MULTIPLY_ADDS[name] + 100 if enabled else 0,
        multiply_adds=MULTIPLY_ADDS[name] if enabled else 0,
        fits=len(seeds),
        epochs=20 * len(seeds),
        examples=8000 * len(seeds),
    )


def write_off(candidate, name):
    candidate.model.write_record(record(name, False))
    candidate.curves.write(
        pd.DataFrame(columns=["epoch", "loss", "accuracy", "val_loss", "val_accuracy"])
    )
    candidate.metrics.write({})


def write(candidate, name, labels, classes, accuracy, seeds, save):
    candidate.model.write_record(record(name, True, seeds))
    candidate.model.write_probabilities(
        np.stack([probabilities(labels, classes, accuracy, seed) for seed in seeds])
    )
    if save:
        save(candidate.model.model, classes)
    else:
        candidate.model.model.write_bytes(name.encode())
    epoch = np.arange(1, 21)
    # A fast and overfitting baseline; the others come to rest.
    train = 1.6 * np.exp(-epoch / 5)
    gap = 0.012 * epoch if name in ("baseline", "search") else 0.002 * epoch
    candidate.curves.write(
        pd.DataFrame(
            {
                "epoch": epoch,
                "loss": train.round(6),
                "accuracy": (1 - 0.5 * train / 1.6).round(6),
                "val_loss": (train + 0.08 + gap).round(6),
                "val_accuracy": (accuracy - 0.4 * train / 1.6).round(6),
            }
        )
    )
    candidate.metrics.write({"validation": {"accuracy": accuracy, "log_loss": 0.2}})


def write_trials(search, off):
    columns = ["trial", "learning_rate", "width", "depth", "batch_size", "accuracy", "log_loss"]
    columns += ["epochs", "examples", "parameters", "status"]
    rows = []
    if "search" not in off:
        random = np.random.default_rng(5)
        for trial in range(1, 13):
            rate = float(10 ** random.uniform(-4, -1.5))
            loss = round(0.1 + 0.2 * abs(np.log10(rate) + 2.5) + random.uniform(0, 0.05), 6)
            width, depth = int(random.choice([32, 64, 128])), int(random.choice([1, 2, 3]))
            batch = int(random.choice([32, 64]))
            shape = [trial, rate, width, depth, batch]
            rows.append([*shape, round(0.99 - loss / 5, 6), loss, 30, 9000, 5000, "completed"])
        rows[3][5:7] = [None, None]
        rows[3][-1] = "diverged"
    search.trials.write(pd.DataFrame(rows, columns=columns))
