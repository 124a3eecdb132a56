"""Grid, random, Bayesian and Hyperband search with the same number of trained epochs, on a data set
of one's own.

    .venv/bin/python -B -m benchmarks.searches                  the digits
    .venv/bin/python -B -m benchmarks.searches FILE [OPTIONS]   as for `./fettle init`

Every method has the same settings to vary but grid, which has as many values of fewer settings as
the epochs pay for: unfinished, it would only have seen a corner. Trials are scored on validation,
the holdout stays closed, and the best trial's figure is what the method found; three seeds of the
proposals say how much of it is luck. Written beside this module as searches-NAME.json.
"""

import statistics
import time
from collections.abc import Mapping
from typing import Any, get_args

from benchmarks.opened import opened, write
from dataset.examples import Development
from metrics.objective import Measure, Objective
from models.budget import Budget
from models.search.rounds import Method
from models.settings import Recipe
from pipeline.params_file import checked
from pipeline.runners.processes import ProcessPool
from tasks import search_rounds
from tasks.search import SearchParams

SEEDS = (1, 2, 3)
EPOCHS = 9
"""Of a trial."""
LONGEST = 12
"""Of hyperband's longest trials: its brackets then come to 102 epochs."""
SPENT = 108
"""Epochs of one search at the most, over all of its trials."""
SPACE: Mapping[str, Any] = {
    "learning_rate": {"float": [0.0003, 0.01], "log": True},
    "width": {"choice": [64, 128, 256]},
    "depth": {"choice": [2, 3, 4]},
    "batch_size": {"choice": [128, 256]},
    "dropout": {"float": [0.0, 0.3]},
}
GRID: Mapping[str, Any] = {
    "learning_rate": {"choice": [0.0003, 0.001, 0.003]},
    "width": {"choice": [64, 256]},
    "dropout": {"choice": [0.0, 0.2]},
}
"""Twelve combinations."""
NUMBERS: Mapping[str, Any] = {"numbers": {"choice": ["plain", "piecewise"]}}
"""Of a table with numbers: what mattered most there, see docs/techniques.md."""


def spaces(*, numbers: bool) -> dict[str, dict[str, Any]]:
    """What each method varies."""
    more = NUMBERS if numbers else {}
    coarse = {**GRID, **more}
    if numbers:
        del coarse["dropout"]
    return {
        method: coarse if method == "grid" else {**SPACE, **more} for method in get_args(Method)
    }


def searched(
    development: Development,
    raw: Mapping[str, Any],
    method: str,
    space: Mapping[str, Any],
    seed: int,
    objective: Objective,
    pool: ProcessPool,
) -> dict[str, Any]:
    """What one search found, and what it cost."""
    values = raw["search"] | {
        "method": method,
        "space": space,
        "set": {},
        "seed": seed,
        "validation": "holdout",
        "finder": False,
        "hopeless": False,
        "budget": {
            "trials": None if method in ("grid", "hyperband") else SPENT // EPOCHS,
            "epochs": SPENT,
            "minutes": None,
        },
    }
    params = checked("search", SearchParams, values)
    epochs = LONGEST if method == "hyperband" else EPOCHS
    recipe = Recipe.of(raw["recipe"]).changed({"epochs": epochs, "patience": None})
    held = search_rounds.held_out(development, params.validation)
    free = Budget(epochs=None, minutes=None)
    limits = search_rounds.limits_of(free, params, params.space, recipe, len(held))
    began = time.perf_counter()
    trials = search_rounds.run(
        development, params.space, held, objective, recipe, limits, params, pool
    )
    taken = time.perf_counter() - began
    sign = objective.metric_for(development.target()).sign
    scores = [(sign * trial.score, trial) for trial in trials if trial.score is not None]
    _, best = max(scores, key=lambda scored: scored[0])
    return {
        "method": method,
        "seed": seed,
        "best": best.score,
        "values": dict(best.values),
        "trials": len(trials),
        "epochs": sum(trial.epochs for trial in trials),
        "examples": sum(run.examples for trial in trials for run in trial.runs),
        "multiply_adds": best.runs[0].multiply_adds,
        "seconds": round(taken, 1),
    }


def table(found: list[dict[str, Any]], measure: Measure) -> str:
    """The searches as Markdown, a line a method."""
    reading = measure.reading
    seeds = ", ".join(map(str, SEEDS))
    lines = [
        f"| method | best {reading.title}, mean | by seed {seeds} | trials | epochs "
        "| million examples | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(one["method"] for one in found):
        own = [one for one in found if one["method"] == method]
        best = [one["best"] for one in own]
        counts = {
            name: statistics.mean(one[name] for one in own)
            for name in ("trials", "epochs", "examples", "seconds")
        }
        lines.append(
            f"| {method} | {reading.text(statistics.mean(best))} "
            f"| {', '.join(map(reading.text, best))} "
            f"| {counts['trials']:.0f} | {counts['epochs']:.0f} "
            f"| {counts['examples'] / 1e6:.2f} | {counts['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the JSON beside this module."""
    with opened() as data:
        numbers = any(column.type == "numeric" for column in data.development.schema().columns)
        with ProcessPool(data.raw["run"]["workers"]) as pool:
            found = [
                searched(data.development, data.raw, method, space, seed, data.objective, pool)
                for seed in SEEDS
                for method, space in spaces(numbers=numbers).items()
            ]
    print(table(found, data.measure))
    told = {"recipe": data.raw["recipe"], "objective": data.measure.name, "searches": found}
    write("searches", told)


if __name__ == "__main__":
    main()
