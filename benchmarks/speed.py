"""`make bench`, first part: searching and training, against Keras Tuner and Keras.

    python -m benchmarks.speed                  a table of the shape of Adult, made from a seed
    python -m benchmarks.speed FILE [OPTIONS]   a table of one's own, as for `./fettle init`

The alternative is `benchmarks/plain.py`. Both are measured in one run, in turns (alternative,
fettle, alternative, ...), each time in a new process; the medians make the ratios. Both search the
same space on the same encoded rows with as many trials and epochs, and none is stopped early; both
train the same networks on the same arrays, with validation after every epoch. The start of a
process and the import of TensorFlow are measured apart. How many trials, epochs and turns:
`FETTLE_BENCH_TRIALS`, `FETTLE_BENCH_EPOCHS`, `FETTLE_BENCH_TURNS`.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench import ROOT, keep
from benchmarks.opened import opened
from benchmarks.plain import examples

TRIALS = int(os.environ.get("FETTLE_BENCH_TRIALS", "12"))
EPOCHS = int(os.environ.get("FETTLE_BENCH_EPOCHS", "10"))
TURNS = int(os.environ.get("FETTLE_BENCH_TURNS", "3"))
SPACE: Mapping[str, Any] = {
    "learning_rate": {"float": [0.0003, 0.01], "log": True},
    "width": {"choice": [64, 128, 256]},
    "depth": {"choice": [1, 2, 3]},
    "dropout": {"float": [0.05, 0.3]},
}
TRAINED = (("dense", 128), ("dense", 32), ("pictures", 128))
"""Kinds of networks and batch sizes that are trained."""
AGREED: Mapping[str, Any] = {"batch_size": 128, "epochs": EPOCHS, "patience": None}


def made(path: Path, rows: int = 32_561) -> None:
    """Write a table of the shape of Adult: 6 numbers, 8 categories, two classes."""
    generator = np.random.default_rng(1)
    numbers = generator.normal(size=(rows, 6)).round(3)
    levels = (9, 16, 7, 15, 6, 5, 2, 42)
    categories = [generator.integers(count, size=rows) for count in levels]
    score = numbers[:, 0] + numbers[:, 1] * (categories[0] % 2) + generator.normal(size=rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = [f"number_{n}" for n in range(6)] + [f"category_{n}" for n in range(len(levels))]
        writer.writerow([*names, "label"])
        for place in range(rows):
            told = [f"level {column[place]}" for column in categories]
            writer.writerow([*numbers[place], *told, "yes" if score[place] > 1 else "no"])


@contextmanager
def table() -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
    """The name of the table, the folder of its development set, and params.yaml's content."""
    if len(sys.argv) > 1:
        with opened() as data:
            yield Path(sys.argv[1]).name, data.development.path, data.raw
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.csv"
        made(path)
        with opened([str(path), "--target", "label", "--yes"]) as data:
            yield "a made table of Adult's shape", data.development.path, data.raw


def ready(place: int) -> float:
    """Piece: seconds until a worker has imported what it trains with."""
    begun = time.perf_counter()
    from models.fitting import determinism

    determinism.start(1)
    # So that one worker does not take both.
    time.sleep(max(0.0, 3 - (time.perf_counter() - begun)))
    return time.perf_counter() - begun


def search(folder: str, raw: str, seed: int) -> dict[str, float]:
    """fettle's random search on the development set in a folder, with two workers."""
    from dataset.examples import Development
    from metrics.objective import Objective
    from models.budget import Budget
    from models.settings import Recipe
    from pipeline.params_file import checked
    from pipeline.runners.processes import ProcessPool
    from tasks import search_rounds
    from tasks.search import SearchParams

    content = json.loads(Path(raw).read_text(encoding="utf-8"))
    told = {
        "method": "random",
        "space": dict(SPACE),
        "set": {},
        "seed": seed,
        "validation": "holdout",
        "finder": False,
        "hopeless": False,
        "share": 1.0,
        "budget": {"trials": TRIALS, "epochs": None, "minutes": None},
    }
    params = checked("search", SearchParams, content["search"] | told)
    recipe = Recipe.of(content["recipe"]).changed(AGREED)
    development = Development(Path(folder))
    objective = Objective.model_validate_json(
        json.dumps(content["objective"] | {"metric": "accuracy"})
    )
    held = search_rounds.held_out(development, params.validation)
    free = Budget(epochs=None, minutes=None)
    limits = search_rounds.limits_of(free, params, params.space, recipe, len(held))
    with ProcessPool(2) as pool:
        begun = time.perf_counter()
        pool.map(ready, [0, 1], ["ready", "ready"])
        ready(0)
        imported = time.perf_counter() - begun
        begun = time.perf_counter()
        trials = search_rounds.run(
            development, params.space, held, objective, recipe, limits, params, pool
        )
        taken = time.perf_counter() - begun
    best = max(trial.score for trial in trials if trial.score is not None)
    return {"import": imported, "seconds": taken, "best": best}


