"""What tracking costs the fit loop: epochs a second with no journal, and with a journal and a live
follower that tells all three trackers, in turns within one run.

    .venv/bin/python -B -m benchmarks.tracking

The network is a multilayer perceptron on the digits, as small as fits come, so an epoch takes some
ten milliseconds and what is told of it weighs most. Fits run one at a time, and as many at a time
as there are cores, when the follower has none for itself. In the turns without a journal it is
stopped, so that its idling is not counted for free. Written beside this module as tracking.json.
"""

import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, call, clone
from models.layout import Layout
from models.settings import Recipe
from models.training import encoded
from pipeline import journal
from pipeline.artifacts import Json
from pipeline.params_file import read_raw
from pipeline.workers import ProcessPool
from tracking import keeping
from tracking.delivery import Progress
from tracking.tracker import Place

EPOCHS = 150
"""Of a fit; the first, in which everything is traced, does not count."""
TURNS = 12
"""Of each way, after one that does not count."""
TRACKERS = ("tensorboard", "mlflow", "dvclive")
RUN = "20000101-000000-1"
READY = 30.0
"""Seconds that the follower is given to have connected to everything."""


@dataclass(frozen=True)
class Timed:
    """A fit to be timed."""

    development: str
    recipe: Recipe
    journal: str | None
    name: str


def timed(item: Timed) -> float:
    """Piece: epochs a second of one fit."""
    from models import criterion, determinism, fit, network

    os.environ.pop(journal.FOLDER, None)
    if item.journal is not None:
        os.environ[journal.FOLDER] = item.journal
        journal.enter("baseline")
    data = encoded(item.development)
    determinism.start(1)
    # As a table: without convolutions an epoch is shortest.
    train, validation = (rows[:].reshape(len(rows), -1) for rows in (data.train, data.validation))
    shape = train.shape[1:]
    layout = Layout(shape[0], ())
    built = network.build(
        shape, data.target.outputs, item.recipe.network, 1, layout, data.target.task
    )
    plain = criterion.trained_by(data.target, item.recipe.fit)
    ends: list[float] = []

    def measure(*arguments: Any) -> tuple[float, float | None]:
        # Called after every epoch; from one to the next is an epoch with all that is told of it.
        ends.append(time.perf_counter())
        return plain.measure(*arguments)

    with journal.given(item.recipe.network.model_dump()):
        fit.fit(
            built,
            (train, data.train_codes),
            (validation, data.validation_codes),
            item.recipe.fit,
            1,
            name=item.name,
            criterion=replace(plain, measure=measure),
        )
    # The last is of the weights that are kept.
    return (EPOCHS - 1) / (ends[EPOCHS - 1] - ends[0])


def compared(development: str, recipe: Recipe, place: Place, workers: int) -> dict[str, Any]:
    """Epochs a second without and with tracking, in turns, and their ratio by turn."""
    follower = keeping.start(place, TRACKERS, subprocess.PIPE)
    assert follower.stdin is not None
    rates: dict[str | None, list[float]] = {None: [], str(place.journal): []}
    turn = 0
    with ProcessPool(workers) as pool:

        def once(told: str | None) -> float:
            nonlocal turn
            turn += 1
            items = [
                Timed(development, recipe, told, f"turn {turn} worker {n}") for n in range(workers)
            ]
            return statistics.mean(pool.map(timed, items, [item.name for item in items]))

        once(str(place.journal))
        time.sleep(READY)
        for number in range(TURNS):
            ways = list(rates)
            # Whatever the machine does meanwhile must not always meet the same way.
            for way in ways if number % 2 else ways[::-1]:
                os.kill(follower.pid, signal.SIGSTOP if way is None else signal.SIGCONT)
                rates[way].append(once(way))
        os.kill(follower.pid, signal.SIGCONT)
    journal.tell("run ended", state="finished", lock=None)
    began = time.perf_counter()
    follower.stdin.close()
    follower.wait()
    plain, told = rates.values()
    ratios = sorted(with_it / without for without, with_it in zip(plain, told, strict=True))
    return {
        "workers": workers,
        "epochs_per_second": round(statistics.median(plain), 1),
        "epochs_per_second_told": round(statistics.median(told), 1),
        "ratio_of_medians": round(statistics.median(told) / statistics.median(plain), 4),
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_quartiles": [round(ratios[TURNS // 4], 4), round(ratios[-1 - TURNS // 4], 4)],
        "seconds_of_the_follower_after_the_end": round(time.perf_counter() - began, 1),
        "all_handed_on": all(Progress.read(place.journal, name).whole for name in TRACKERS),
    }


def table(found: list[Mapping[str, Any]]) -> str:
    """As Markdown, a line for each number of fits at a time."""
    lines = [
        "| fits at a time | epochs/s | with three trackers | ratio, median | quartiles |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        low, high = one["ratio_quartiles"]
        lines.append(
            f"| {one['workers']} | {one['epochs_per_second']} | {one['epochs_per_second_told']} "
            f"| {one['ratio_median']:.3f} | {low:.3f} to {high:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the JSON beside this module."""
    found: list[Mapping[str, Any]] = []
    with clone() as root:
        for stage in ("ingest", "split"):
            call(root, "./fettle", "stage", stage)
        raw = read_raw(root / "params.yaml")
        recipe = Recipe.of(raw["recipe"]).changed({"epochs": EPOCHS, "patience": None})
        development = str(root / "artifacts" / "split" / "development")
        for workers in (1, os.cpu_count() or 1):
            place = Place(root, f"{RUN}{workers}")
            place.journal.mkdir(parents=True)
            Json(place.journal / "run.json").write({"trackers": TRACKERS, "mlflow": ""})
            os.environ[journal.FOLDER] = str(place.journal)
            found.append(compared(development, recipe, place, workers))
            os.environ.pop(journal.FOLDER)
    print(table(found))
    path = Path(ROOT) / "benchmarks" / "tracking.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
