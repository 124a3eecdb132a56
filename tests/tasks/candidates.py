"""Synthetic results of the training stages: real records and predictions, tiny real models."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dataset.examples import Column, Development, Examples, Holdout, Schema
from models import results
from models.candidate import (
    Baseline,
    Candidate,
    Distilled,
    Finetuned,
    Record,
    Regularized,
    Searched,
)
from models.distillation import quantising
from models.judging import ablation
from models.judging import shares as fewer
from models.judging.ablation import Outcome
from models.judging.shares import Learned
from tasks import search_rates

STORY = ("baseline", "search", "regularize", "finetune", "ensemble", "distill")
MULTIPLY_ADDS = {
    "baseline": 10_000,
    "search": 40_000,
    "regularize": 40_000,
    "finetune": 40_000,
    "ensemble": 120_000,
    "distill": 4_000,
}


def truth_of(task, n, names):
    """Classes and labels that take turns, or quantities as large as their place."""
    if task == "classification":
        return np.arange(n) % len(names)
    if task == "multilabel":
        return np.stack([np.arange(n) // (at + 1) % 2 for at in range(len(names))], axis=1).astype(
            np.float32
        )
    random = np.random.default_rng(7)
    return (random.normal(10, 2, (n, len(names))) * 10.0 ** np.arange(len(names))).astype(
        np.float32
    )


def examples(truth, names, seed=0, weights=None):
    """Two numeric features, of which the first says the class, or something of the rest."""
    random = np.random.default_rng(seed)
    n = len(truth)
    told = truth if truth.ndim == 1 else truth.mean(axis=1)
    targets = np.array(names, dtype=object)[truth] if truth.ndim == 1 else truth
    return Examples(
        {
            "x": (told + random.normal(0, 0.3, n)).astype(np.float32),
            "y": random.normal(size=n).astype(np.float32),
        },
        targets,
        np.arange(n, dtype=np.int64),
        weights,
    )


def predictions(task, truth, names, good, seed=0):
    """Of examples, `good` from 0 to 1: the share of classes or labels that are right, or 1 less
    the error that a quantity has beside its scale.

    Worse ones err wherever better ones do, so differences are narrow.
    """
    if task == "classification":
        return probabilities(truth, names, good, seed)
    luck = np.random.default_rng(99)
    if task == "multilabel":
        wrong = luck.random(truth.shape)
        wrong = wrong >= np.quantile(wrong, good) if good < 1 else wrong > 1
        confidence = np.random.default_rng(seed).uniform(0.6, 0.99, truth.shape)
        return np.where(wrong == (truth > 0.5), 1 - confidence, confidence).astype(np.float32)
    error = luck.normal(size=truth.shape) + 0.01 * np.random.default_rng(seed).normal(
        size=truth.shape
    )
    return (truth + (1 - good) * error * 10.0 ** np.arange(len(names))).astype(np.float32)


def probabilities(labels, classes, accuracy, seed=0):
    """`(n, classes)` float32 that are right on the given share of the examples."""
    n, number = len(labels), len(classes)
    luck = np.random.default_rng(99).random(n)
    random = np.random.default_rng(seed)
    wrong = luck >= np.quantile(luck, accuracy) if accuracy < 1 else np.zeros(n, dtype=bool)
    answer = np.where(wrong, (labels + 1 + labels % (number - 1)) % number, labels)
    confidence = np.where(wrong, random.uniform(0.52, 0.8, n), random.uniform(0.6, 0.99, n))
    values = np.repeat(((1 - confidence) / (number - 1))[:, np.newaxis], number, axis=1)
    values[np.arange(n), answer] = confidence
    return values.astype(np.float32)


def constant(task, truth, names):
    """What says the same of every example, and what it is called."""
    if task == "regression":
        return "mean", np.tile(truth.mean(axis=0), (len(truth), 1))
    shares = np.eye(len(names))[0] if task == "classification" else truth.mean(axis=0)
    return "majority", np.tile(shares, (len(truth), 1))


@dataclass(frozen=True)
class Made:
    """The inputs of `evaluate`, and those of `report` that come from training stages."""

    task: str
    names: tuple[str, ...]
    """Classes, labels or targets, in the order of the outputs."""
    development: Development
    holdout: Holdout
    baseline: Baseline
    search: Searched
    regularize: Regularized
    finetune: Finetuned
    ensemble: Candidate
    distill: Distilled

    def training(self):
        return [getattr(self, name) for name in STORY]

    def evaluate_inputs(self):
        return {
            "development": self.development,
            "holdout": self.holdout,
            "yardsticks": self.baseline.yardsticks,
            **{name: getattr(self, name).model for name in STORY},
            "control": self.distill.control,
            "int8": self.distill.int8,
        }

    def predict(self, good, asked=None):
        """In place of `tasks.evaluate._predict`: models by their content, each as good as `good`
        says by name, or 0.92. Names are added to `asked`."""

        def say(model, blocks, seed):
            name = model.read_text()
            if asked is not None:
                asked.append(name)
            target = self.development.target()
            truth = target.truth(np.concatenate([block.targets for block in blocks]))
            return predictions(self.task, truth, self.names, good.get(name, 0.92))

        return say


def make(
    root: Path,
    goodness,
    *,
    task="classification",
    names=("0", "1", "2"),
    n=400,
    seeds=(1, 2),
    off=(),
    save=None,
    weights=None,
    shares=None,
):
    """Write everything below `root`.

    goodness: of the validation predictions by stage, and of `linear`, as `predictions` takes it;
    a stage that it lacks is switched off.
    `save(path, names)` writes a model; without it the files hold the stage's name. `weights`
    `(n,)` are the importance of the validation examples, `shares` how many of 100 examples each
    class has, where they do not take turns.
    """
    names = tuple(sorted(names)) if task == "classification" else tuple(names)
    truth = truth_of(task, n, names)
    if shares is not None:
        truth = np.repeat(np.arange(len(names)), shares)[np.arange(n) % 100]
    schema = Schema(
        kind="table",
        task=task,
        targets=("label",) if task == "classification" else names,
        columns=tuple(Column(name=name, type="numeric") for name in ("x", "y")),
        shape=(),
    )
    development, holdout = Development(root / "development"), Holdout(root / "holdout")
    development.write(
        examples(truth, names, 1, weights), examples(truth, names, 2, weights), schema, "none"
    )
    holdout.write(
        examples(truth[: n // 2], names, 3, None if weights is None else weights[: n // 2]), schema
    )
    made = Made(
        task,
        names,
        development,
        holdout,
        Baseline.at(root / "baseline"),
        Searched.at(root / "search"),
        Regularized.at(root / "regularize"),
        Finetuned.at(root / "finetune"),
        Candidate.at(root / "ensemble"),
        Distilled.at(root / "distill"),
    )
    called, same = constant(task, truth, names)
    linear = predictions(task, truth, names, goodness["linear"])
    made.baseline.yardsticks.write({called: same.astype(np.float32), "linear": linear})
    for name, candidate in zip(STORY, made.training(), strict=True):
        if name in off or name not in goodness:
            write_off(candidate, name)
            continue
        said = [predictions(task, truth, names, goodness[name], seed) for seed in seeds]
        write(candidate, name, np.stack(said), task, goodness[name], seeds)
        if save:
            save(candidate.model.model, names)
    write_trials(made.search, task, off)
    made.search.rates.write(search_rates.table(None))
    made.baseline.learning.write(fewer.table([]))
    made.regularize.ablation.write(ablation.table([]))
    write_probe(made, [])
    write_worth(made, {})
    write_off_distilled(made)
    return made


def write_variants(made, control=0.88, int8=0.92, seeds=(1, 2)):
    """The student without its teacher and in 8 bits, as good as said."""
    truth, _ = made.development.truth("validation")
    told = [predictions(made.task, truth, made.names, control, seed) for seed in seeds]
    made.distill.control.write_predictions(np.stack(told))
    plain = record("distill", True, seeds)
    made.distill.control.write_record(
        plain.model_copy(update={"stage": "control", "saved_seed": None})
    )
    small = predictions(made.task, truth, made.names, int8, seeds[0])[np.newaxis]
    np.savez_compressed(made.distill.int8.make() / "predictions.npz", predictions=small)
    made.distill.int8.network.write_bytes(b"network")
    made.distill.int8.facts.write(
        {
            "enabled": True,
            "reason": None,
            "parameters": plain.parameters,
            "multiply_adds": plain.multiply_adds,
            "bytes": 5000,
            "float_bytes": 16_000,
        }
    )


def write_learning(made, floor=0.01, scale=1.0, exponent=0.5, noise=0.01):
    """Errors of three seeds on three sizes that follow a power law, nearly."""
    random = np.random.default_rng(4)
    made.baseline.learning.write(
        fewer.table(
            [
                Learned(share, round(4000 * share), seed, 5, 0.1, round(float(error), 6))
                for share in (0.1, 0.3, 1.0)
                for seed in (1, 2, 3)
                for error in [
                    (floor + scale * (4000 * share) ** -exponent) * (1 + noise * random.normal())
                ]
            ]
        )
    )


def write_ablation(made, name, sign=1):
    """One technique that gains, one that does nothing and one that could not be compared."""

    def row(technique, way, difference, reach, decision):
        ends = [None] * 3 if difference is None else [sign * difference] * 3
        if difference is not None:
            ends = [ends[0], ends[0] - reach, ends[0] + reach]
        why = f"Because of {technique}."
        return Outcome(technique, way, *ends, 0.9875, decision, why, 2, 1234)

    rows = [
        row(name, "added", 0.05, 0.01, "earned"),
        row(name, "removed", 0.03, 0.02, "earned"),
        row("does_nothing", "added", 0.0, 0.01, "neutral"),
        row("does_nothing", "removed", -0.002, 0.01, "neutral"),
        row("lost", "added", None, 0, "neutral"),
        row("lost", "removed", None, 0, "neutral"),
    ]
    made.regularize.ablation.write(ablation.table(rows))


PROBE = ["source", "network", "features", "score", "low", "high"]
PROBE += ["parameters", "multiply_adds", "chosen"]
WORTH = ["share", "examples", "way", "seeds", "score", "low", "high"]
WORTH += ["difference", "difference_low", "difference_high", "loss", "epochs", "examples_seen"]
COMPARED = ("distill without its teacher", "distill in 8 bits")
"""What the ledger calls the control and the network of 8 bits."""


def write_probe(made, sources):
    """sources: (source, network, score, chosen), each with an interval of 0.04 around its score."""
    rows = [
        [source, network, 64, score, score - 0.02, score + 0.02, 12_345, 67_890, chosen]
        for source, network, score, chosen in sources
    ]
    made.finetune.probe.write(pd.DataFrame(rows, columns=PROBE))


def write_worth(made, gains, reach=0.01, scratch=0.8, sign=1):
    """gains: by the share of the 2,000 training examples what tuning gains there, more being
    better whatever `sign` says; frozen networks gain half of it."""
    rows = []
    for share, gain in gains.items():
        for way, part in (("scratch", 0.0), ("frozen", 0.5), ("tuned", 1.0)):
            value = scratch + sign * (0.1 * share + part * gain)
            told = sign * part * gain
            apart = [told, told - reach, told + reach] if part else [None] * 3
            figures = [value, value - 0.02, value + 0.02, *apart, 0.3]
            seen = round(2000 * share * (40 - 20 * part))
            rows.append([share, round(2000 * share), way, 2, *figures, 40, seen])
    made.finetune.worth.write(pd.DataFrame(rows, columns=WORTH))


def write_off_distilled(made):
    """Neither a control nor a network of 8 bits."""
    results.nothing(made.distill.control, "control", "distill.control")
    quantising.switched_off(made.distill.int8, "There is none.")


def write_distilled(made, control, int8, teacher="finetune", reason=None):
    """What the student says, with other goodness: without its teacher and in 8 bits; without the
    latter for the `reason`."""
    truth = made.development.target().truth(made.development.validation().targets)
    student = made.distill.model.record()
    told = student.settings | {"teacher": teacher}
    made.distill.model.write_record(student.model_copy(update={"settings": told}))
    made.distill.control.write_record(student)
    said = [predictions(made.task, truth, made.names, control, seed) for seed in student.seeds]
    made.distill.control.write_predictions(np.stack(said))
    folder = made.distill.int8.make()
    if reason:
        made.distill.int8.facts.write({"enabled": False, "reason": reason})
        return
    said = predictions(made.task, truth, made.names, int8, 1)
    np.savez_compressed(folder / "predictions.npz", predictions=said[np.newaxis])
    made.distill.int8.network.write_bytes(b"int8")
    counts = {"parameters": student.parameters, "multiply_adds": student.multiply_adds}
    sizes = {"bytes": 5_300, "float_bytes": 4 * student.parameters + 1_000}
    made.distill.int8.facts.write({"enabled": True, "reason": "", **counts, **sizes})


def write_compared(made, evaluation, control=None, int8=None):
    """What the ledger says of the student without its teacher and in 8 bits, each by how much it
    is above the student, at the least and at the most; None: it says nothing of it."""
    ledger = evaluation.ledger.read()
    ledger = ledger[~ledger["candidate"].isin(COMPARED)]
    student = ledger[ledger["candidate"] == "distill"].iloc[0]
    rows = []
    for name, ends in zip(COMPARED, (control, int8), strict=True):
        if ends is None:
            continue
        told = {"candidate": name, "reference": "distill", "decision": "compared"}
        told |= dict(zip(("difference", "difference_low", "difference_high"), ends, strict=True))
        told |= {end: student[end] + ends[0] for end in ("score", "score_low", "score_high")}
        rows.append({**student, **told, "reason": f"Compared as {name}."})
    counts = ["parameters", "multiply_adds", "fits", "epochs", "examples"]
    table = pd.concat([ledger, pd.DataFrame(rows)]).astype(dict.fromkeys(counts, "Int64"))
    evaluation.ledger.write(table)


def record(name, enabled, seeds=()):
    # Of an ensemble nothing is trained.
    seeds = () if name == "ensemble" else seeds
    return Record(
        stage=name,
        enabled=enabled,
        summary=f"What {name} trained." if enabled else f"Switched off by {name}.enabled.",
        settings={"width": 32, "learning_rate": 0.001} if enabled else {},
        seeds=seeds,
        saved_seed=seeds[0] if seeds else None,
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


def write(candidate, name, said, task, good, seeds):
    candidate.model.write_record(record(name, True, seeds))
    candidate.model.write_predictions(said)
    candidate.model.model.write_bytes(name.encode())
    epoch = np.arange(1, 21)
    # A fast and overfitting baseline; the others come to rest.
    train = 1.6 * np.exp(-epoch / 5)
    gap = 0.012 * epoch if name in ("baseline", "search") else 0.002 * epoch
    known = task != "regression"
    curves = pd.DataFrame(
        {
            "epoch": epoch,
            "loss": train.round(6),
            "accuracy": (1 - 0.5 * train / 1.6).round(6) if known else None,
            "val_loss": (train + 0.08 + gap).round(6),
            "val_accuracy": (good - 0.4 * train / 1.6).round(6) if known else None,
        }
    )
    seeds = candidate.model.record().seeds
    if not seeds:
        curves = curves[:0]
    candidate.curves.write(curves)
    fits = [
        curves.assign(fit=fit, phase="train", seed=seed, learning_rate=0.001)
        for fit, seed in enumerate(seeds, 1)
    ]
    candidate.model.fits.write(pd.concat(fits) if fits else curves)
    candidate.metrics.write({"validation": {"accuracy": good, "loss": 0.2}})


def write_trials(search, task, off):
    """Twelve trials, one of which diverged; what reads texts is varied as well."""
    columns = ["trial", "learning_rate", "width", "depth", "batch_size", "text"]
    columns += ["score", "spread", "loss"]
    columns += ["epochs", "examples", "parameters", "seed", "status", "reason"]
    rows = []
    if "search" not in off:
        random = np.random.default_rng(5)
        for trial in range(1, 13):
            rate = float(10 ** random.uniform(-4, -1.5))
            loss = round(0.1 + 0.2 * abs(np.log10(rate) + 2.5) + random.uniform(0, 0.05), 6)
            width, depth = int(random.choice([32, 64, 128])), int(random.choice([1, 2, 3]))
            batch = int(random.choice([32, 64]))
            text = ("pool", "convolution", "transformer")[trial % 3]
            score = 10 * loss if task == "regression" else 0.99 - loss / 5
            shape = [trial, rate, width, depth, batch, text]
            ends = [30, 9000, 5000, 7, "completed", None]
            rows.append([*shape, round(score, 6), None, loss, *ends])
        rows[3][6:9] = [None] * 3
        rows[3][-2:] = ["diverged", "its loss was no number any more in epoch 3"]
    search.trials.write(pd.DataFrame(rows, columns=columns))
