"""What each technique does to the plain recipe, on a data set of one's own: one change at a time.

    .venv/bin/python -B -m benchmarks.techniques                  the digits
    .venv/bin/python -B -m benchmarks.techniques FILE [OPTIONS]   as for `./fettle init`

Every row of the table is the recipe with one technique, trained with the same seeds on the same
training rows as the plain recipe, and compared with it on the same validation examples: the paired
bootstrap over seeds and examples, as the ledger has it. The holdout stays closed. Written beside
this module as techniques-NAME.json.

    .venv/bin/python -B -m benchmarks.techniques --table

prints what was measured of all of them as one table, which is the one in docs/techniques.md.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.bench import ROOT
from benchmarks.opened import opened, write
from dataset.examples import Development, Schema
from metrics.intervals import Bootstrap
from metrics.objective import Measure
from models import training
from models.presets import LARGE_BATCH
from models.settings import Recipe
from pipeline.runners.processes import ProcessPool

SEEDS = (1, 2, 3)
EPOCHS = 10
"""At the most on data with so many training rows that batches are large: with more, a plain network
is overfitted, and whatever hinders it seems to help."""
BOOTSTRAP = Bootstrap(replicates=2000, level=0.95, seed=1)

TRAINED: Mapping[str, Mapping[str, Any]] = {
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "focal loss, gamma 2": {"loss": "focal"},
    "huber loss": {"loss": "huber"},
    "gradient descent, 0.1": {"optimizer": "sgd", "learning_rate": 0.1},
    "momentum, 0.03": {"optimizer": "momentum", "learning_rate": 0.03},
    "nesterov, 0.03": {"optimizer": "nesterov", "learning_rate": 0.03},
    "rmsprop": {"optimizer": "rmsprop"},
    "adamw, decay 0.01": {"optimizer": "adamw"},
    "learning rate 0.0003": {"learning_rate": 0.0003},
    "learning rate 0.003": {"learning_rate": 0.003},
    "exponential decay": {"schedule": "exponential"},
    "staircase decay": {"schedule": "staircase"},
    "piecewise decay": {"schedule": "piecewise"},
    "cosine": {"schedule": "cosine"},
    "cosine, warm-up 0.1": {"schedule": "cosine", "warmup": 0.1},
    "cosine with restarts": {"schedule": "restarts"},
    "one cycle, 0.003": {"schedule": "one_cycle", "learning_rate": 0.003},
    "reduce on plateau": {"schedule": "plateau", "decay_epochs": 2},
    "clip by value 0.1": {"clip": "value", "clip_at": 0.1},
    "clip by norm 1": {"clip": "norm"},
    "clip by global norm 1": {"clip": "global_norm"},
    "batch size 16": {"batch_size": 16},
    "batch size 256": {"batch_size": 256},
    "average of weights 0.99": {"ema": 0.99},
    "mixup 0.2": {"mixup": 0.2},
    "dropout 0.2": {"dropout": 0.2},
    "L1 0.00001": {"l1": 0.00001},
    "L2 0.0001": {"l2": 0.0001},
    "L1 and L2": {"l1": 0.00001, "l2": 0.0001},
    "batch normalisation": {"batch_norm": True},
    "early stopping, patience 4": {"patience": 4},
    "twice the epochs": {},
    "width x 2": {},
    "depth + 2": {},
    "gelu": {"activation": "gelu"},
    "silu": {"activation": "silu"},
    "residual": {"architecture": "residual"},
    "residual, depth 4": {"architecture": "residual", "depth": 4},
}
PICTURES: Mapping[str, Mapping[str, Any]] = {
    "small ResNet": {"architecture": "resnet", "batch_norm": True},
    "depthwise separable": {"architecture": "separable", "batch_norm": True},
    "flip": {"flip": "horizontal"},
    "rotation 10 degrees": {"rotation": 10.0},
    "zoom 0.1": {"zoom": 0.1},
    "shift 0.1": {"shift": 0.1},
    "crop 0.1": {"crop": 0.1},
    "contrast 0.2": {"contrast": 0.2},
    "cutout 0.25": {"cutout": 0.25},
    "RandAugment 0.2": {"randaugment": 0.2},
}
TABLES: Mapping[str, Mapping[str, Any]] = {
    "piecewise numbers": {"numbers": "piecewise"},
    "periodic numbers": {"numbers": "periodic"},
    "TabM, 16 members": {"architecture": "tabm"},
    "TabM, piecewise numbers": {"architecture": "tabm", "numbers": "piecewise"},
    "noise 0.05": {"noise": 0.05},
    "feature swap 0.1": {"feature_swap": 0.1},
}
TEXTS: Mapping[str, Mapping[str, Any]] = {
    "convolutions": {"text": "convolution"},
    "transformer": {"text": "transformer"},
    "word dropout 0.1": {"word_dropout": 0.1},
}


def changes(recipe: Recipe, schema: Schema) -> dict[str, dict[str, Any]]:
    """What is tried on such data, by name."""
    tried = dict(TRAINED)
    tried["twice the epochs"] = {"epochs": 2 * recipe.epochs}
    tried["width x 2"] = {"width": 2 * recipe.width}
    tried["depth + 2"] = {"depth": recipe.depth + 2}
    unsuited = ["label smoothing 0.1", "focal loss, gamma 2"]
    for name in unsuited if schema.task == "regression" else ["huber loss"]:
        del tried[name]
    tried |= PICTURES if schema.kind == "pictures" else TABLES
    if any(column.type == "text" for column in schema.columns):
        tried |= TEXTS
    return {"plain": {}} | {name: dict(values) for name, values in tried.items()}


def trained(
    development: Development, recipe: Recipe, workers: int
) -> dict[str, list[training.Run]]:
    """The runs of every technique, one a seed."""
    tried = changes(recipe, development.schema())
    items = [
        training.SeedRun(
            str(development.path),
            None,
            recipe.changed(values).network,
            recipe.changed(values).fit,
            seed,
            f"{name}, seed {seed}",
        )
        for name, values in tried.items()
        for seed in SEEDS
    ]
    with ProcessPool(workers) as pool:
        runs = pool.map(training.train, items, [item.name for item in items])
    count = len(SEEDS)
    return {name: runs[place * count :][:count] for place, name in enumerate(tried)}


def compared(
    runs: Mapping[str, list[training.Run]], development: Development, measure: Measure
) -> list[dict[str, Any]]:
    """One row a technique: its figure, the difference to the plain recipe, what it costs."""
    truth, importance = development.truth("validation")
    rows = []
    samples = {}
    for name, several in runs.items():
        predictions = np.stack([run.predictions for run in several])
        samples[name] = BOOTSTRAP.sample({"": measure.figure}, predictions, truth, importance)[""]
        difference = BOOTSTRAP.difference(samples[name], samples["plain"])
        rows.append(
            {
                "technique": name,
                "value": float(samples[name].value),
                "difference": difference.rounded(),
                "multiply_adds": several[0].multiply_adds,
                "parameters": several[0].parameters,
                "epochs": sum(run.epochs for run in several) / len(several),
                "diverged": sum(run.diverged for run in several),
            }
        )
    return rows


def table(rows: list[dict[str, Any]], measure: Measure) -> str:
    """The rows as Markdown."""
    reading = measure.reading
    lines = [
        f"| technique | {reading.title} | difference{reading.points} (95 % interval) "
        "| multiply-adds | epochs |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        told = row["difference"]
        value, low, high = (reading.difference(told[part]) for part in ("value", "low", "high"))
        span = "" if row["technique"] == "plain" else f"{value} ({low} to {high})"
        if row["diverged"]:
            span = f"{row['diverged']} of {len(SEEDS)} fits diverged"
        lines.append(
            f"| {row['technique']} | {reading.text(row['value'])} | {span} "
            f"| {row['multiply_adds']:,} | {row['epochs']:.0f} |"
        )
    return "\n".join(lines)


def together() -> str:
    """What was measured on every data set, a column each, as Markdown: shares as percentage points,
    proven differences in bold."""
    measured = {
        path.stem.removeprefix("techniques-"): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "benchmarks").glob("techniques-*.json"), reverse=True)
    }
    rows = {
        name: {row["technique"]: row for row in one["techniques"]} for name, one in measured.items()
    }
    titles = [
        f"{name}: {one['objective']}, plain {100 * rows[name]['plain']['value']:.1f} % | times the "
        "multiply-adds"
        for name, one in measured.items()
    ]
    lines = [f"| technique | {' | '.join(titles)} |", "|---" * (1 + 2 * len(rows)) + "|"]
    techniques = dict.fromkeys(name for held in rows.values() for name in held)
    del techniques["plain"]
    for technique in techniques:
        cells = [_cell(held.get(technique), held["plain"]) for held in rows.values()]
        lines.append(f"| {technique} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any] | None, plain: Mapping[str, Any]) -> str:
    if row is None:
        return " | "
    if row["diverged"]:
        return f"{row['diverged']} of {len(SEEDS)} diverged | "
    value, low, high = (100 * row["difference"][part] for part in ("value", "low", "high"))
    told = f"{value + 0.0:+.2f} ({low + 0.0:+.2f} to {high + 0.0:+.2f})"
    proven = low > 0 or high < 0
    times = row["multiply_adds"] / plain["multiply_adds"]
    return f"{f'**{told}**' if proven else told} | {times:.2g}"


def main() -> None:
    """Measure, print the table, write the JSON beside this module; or print all of them."""
    if sys.argv[1:] == ["--table"]:
        print(together())
        return
    with opened() as data:
        recipe = Recipe.of(data.raw["recipe"])
        if data.development.count("train") >= LARGE_BATCH:
            recipe = recipe.changed({"epochs": min(recipe.epochs, EPOCHS)})
        runs = trained(data.development, recipe, data.raw["run"]["workers"])
        rows = compared(runs, data.development, data.measure)
    print(table(rows, data.measure))
    told = {"recipe": recipe.model_dump(), "objective": data.measure.name, "techniques": rows}
    write("techniques", told)


if __name__ == "__main__":
    main()
