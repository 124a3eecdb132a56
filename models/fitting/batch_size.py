"""How fast batches of a size train, what they need, and what they do to what is learned.

For the study of batch sizes alone: nothing here is part of a stage, since a clock and a memory
meter may not decide a result. Shallue et al., "Measuring the effects of data parallelism on neural
network training", JMLR 2019: a size is chosen for speed, then the learning rate is tuned for it.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from models import training
from models.fitting import determinism
from models.fitting.rows import IN_MEMORY_BYTES, Rows
from models.settings import Recipe
from pipeline.errors import FettleError

SMALLEST, LARGEST = 16, 4096
"""Sizes that are measured, by doubling."""
GAIN = 0.1
"""Speed that a doubling has to gain."""
TIMED = 8
"""Epochs that are timed, after one that warms up."""
ROWS = 20_000
"""Rows of an epoch that is timed, where there are so many, or eight batches."""
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Learning rates tried, about the one scaled by the square root."""
SAME = 1.1
"""Rates closer than this factor are one."""
HIGHEST = 10.0
"""The highest learning rate that there is."""
BANDS = {"small": (1, 64), "middle": (64, 256), "large": (256, 1 << 17)}
"""Of sizes, from the first up to below the second."""
MIB = 1 << 20


def sizes(rows: int) -> tuple[int, ...]:
    """16, 32, … up to 4096 or the number of training rows; the rows alone where they are fewer."""
    doubled = [SMALLEST << place for place in range((LARGEST // SMALLEST).bit_length())]
    return tuple(size for size in doubled if size <= rows) or (rows,)


@dataclass(frozen=True)
class PaceRun:
    """A batch size to be timed, in a process that did nothing else before."""

    development: str
    recipe: Recipe
    size: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Pace:
    """What the clock and the memory meter said of a batch size."""

    size: int
    speeds: tuple[float, ...]
    """Examples a second of every timed epoch, over all seeds."""
    peak: int
    """Bytes that the process held at the most, TensorFlow and the data included."""

    @property
    def speed(self) -> float:
        """The median, examples a second."""
        return median(self.speeds)


def pace(item: PaceRun) -> Pace:
    """Piece: train with one batch size for a few epochs by the fit loop, and look at the clock."""
    data = training.encoded(item.development)
    from models.fitting import criterion, fit
    from models.fitting.mixing import Mixing
    from models.networks import network

    count = _timed_rows(data.train, item.size)
    weights = None if data.train_weights is None else data.train_weights[:count]
    changes: dict[str, Any] = {
        "batch_size": item.size,
        "epochs": 1 + TIMED,
        "patience": None,
        # So small that no size diverges; the clock does not mind.
        "learning_rate": 1e-6,
    }
    settings = item.recipe.changed(changes).fit
    plain = criterion.trained_by(data.target, settings)
    mixing = Mixing(settings.mixup, data.target.task, item.seeds[0]) if settings.mixup else None
    speeds: list[float] = []
    for seed in item.seeds:
        determinism.start(seed)
        built = network.build(
            data.shape,
            data.target.outputs,
            item.recipe.network,
            seed,
            data.layout,
            data.target.task,
        )
        watch = _Stopwatch(plain.measure)
        fit.fit(
            built,
            (data.train[:count], data.train_codes[:count]),
            (data.validation[:1], data.validation_codes[:1]),
            settings,
            seed,
            name=f"batches of {item.size}",
            criterion=replace(plain, measure=watch),
            weights=(weights, None),
            mixing=mixing,
        )
        speeds += [count / seconds for seconds in watch.seconds[:TIMED]]
    if not speeds:
        raise FettleError(f"study: a network with batches of {item.size} has no finite loss")
    # A whole fit has a copy of all rows, unless they lie in a file.
    others = len(data.train) - count if isinstance(data.train, np.ndarray) else 0
    return Pace(item.size, tuple(speeds), peak() + others * _row_bytes(data.train))


def _timed_rows(rows: Rows, size: int) -> int:
    """How many rows make a timed epoch."""
    held = max(2 * size, IN_MEMORY_BYTES // _row_bytes(rows))
    return min(len(rows), max(ROWS, 8 * size), held)


def _row_bytes(rows: Rows) -> int:
    return 4 * math.prod(rows.shape[1:])


class _Stopwatch:
    """Times what lies between two validations, which come after every epoch."""

    def __init__(self, measure: Callable[..., tuple[float, float | None]]) -> None:
        self._measure = measure
        self._left: float | None = None
        self.seconds: list[float] = []

    def __call__(self, *arguments: Any) -> tuple[float, float | None]:
        if self._left is not None:
            self.seconds.append(time.perf_counter() - self._left)
        measured = self._measure(*arguments)
        self._left = time.perf_counter()
        return measured


def peak() -> int:
    """Bytes that this process held at the most.

    Not `getrusage`, whose figure begins with that of the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def room() -> int:
    """Bytes that are free for processes: what the machine says, or the container's limit."""
    with open("/proc/meminfo") as told:
        found = {line.split(":")[0]: line.split()[1] for line in told}
    free = int(found["MemAvailable"]) * 1024
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        path = Path("/sys/fs/cgroup") / limit
        if path.is_file() and (text := path.read_text().strip()).isdecimal():
            free = min(free, int(text))
    return free


def largest_gaining(paces: Sequence[Pace], most: float) -> Pace | None:
    """The largest size that gains at least `GAIN` for a doubling over the next smaller one, and
    whose process holds no more than `most` bytes.

    The smallest where none gains; None where none fits. Where sizes are not doubled, so much is
    asked of them as of the doublings between.
    """
    fitting = sorted((pace for pace in paces if pace.peak <= most), key=lambda pace: pace.size)
    if not fitting:
        return None
    gaining = [
        larger
        for smaller, larger in pairwise(fitting)
        if larger.speed >= smaller.speed * (1 + GAIN) ** math.log2(larger.size / smaller.size)
    ]
    return gaining[-1] if gaining else fitting[0]


def scaled(rate: float, before: int, size: int) -> tuple[float, ...]:
    """A learning rate for another batch size: by the square root of the sizes' ratio, and by the
    ratio itself; one of them where they agree."""
    ratio = size / before
    return _apart([rate * math.sqrt(ratio), rate * ratio])


def rates(rate: float, before: int, size: int) -> tuple[float, ...]:
    """Learning rates to try for a size, from low to high: about that scaled by the square root,
    and the one scaled by the ratio itself."""
    root, linear = rate * math.sqrt(size / before), rate * size / before
    return tuple(sorted(_apart([*(factor * root for factor in FACTORS), linear])))


def _apart(wished: Sequence[float]) -> tuple[float, ...]:
    """Three digits of each, without those that are nearly another one."""
    kept: list[float] = []
    for value in wished:
        rounded = min(float(f"{value:.3g}"), HIGHEST)
        if all(max(rounded / other, other / rounded) > SAME for other in kept):
            kept.append(rounded)
    return tuple(kept)


def banded(measured: Sequence[int]) -> list[tuple[str, int]]:
    """Of small, middle and large sizes the smallest and the largest that there are."""
    chosen = []
    for name, (first, last) in BANDS.items():
        held = sorted(size for size in measured if first <= size < last)
        chosen += [(name, size) for size in dict.fromkeys([*held[:1], *held[-1:]])]
    return chosen


def restlessness(losses: Sequence[float]) -> float:
    """The standard deviation of the change from epoch to epoch, over the last half of the epochs;
    NaN where that is fewer than two changes."""
    changes = np.diff(losses[len(losses) // 2 :])
    return float(np.std(changes)) if len(changes) > 1 else math.nan
