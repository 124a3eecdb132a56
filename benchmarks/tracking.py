"""What tracking costs the fit loop: the time of an epoch with no journal, and with a journal and a
live follower that tells all three trackers, in turns within one fit.

    .venv/bin/python -B -m benchmarks.tracking

The network is a multilayer perceptron on the digits, as small as fits come, so an epoch takes some
ten milliseconds and what is told of it weighs most. A long fit tells in every other slot of two
seconds and is silent in between, when the follower is stopped, so that its idling is not counted
for free. Each slot is compared with its neighbour: whatever else the machine does is in both. Fits
run one at a time, and as many at a time as there are cores, when the follower has none for itself.
Written beside this module as tracking.json.
"""

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

SLOT = 2.0
"""Seconds in which fits tell, and then do not."""
MINUTES = 2.5
"""Of each fit; repeated so many times:"""
REPEATS = 3
WARM = 20.0
"""Seconds from the start of fits and follower that do not count: both load what they need."""
EPOCHS = 10_000
"""At the most."""
TRACKERS = ("tensorboard", "mlflow", "dvclive")
RUN = "20000101-000000-"


def tells(moment: float) -> bool:
    """Whether fits tell at a time of the clock, which all processes share."""
    return int(moment / SLOT) % 2 == 0


@dataclass(frozen=True)
class Timed:
    """A fit to be timed."""

    development: str
    recipe: Recipe
    journal: str
    name: str


def timed(item: Timed) -> list[float]:
    """Piece: when each epoch of a fit ended, by the clock."""
    from models import criterion, determinism, fit, network

    data = encoded(item.development)
    determinism.start(1)
    # As a table: without convolutions an epoch is shortest.
    train, validation = (rows[:].reshape(len(rows), -1) for rows in (data.train, data.validation))
    shape = train.shape[1:]
    built = network.build(
        shape, data.target.outputs, item.recipe.network, 1, Layout(shape[0], ()), data.target.task
    )
    plain = criterion.trained_by(data.target, item.recipe.fit)
    ends: list[float] = []

    def measure(*arguments: Any) -> tuple[float, float | None]:
        # Called after every epoch; from one to the next is an epoch with all that is told of it.
        ends.append(time.time())
        if tells(ends[-1]):
            os.environ[journal.FOLDER] = item.journal
        else:
            os.environ.pop(journal.FOLDER, None)
        return plain.measure(*arguments)

    os.environ[journal.FOLDER] = item.journal
    journal.enter("baseline")
    with journal.given(item.recipe.network.model_dump()):
        fit.fit(
            built,
            (train, data.train_codes),
            (validation, data.validation_codes),
            item.recipe.fit,
            1,
            name=item.name,
            criterion=replace(plain, measure=measure),
            minutes=MINUTES,
        )
    return ends


def slots(ends: Sequence[float], since: float) -> dict[int, float]:
    """Seconds an epoch by the number of the slot, of the epochs that lie within one."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for begin, end in zip(ends, ends[1:], strict=False):
        if begin > since and int(begin / SLOT) == int(end / SLOT):
            found[int(begin / SLOT)].append(end - begin)
    return {number: statistics.mean(epochs) for number, epochs in found.items()}


def ratios(found: Mapping[int, float]) -> list[float]:
    """Speed of each slot that is told over that of the silent one behind it, and of the next
    over that of the silent one before: whatever drifts goes both ways."""
    return [
        found[number + other] / found[number]
        for number in found
        if number % 2 == 0
        for other in (-1, 1)
        if number + other in found
    ]


def turn(follower: "subprocess.Popen[bytes]", over: threading.Event) -> None:
    """Stop the follower in every silent slot, and let it go on in the others."""
    while not over.wait(0.01):
        follower.send_signal(signal.SIGCONT if tells(time.time()) else signal.SIGSTOP)
    follower.send_signal(signal.SIGCONT)


def compared(development: str, recipe: Recipe, place: Place, workers: int) -> dict[str, Any]:
    """Seconds an epoch without and with tracking, and their ratio by slots."""
    place.journal.mkdir(parents=True)
    Json(place.journal / "run.json").write({"trackers": TRACKERS, "mlflow": ""})
    follower = keeping.start(place, TRACKERS, subprocess.PIPE)
    assert follower.stdin is not None
    began, over = time.time(), threading.Event()
    turns = threading.Thread(target=turn, args=(follower, over))
    names = [f"worker {number}" for number in range(workers)]
    folder = str(place.journal)
    with ProcessPool(workers) as pool:
        threading.Timer(WARM, turns.start).start()
        ended = pool.map(timed, [Timed(development, recipe, folder, n) for n in names], names)
    over.set()
    turns.join()
    closed = time.perf_counter()
    follower.stdin.close()
    follower.wait()
    every = [slots(ends, began + WARM + SLOT) for ends in ended]
    return {
        "ratios": [ratio for found in every for ratio in ratios(found)],
        "silent": [value for found in every for number, value in found.items() if number % 2],
        "told": [value for found in every for number, value in found.items() if number % 2 == 0],
        "seconds_after_the_end": time.perf_counter() - closed,
        "all_handed_on": all(Progress.read(place.journal, name).whole for name in TRACKERS),
    }


def summed_up(workers: int, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the repetitions say, each by itself and all together."""
    each = [sorted(run["ratios"]) for run in runs]
    every = sorted(ratio for run in each for ratio in run)
    return {
        "fits_at_a_time": workers,
        "ms_an_epoch": round(1000 * statistics.median(x for run in runs for x in run["silent"]), 2),
        "ms_an_epoch_told": round(
            1000 * statistics.median(x for run in runs for x in run["told"]), 2
        ),
        "speed_ratio_median": round(statistics.median(every), 4),
        "speed_ratio_quartiles": [
            round(every[len(every) // 4], 4),
            round(every[-1 - len(every) // 4], 4),
        ],
        "speed_ratio_median_by_repetition": [round(statistics.median(run), 4) for run in each],
        "pairs_of_slots": len(every),
        "seconds_of_the_follower_after_the_end": [
            round(run["seconds_after_the_end"], 1) for run in runs
        ],
        "all_handed_on": all(run["all_handed_on"] for run in runs),
    }


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown, a line for each number of fits at a time."""
    lines = [
        "| fits at a time | ms an epoch | with three trackers | speed, ratio | quartiles "
        "| by repetition |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        low, high = one["speed_ratio_quartiles"]
        each = ", ".join(f"{ratio:.3f}" for ratio in one["speed_ratio_median_by_repetition"])
        lines.append(
            f"| {one['fits_at_a_time']} | {one['ms_an_epoch']} | {one['ms_an_epoch_told']} "
            f"| {one['speed_ratio_median']:.3f} | {low:.3f} to {high:.3f} | {each} |"
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
        for workers in dict.fromkeys((1, os.cpu_count() or 1)):
            runs = [
                compared(development, recipe, Place(root, f"{RUN}{workers}{number}"), workers)
                for number in range(REPEATS)
            ]
            found.append(summed_up(workers, runs))
    print(table(found))
    path = ROOT / "benchmarks" / "tracking.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
