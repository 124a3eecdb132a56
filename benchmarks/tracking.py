"""What tracking costs the fit loop: the time of an epoch with no journal, and with a journal and a
live follower that tells all three trackers, in turns within one fit.

    .venv/bin/python -B -m benchmarks.tracking

The network is a multilayer perceptron on the digits, as small as fits come, so an epoch takes some
ten milliseconds and what is told of it weighs most. A long fit tells in every other slot of two
seconds and is silent in between, when the follower is stopped, so that its idling is not counted
for free. Each slot is compared with its neighbour: whatever else the machine does is in both. Fits
run one at a time, and as many at a time as there are cores, when the follower has none for itself.

By the clock all of it counts, and whatever else the machine does. By computing time only what fits
do themselves counts, and what others do hardly matters; the follower's share of the cores is then
the most that it can take from fits, were it their equal.
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
from itertools import pairwise
from typing import Any

import psutil

from benchmarks.bench import ROOT, call, clone
from models.networks.layout import Layout
from models.settings import Recipe
from models.training import encoded
from pipeline import journal
from pipeline.artifacts import Json
from pipeline.params_file import read_raw
from pipeline.runners.processes import ProcessPool
from tracking import keeping
from tracking.delivery import Progress
from tracking.tracker import Place

SLOT = 2.0
"""Seconds in which fits tell, and then do not."""
MINUTES = 1.2
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


Moment = tuple[float, float]
"""Seconds of the clock, and seconds that all threads of a process have computed."""


def timed(item: Timed) -> list[Moment]:
    """Piece: when each epoch of a fit ended."""
    from models.fitting import criterion, determinism, fit
    from models.networks import network

    data = encoded(item.development)
    determinism.start(1)
    # As a table: without convolutions an epoch is shortest.
    train, validation = (rows[:].reshape(len(rows), -1) for rows in (data.train, data.validation))
    shape = train.shape[1:]
    built = network.build(
        shape, data.target.outputs, item.recipe.network, 1, Layout(shape[0], ()), data.target.task
    )
    plain = criterion.trained_by(data.target, item.recipe.fit)
    ends: list[Moment] = []

    def measure(*arguments: Any) -> tuple[float, float | None]:
        # Called after every epoch; from one to the next is an epoch with all that is told of it.
        ends.append((time.time(), time.process_time()))
        if tells(ends[-1][0]):
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


def slots(ends: Sequence[Moment], since: float) -> dict[int, Moment]:
    """Seconds an epoch, of the clock and of all threads, by the number of the slot, of the epochs
    that lie within one."""
    found: defaultdict[int, list[Moment]] = defaultdict(list)
    for (begin, used), (end, used_then) in pairwise(ends):
        if begin > since and int(begin / SLOT) == int(end / SLOT):
            found[int(begin / SLOT)].append((end - begin, used_then - used))
    return {
        number: (statistics.mean(one for one, _ in epochs), statistics.mean(x for _, x in epochs))
        for number, epochs in found.items()
    }


def ratios(found: Mapping[int, Moment], kind: int) -> list[float]:
    """Speed of each slot that is told over that of the silent ones before and behind it: whatever
    drifts goes both ways. `kind`: 0 by the clock, 1 by the time of all threads."""
    return [
        found[number + other][kind] / found[number][kind]
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
    load = os.getloadavg()[0]
    process = psutil.Process(follower.pid)
    used: list[float] = []

    def spent() -> None:
        used.append(sum(process.cpu_times()[:2]))

    def warm() -> None:
        spent()
        turns.start()

    with ProcessPool(workers) as pool:
        threading.Timer(WARM, warm).start()
        ended = pool.map(timed, [Timed(development, recipe, folder, n) for n in names], names)
        spent()
    over.set()
    turns.join()
    closed = time.perf_counter()
    follower.stdin.close()
    follower.wait()
    every = [slots(ends, began + WARM + SLOT) for ends in ended]
    lasted = max(ends[-1][0] for ends in ended) - began - WARM
    return {
        "load": load,
        "ratios": [ratio for found in every for ratio in ratios(found, 0)],
        "computing": [ratio for found in every for ratio in ratios(found, 1)],
        "silent": [value for found in every for number, (value, _) in found.items() if number % 2],
        "told": [
            value for found in every for number, (value, _) in found.items() if not number % 2
        ],
        # Of the slots in which it is not stopped, half of the time.
        "follower": (used[1] - used[0]) / (lasted / 2) / (os.cpu_count() or 1),
        "seconds_after_the_end": time.perf_counter() - closed,
        "all_handed_on": all(Progress.read(place.journal, name).whole for name in TRACKERS),
    }


def summed_up(workers: int, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the repetitions say, each by itself and all together."""
    every = sorted(ratio for run in runs for ratio in run["ratios"])
    computing = sorted(ratio for run in runs for ratio in run["computing"])
    return {
        "fits_at_a_time": workers,
        "ms_an_epoch": round(1000 * statistics.median(x for run in runs for x in run["silent"]), 2),
        "ms_an_epoch_told": round(
            1000 * statistics.median(x for run in runs for x in run["told"]), 2
        ),
        "speed_ratio_median": round(statistics.median(every), 4),
        "speed_ratio_quartiles": quartiles(every),
        "speed_ratio_median_by_repetition": [
            round(statistics.median(run["ratios"]), 4) for run in runs
        ],
        "computing_ratio_median": round(statistics.median(computing), 4),
        "computing_ratio_quartiles": quartiles(computing),
        "computing_ratio_median_by_repetition": [
            round(statistics.median(run["computing"]), 4) for run in runs
        ],
        "follower_share_of_the_cores": [round(run["follower"], 4) for run in runs],
        "pairs_of_slots": len(every),
        "load_average_before": [round(run["load"], 1) for run in runs],
        "seconds_of_the_follower_after_the_end": [
            round(run["seconds_after_the_end"], 1) for run in runs
        ],
        "all_handed_on": all(run["all_handed_on"] for run in runs),
    }


def quartiles(ordered: Sequence[float]) -> list[float]:
    """The lower and the upper one of sorted values."""
    return [round(ordered[len(ordered) // 4], 4), round(ordered[-1 - len(ordered) // 4], 4)]


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown, a line for each number of fits at a time."""
    lines = [
        "| fits at a time | ms an epoch | told | speed by the clock | quartiles "
        "| speed by computing time | quartiles | follower, share of the cores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        cells = [one[name] for name in ("fits_at_a_time", "ms_an_epoch", "ms_an_epoch_told")]
        for kind in ("speed", "computing"):
            low, high = one[f"{kind}_ratio_quartiles"]
            cells += [f"{one[f'{kind}_ratio_median']:.3f}", f"{low:.3f} to {high:.3f}"]
        share = statistics.median(one["follower_share_of_the_cores"])
        lines.append("| " + " | ".join(map(str, [*cells, f"{100 * share:.1f} %"])) + " |")
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
