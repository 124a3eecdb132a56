"""Synthetic results of the training stages, of every task: real records and predictions, and model
files that hold the stage's name or are tiny real models."""

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
MEAN, SPREAD = 1000.0, 100.0
"""Of the quantities of a regression, in their unit."""


def labels_of(n, classes):
    return np.arange(n) % len(classes)


def truth_of(task, n, names):
    """Truth as `models.target` has it: classes and labels in turn, quantities by chance."""
    if task == "classification":
        return labels_of(n, names)
    places = np.arange(len(names))
    if task == "multilabel":
        return (np.arange(n)[:, np.newaxis] % (2 + places) == 0).astype(np.float32)
    random = np.random.default_rng(7)
    return (MEAN + SPREAD * random.normal(size=(n, len(names)))).astype(np.float32)


def examples(truth, names, task="classification", seed=0):
    """Two numeric features, of which the first says the (first) truth."""
    random = np.random.default_rng(seed)
    n = len(truth)
    if task == "classification":
        said, targets = truth, np.array([names[code] for code in truth], dtype=object)
    else:
        said, targets = truth[:, 0], truth
    return Examples(
        {
            "x": (said + random.normal(0, 0.3, n)).astype(np.float32),
            "y": random.normal(size=n).astype(np.float32),
        },
        targets,
        np.arange(n, dtype=np.int64),
    )


def predictions(task, truth, names, accuracy, seed=0):
    """`(n, k)` float32 as a model of this accuracy says them."""
    say = {"classification": probabilities, "multilabel": labels, "regression": quantities}
    return say[task](truth, names, accuracy, seed)


def probabilities(truth, classes, accuracy, seed=0):
    """`(n, classes)` float32 that are right on the given share of the examples.

    Lower accuracies err wherever higher ones do, so differences are narrow.
    """
    n, number = len(truth), len(classes)
    luck = np.random.default_rng(99).random(n)
    random = np.random.default_rng(seed)
    wrong = luck >= np.quantile(luck, accuracy) if accuracy < 1 else np.zeros(n, dtype=bool)
    answer = np.where(wrong, (truth + 1 + truth % (number - 1)) % number, truth)
    confidence = np.where(wrong, random.uniform(0.52, 0.8, n), random.uniform(0.6, 0.99, n))
    values = np.repeat(((1 - confidence) / (number - 1))[:, np.newaxis], number, axis=1)
    values[np.arange(n), answer] = confidence
    return values.astype(np.float32)


def labels(truth, names, accuracy, seed=0):
    """`(n, labels)` float32 that are right on the given share of examples and labels."""
    luck = np.random.default_rng(99).random(truth.shape)
    random = np.random.default_rng(seed)
    right = luck < np.quantile(luck, accuracy) if accuracy < 1 else np.ones(truth.shape, dtype=bool)
    likely, unlikely = (random.uniform(*ends, truth.shape) for ends in ((0.6, 0.99), (0.2, 0.48)))
    sure = np.where(right, likely, unlikely)
    return np.where(truth > 0.5, sure, 1 - sure).astype(np.float32)


def quantities(truth, names, accuracy, seed=0):
    """`(n, targets)` float32 that err by a share of the spread, `1 - accuracy` on average."""
    random = np.random.default_rng([99, len(truth)])
    error = random.normal(size=truth.shape)
    own = 0.02 * np.random.default_rng(seed).normal(size=truth.shape)
    return (truth + SPREAD * (1 - accuracy) * (error + own)).astype(np.float32)


def constant(task, truth, names):
    """`(n, k)` float32 of the yardstick that says the same of every example."""
    if task == "regression":
        return np.full(truth.shape, MEAN, dtype=np.float32)
    said = np.zeros((len(truth), len(names)), dtype=np.float32)
    said[:, 0] = 1
    return said


@dataclass(frozen=True)
class Made:
    """The inputs of `evaluate`, and those of `report` that come from training stages."""

    task: str
    classes: list[str]
    """Or labels, or targets."""
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

    def said(self, examples, accuracy):
        """What a model of this accuracy says of the examples."""
        truth = self.development.target().truth(examples.targets)
        return predictions(self.task, truth, self.classes, accuracy)


