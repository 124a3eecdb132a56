"""How much training suits how much data, so that a first run ends within minutes on two cores.

Reckoned from measured speeds; a run may take half or twice as long. The default values of
params.yaml are for small data; for larger ones they are capped here, in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROWS = 50_000.0
"""Rows of a table a second through a small network, in batches of 128, on two cores: measured."""
WIDE, WIDE_ROWS = 256, 40_000.0
"""The same through three dense layers of 256 units, in batches of 256: measured."""
TEXTS = 5_000.0
"""Rows with a text a second: reckoned from the length of sentences."""
PIXELS = 1_900.0 * 28 * 28
"""Grey pixels a second through two convolutions of 32 filters: 1,900 pictures of 28x28, measured.
Colours hardly matter: they are in the first layer alone."""
FIT = 3.0
"""Seconds that a fit takes besides its epochs: building and tracing the network."""
LARGE_BATCH = 3_000
"""From so many training rows on, batches of 32 waste time on Python rather than arithmetic."""

Caps = Mapping[str, Mapping[str, int]]
"""Section and key of params.yaml to the largest value there."""


@dataclass(frozen=True)
class Preset:
    """What a first run may spend on data of some size."""

    name: str
    seconds: float
    """Up to so many seconds an epoch of a fit."""
    seeds: int
    """Seeds of every stage at the most."""
    caps: Caps
    reason: str


PRESETS = (
    Preset("small", 1.0, 3, {}, "epochs are cheap: as many as params.yaml has"),
    Preset(
        "medium",
        4.0,
        3,
        {
            "baseline": {"epochs": 10},
            "search": {"epochs": 8, "patience": 3},
            "regularize": {"epochs": 15, "patience": 4},
            "finetune": {"source_epochs": 4, "frozen_epochs": 2, "epochs": 10, "patience": 3},
            "distill": {"epochs": 20, "patience": 5},
        },
        "networks see enough rows in half the epochs",
    ),
    Preset(
        "large",
        15.0,
        2,
        {
            "baseline": {"epochs": 5},
            "search": {"trials": 4, "epochs": 4, "patience": 2},
            "regularize": {"epochs": 8, "patience": 2},
            "finetune": {"source_epochs": 2, "frozen_epochs": 1, "epochs": 4, "patience": 2},
            "distill": {"epochs": 8, "patience": 3},
        },
        "many rows make intervals narrow: two seeds, four trials",
    ),
    Preset(
        "huge",
        float("inf"),
        2,
        {
            "baseline": {"epochs": 2},
            "search": {"trials": 4, "epochs": 2, "patience": 1},
            "regularize": {"epochs": 3, "patience": 1},
            "finetune": {"source_epochs": 1, "frozen_epochs": 1, "epochs": 2, "patience": 1},
            "distill": {"epochs": 3, "patience": 2},
        },
        "a first look: raise the epochs once it is known what pays",
    ),
)
"""By rising size."""


def seconds(rows: float, pixels: int, *, texts: bool, wide: bool) -> float:
    """An epoch over `rows` training rows; `pixels` a picture, 0 for a table; `wide`: a table's
    networks may be."""
    if pixels:
        return rows * pixels / PIXELS
    return rows / (TEXTS if texts else WIDE_ROWS if wide else ROWS)


def preset(seconds: float) -> Preset:
    """The one for data whose epoch takes so long."""
    return next(preset for preset in PRESETS if seconds <= preset.seconds)


def sized(preset: Preset, rows: float, content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What changes in params.yaml's `content`, by section and key: smaller values, and batches.

    A value that someone has already made smaller stays.
    """
    changes: dict[str, dict[str, Any]] = {}
    for section, caps in preset.caps.items():
        for key, most in caps.items():
            if content[section].get(key) is not None and content[section][key] > most:
                changes.setdefault(section, {})[key] = most
    for section, values in content.items():
        seeds = values.get("seeds")
        if seeds is not None and len(seeds) > preset.seeds:
            changes.setdefault(section, {})["seeds"] = list(seeds)[: preset.seeds]
    for section, key, size in _batches(rows):
        if content[section].get(key) != size:
            changes.setdefault(section, {})[key] = size
    return changes


def for_numbers(rows: float, *, wide: bool, quantities: bool) -> dict[str, dict[str, Any]]:
    """What suits a table with numbers and so many training rows, by section and key.

    `wide`: from some thousand rows on wider networks, trained for longer, cost little. Measured on
    California housing (12,476 training rows, root mean squared error on validation in units of
    100,000): width 32 and depth 2 for 20 epochs 0.569, width 256 and depth 3 for 47 epochs 0.508;
    with numbers scored by rank 0.492, and with dropout 0.1 as well 0.486; with batch normalisation
    on top 0.516.
    """
    if not wide or rows < LARGE_BATCH:
        return {}
    plain = {"batch_norm": False} if quantities else {}
    return {
        "baseline": {"width": 128, "epochs": 30},
        "search": {"width": [64, 128, 256], "depth": [2, 3, 4], "epochs": 30, "patience": 5},
        "regularize": {"dropout": 0.1, "l2": 1e-5, "epochs": 80, "patience": 10, **plain},
        "distill": {"width": 32},
    }


def scaling(*, numbers: bool, method: str) -> str:
    """How networks see a table's numbers, by the method of the split.

    By rank, as long tails are the rule; but ranks cannot tell what lies beyond the training rows,
    where later times lie. Measured, root mean squared errors of the baseline on validation: cars by
    model year, 3.8 miles a gallon with standard scaling and 4.2 with ranks; but bicycles hired by
    the hour, 112 and 101. Where the future looks like the past, try ranks too.
    """
    return "quantile" if numbers and method != "time" else "standard"


def _batches(rows: float) -> list[tuple[str, str, Any]]:
    if rows < LARGE_BATCH:
        return []
    return [
        ("baseline", "batch_size", 128),
        ("search", "batch_size", [64, 128, 256]),
        ("distill", "batch_size", 128),
    ]