def training(kind: str, batch: int, epochs: int) -> dict[str, float]:
    """fettle's fit loop on what `plain.training` trains."""
    from models.fitting import determinism

    determinism.start(1)
    from models.fitting import fit
    from models.networks import network
    from models.settings import Recipe
    from pipeline.params_file import read_raw

    inputs, codes = examples(kind)
    count = len(inputs) * 4 // 5
    changes = {"width": 64 if kind == "dense" else 16, "depth": 2, "batch_size": batch}
    recipe = Recipe.of(read_raw(ROOT / "params.yaml")["recipe"]).changed(
        {**AGREED, **changes, "epochs": epochs}
    )
    for seed in (1, 2):
        begun = time.perf_counter()
        determinism.start(seed)
        built = network.build(inputs.shape[1:], 10, recipe.network, seed)
        ends: list[float] = []
        watched = _timed(ends)
        fit.fit(
            built,
            (inputs[:count], codes[:count]),
            (inputs[count:], codes[count:]),
            recipe.fit,
            seed,
            name=kind,
            criterion=watched,
        )
        taken = time.perf_counter() - begun
    # The last figure is of the weights that are kept, after the last epoch.
    return {"fit": taken, "epoch": (ends[epochs - 1] - ends[0]) / (epochs - 1), "examples": count}


def _timed(ends: list[float]) -> Any:
    """The standard criterion, which looks at the clock whenever an epoch was validated."""
    from dataclasses import replace

    from models.fitting.criterion import CLASSIFY

    def measure(*told: Any) -> tuple[float, float | None]:
        found = CLASSIFY.measure(*told)
        ends.append(time.perf_counter())
        return found

    return replace(CLASSIFY, measure=measure)


def alone(module: str, *told: object) -> dict[str, float]:
    """What a module of the benchmarks finds in a process of its own."""
    command = [sys.executable, "-B", "-m", f"benchmarks.{module}", *map(str, told)]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "process": time.perf_counter() - begun}


def in_turns(
    plain: Sequence[object], ours: Sequence[object], *, seeded: bool = False
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of the alternative and of fettle; `seeded`: the number of the turn is a last word."""
    found: tuple[list[dict[str, float]], list[dict[str, float]]] = [], []
    for turn in range(1, TURNS + 1):
        last = [turn] if seeded else []
        found[0].append(alone("plain", *plain, *last))
        found[1].append(alone("speed", "--alone", *ours, *last))
    medians = [
        {name: statistics.median(one[name] for one in side) for name in side[0]} for side in found
    ]
    return medians[0], medians[1]


def searches() -> dict[str, Any]:
    """Trials a minute of both."""
    from models import training

    with table() as (name, folder, raw), tempfile.TemporaryDirectory() as scratch:
        data = training.encoded(str(folder))
        arrays, content = Path(scratch) / "arrays.npz", Path(scratch) / "raw.json"
        np.savez(
            arrays,
            inputs=data.train[:],
            codes=data.train_codes,
            other_inputs=data.validation[:],
            other_codes=data.validation_codes,
        )
        content.write_text(json.dumps(raw), encoding="utf-8")
        plain, ours = in_turns(
            ["search", arrays, TRIALS, EPOCHS], ["search", folder, content], seeded=True
        )
    figures: dict[str, Any] = {
        f"search on {name}: {len(data.train)} rows, {TRIALS} trials of {EPOCHS} epochs": None
    }
    for who, found in (("keras tuner", plain), ("fettle", ours)):
        figures[f"  {who}, trials a minute"] = 60 * TRIALS / found["seconds"]
        figures[f"  {who}, process and imports, s"] = found["process"] - found["seconds"]
        figures[f"  {who}, best accuracy"] = found["best"]
    figures["search: trials a minute, fettle over keras tuner"] = plain["seconds"] / ours["seconds"]
    return figures


def trainings() -> dict[str, float]:
    """Examples a second of both, in a process's second fit and in one of its later epochs."""
    figures: dict[str, float] = {}
    for kind, batch in TRAINED:
        told = ["training", kind, batch, EPOCHS]
        plain, ours = in_turns(told, told)
        for who, found in (("keras", plain), ("fettle", ours)):
            steady = found["examples"] / found["epoch"]
            figures[f"  {kind}, batch {batch}, {who}, examples a second"] = steady
        for what, when in (("epoch", "in steady state"), ("fit", f"in a fit of {EPOCHS} epochs")):
            name = f"training: {kind}, batch {batch}, {when}, fettle over keras"
            figures[name] = plain[what] / ours[what]
    return figures


def main() -> None:
    """Print the table and keep it in benchmarks/results.json; `--alone`: one measurement."""
    if sys.argv[1:2] == ["--alone"]:
        what, *told = sys.argv[2:]
        if what == "search":
            print(json.dumps(search(told[0], told[1], int(told[2]))))
        else:
            print(json.dumps(training(told[0], int(told[1]), int(told[2]))))
        return
    keep({**searches(), **trainings()})


if __name__ == "__main__":
    main()