def make(
    root: Path,
    accuracies,
    *,
    task="classification",
    classes=("0", "1", "2"),
    n=400,
    seeds=(1, 2),
    off=(),
    save=None,
    shares=None,
):
    """Write everything below `root`.

    accuracies: validation accuracy by stage, and of `linear`; of quantities 1 minus the error as a
    share of the spread. `classes` are labels or targets where the task is another, `shares` how
    many of 100 examples each class has, instead of all the same. `save(path, classes)` writes a
    model; without it the files hold the stage's name.
    """
    names = sorted(classes) if task == "classification" else list(classes)
    truth = truth_of(task, n, names)
    if shares is not None:
        truth = np.repeat(np.arange(len(names)), shares)[np.arange(n) % 100]
    schema = Schema(
        kind="table",
        task=task,
        targets=("label",) if task == "classification" else tuple(names),
        columns=tuple(Column(name=name, type="numeric") for name in ("x", "y")),
        shape=(),
    )
    development, holdout = Development(root / "development"), Holdout(root / "holdout")
    train, validation, tests = (
        examples(part, names, task, seed)
        for part, seed in ((truth, 1), (truth, 2), (truth[: n // 2], 3))
    )
    development.write(train, validation, schema, "none")
    holdout.write(tests, schema)
    made = Made(
        task,
        names,
        development,
        holdout,
        Baseline.at(root / "baseline"),
        Searched.at(root / "search"),
        *(Candidate.at(root / name) for name in ("regularize", "finetune", "distill")),
    )
    made.baseline.yardsticks.write(
        {
            "mean" if task == "regression" else "majority": constant(task, truth, names),
            "linear": predictions(task, truth, names, accuracies["linear"]),
        }
    )
    for name, candidate in zip(STORY, made.training(), strict=True):
        if name in off:
            write_off(candidate, name)
        else:
            write(candidate, name, task, truth, names, accuracies[name], seeds, save)
    write_trials(made.search, task, off)
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


def write(candidate, name, task, truth, names, accuracy, seeds, save):
    candidate.model.write_record(record(name, True, seeds))
    candidate.model.write_predictions(
        np.stack([predictions(task, truth, names, accuracy, seed) for seed in seeds])
    )
    if save:
        save(candidate.model.model, names)
    else:
        candidate.model.model.write_bytes(name.encode())
    epoch = np.arange(1, 21)
    # A fast and overfitting baseline; the others come to rest.
    train = 1.6 * np.exp(-epoch / 5)
    gap = 0.012 * epoch if name in ("baseline", "search") else 0.002 * epoch
    known = task != "regression"
    candidate.curves.write(
        pd.DataFrame(
            {
                "epoch": epoch,
                "loss": train.round(6),
                "accuracy": (1 - 0.5 * train / 1.6).round(6) if known else None,
                "val_loss": (train + 0.08 + gap).round(6),
                "val_accuracy": (accuracy - 0.4 * train / 1.6).round(6) if known else None,
            }
        )
    )
    candidate.metrics.write({"validation": {"loss": 0.2}})


def write_trials(search, task, off):
    """Twelve trials, one of which diverged; the text reader is varied too."""
    columns = ["trial", "learning_rate", "width", "depth", "batch_size", "text", "score", "loss"]
    columns += ["epochs", "examples", "parameters", "status"]
    rows = []
    if "search" not in off:
        random = np.random.default_rng(5)
        for trial in range(1, 13):
            rate = float(10 ** random.uniform(-4, -1.5))
            loss = round(0.1 + 0.2 * abs(np.log10(rate) + 2.5) + random.uniform(0, 0.05), 6)
            width, depth = int(random.choice([32, 64, 128])), int(random.choice([1, 2, 3]))
            batch = int(random.choice([32, 64]))
            text = ("pool", "convolution", "transformer")[trial % 3]
            score = SPREAD * loss if task == "regression" else 0.99 - loss / 5
            shape = [trial, rate, width, depth, batch, text]
            rows.append([*shape, round(score, 6), loss, 30, 9000, 5000, "completed"])
        rows[3][6:8] = [None, None]
        rows[3][-1] = "diverged"
    search.trials.write(pd.DataFrame(rows, columns=columns))
