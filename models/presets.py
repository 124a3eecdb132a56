"""How much training suits how much data, so that a first run ends within minutes on two cores.

Reckoned from measured speeds; a run may take half or twice as long. The default values of
params.yaml are for small data; for larger ones they are capped here, in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
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
MANY_IN_ONE = 12.0
"""How much longer an epoch of many networks in one takes: measured on Adult with 16 members."""
WIDE_FILTERS, WIDE_PICTURES = 64, 2.3
"""From so many filters on, how much longer an epoch takes: measured with three convolutions of 64
filters, normalised."""
FIT = 3.0
"""Seconds that a fit takes besides its epochs: building and tracing the network."""
LEARNED_FROM = 4.0
"""Where an epoch takes more seconds, learning from shares of the rows would take as long as
everything else: each share is trained for as many steps as all rows."""
LARGE_BATCH = 3_000
"""From so many training rows on, batches of 32 waste time on Python rather than arithmetic."""


class _Mark(Enum):
    LEFT_OUT = "left out"


LEFT_OUT = _Mark.LEFT_OUT
"""What stands for a value that is to be taken out of params.yaml."""
TRIED_ON = 8_000
"""Training pictures, evenly spread, that tell good settings from bad ones."""
Place = tuple[str, ...]
"""Of a value in params.yaml: its section, its key, and the keys below that."""
Caps = Mapping[Place, int]
"""The largest value at a place."""
BATCHES = ("search", "space", "batch_size", "choice")


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


_EPOCHS = ("recipe", "epochs")
_TRIALS = ("search", "budget", "trials")
_WAITED = ("search", "set", "patience")
_STOPPING = ("regularize", "techniques", "early_stopping")
_STUDENT = ("distill", "student")


def _caps(
    *,
    epochs: int,
    trials: int | None,
    patience: int,
    retrained: tuple[int, int],
    transferred: tuple[int, int, int, int],
    student: tuple[int, int],
) -> Caps:
    """Of the second to last epochs and patience; of transfer the three phases' epochs first."""
    source, frozen, unfrozen, waited = transferred
    caps = {
        _EPOCHS: epochs,
        _WAITED: patience,
        (*_STOPPING, "epochs"): retrained[0],
        (*_STOPPING, "patience"): retrained[1],
        ("finetune", "source_epochs"): source,
        ("finetune", "frozen_epochs"): frozen,
        ("finetune", "epochs"): unfrozen,
        ("finetune", "patience"): waited,
        (*_STUDENT, "epochs"): student[0],
        (*_STUDENT, "patience"): student[1],
    }
    return caps if trials is None else caps | {_TRIALS: trials}


PRESETS = (
    Preset("small", 1.0, 3, {}, "epochs are cheap: as many as params.yaml has"),
    Preset(
        "medium",
        4.0,
        3,
        _caps(
            epochs=10,
            trials=None,
            patience=3,
            retrained=(15, 4),
            transferred=(4, 2, 10, 3),
            student=(20, 5),
        ),
        "networks see enough rows in half the epochs",
    ),
    Preset(
        "large",
        15.0,
        3,
        _caps(
            epochs=5,
            trials=4,
            patience=2,
            retrained=(8, 2),
            transferred=(2, 1, 4, 2),
            student=(8, 3),
        ),
        "many rows make differences clear: fewer epochs, four trials",
    ),
    Preset(
        "huge",
        float("inf"),
        2,
        _caps(
            epochs=2,
            trials=4,
            patience=1,
            retrained=(3, 1),
            transferred=(1, 1, 2, 1),
            student=(3, 2),
        ),
        "a first look: two seeds prove little; raise seeds and epochs once it is known what pays",
    ),
)
"""By rising size."""


def seconds(rows: float, pixels: int, *, texts: bool, wide: bool) -> float:
    """An epoch over `rows` training rows; `pixels` a picture, 0 for a table; `wide`: networks may
    be."""
    if pixels:
        return rows * pixels / PIXELS * (WIDE_PICTURES if wide else 1)
    return rows / (TEXTS if texts else WIDE_ROWS if wide else ROWS)


def slower(stage: str, content: Mapping[str, Any]) -> float:
    """How much longer than the recipe's an epoch of a stage takes; `content`: of params.yaml."""
    techniques = value_at(content, ("regularize", "techniques")) or {}
    last = {name: value for held in techniques.values() for name, value in held.items()}
    many = last.get("architecture") == "tabm" and stage in ("regularize", "finetune")
    return MANY_IN_ONE if many else 1.0


def preset(seconds: float) -> Preset:
    """The one for data whose epoch takes so long."""
    return next(preset for preset in PRESETS if seconds <= preset.seconds)


def sized(preset: Preset, rows: float, content: Mapping[str, Any]) -> dict[Place, Any]:
    """What changes in params.yaml's `content`, by place: smaller values, and batches.

    A value that someone has already made smaller stays, and one that is not there is not made.
    """
    changes: dict[Place, Any] = {}
    for place, most in preset.caps.items():
        held = value_at(content, place)
        if held is not None and held > most:
            changes[place] = most
    for section, values in content.items():
        seeds = values.get("seeds")
        if seeds is not None and len(seeds) > preset.seeds:
            changes[section, "seeds"] = list(seeds)[: preset.seeds]
    shares = ("baseline", "shares")
    if preset.seconds > LEARNED_FROM and value_at(content, shares):
        changes[shares] = []
    for place, size in _batches(rows):
        if value_at(content, place) not in (None, size):
            changes[place] = size
    return changes


def value_at(content: Mapping[str, Any], place: Place) -> Any:
    """What stands there, or None where there is no such place."""
    held: Any = content
    for key in place:
        if not isinstance(held, Mapping) or key not in held:
            return None
        held = held[key]
    return held


def for_numbers(rows: float, *, wide: bool) -> dict[Place, Any]:
    """What suits a table with numbers and so many training rows, by place.

    `wide`: from some thousand rows on wider networks, trained for longer, cost little. Measured on
    California housing (12,476 training rows, root mean squared error on validation in units of
    100,000): width 32 and depth 2 for 20 epochs 0.569, width 256 and depth 3 for 47 epochs 0.508;
    with numbers scored by rank 0.492, and with dropout 0.1 as well 0.486; with batch normalisation
    on top 0.516. On Adult (26,041 training rows, accuracy on validation): width 128 and depth 2
    85.3 %, with numbers as piecewise vectors of 48 bins 86.8 %, and as many networks in one 87.1 %.
    """
    if not wide or rows < LARGE_BATCH:
        return {}
    techniques = ("regularize", "techniques")
    return {
        ("recipe", "number_bins"): 48,
        ("recipe", "number_size"): 16,
        ("search", "space", "numbers"): {"choice": ["plain", "piecewise"]},
        (*techniques, "many_in_one"): {"architecture": "tabm", "batch_size": 256},
        (*techniques, "normalisation"): LEFT_OUT,
        ("finetune", "source_epochs"): 3,
        ("finetune", "frozen_epochs"): 2,
        ("finetune", "epochs"): 10,
        ("finetune", "patience"): 3,
        ("recipe", "width"): 128,
        ("recipe", "epochs"): 30,
        ("search", "space", "width", "choice"): [64, 128, 256],
        ("search", "space", "depth", "choice"): [2, 3, 4],
        _WAITED: 5,
        (*techniques, "dropout", "dropout"): 0.1,
        (*techniques, "weight_decay"): {"optimizer": "adamw", "weight_decay": 0.01},
        (*_STOPPING, "epochs"): 80,
        (*_STOPPING, "patience"): 10,
        (*_STUDENT, "width"): 32,
    }


def for_pictures(rows: float, preset: Preset) -> dict[Place, Any]:
    """What suits so many training pictures where more than a first look is meant, by place.

    Measured on Fashion-MNIST (48,000 training pictures, accuracy on validation): two convolutions
    of 32 filters after five epochs 90.1 %; two of 64, found on 8,000 pictures, 91.5 %; the same
    normalised, with dropout, AdamW and a rate that falls to nothing over 20 epochs, 93.3 % (92.4 %
    on the test part). Three of 64 over 12 epochs 92.8 %, and 91.3 % with flips and shifts: so few
    epochs are too few for what they add, and which changes leave a picture what it is, only the
    user knows. So they are left to the user.
    """
    if rows < LARGE_BATCH or preset.name == "huge":
        return {}
    techniques = ("regularize", "techniques")
    return {
        ("search", "space", "width", "choice"): [32, 64],
        ("search", "space", "depth", "choice"): [2, 3, 4],
        ("search", "share"): round(min(1.0, TRIED_ON / rows), 2),
        (*techniques, "dropout", "dropout"): 0.25,
        (*techniques, "weight_decay"): {"optimizer": "adamw", "weight_decay": 0.01},
        (*techniques, "falling_rate"): {"schedule": "cosine", "warmup": 0.1},
        (*_STOPPING, "epochs"): 20,
        (*_STOPPING, "patience"): 6,
    }


def for_networks(preset: Preset) -> dict[Place, Any]:
    """What suits a network of keras.applications that is transferred from, by place.

    Its features are computed once, so epochs of the head cost next to nothing, and its last blocks
    are all that few pictures can teach. Measured on 60 photographs of ants and bees kept apart
    (MobileNetV2 at a width of 0.35): 92 % and 93 % with the base frozen, and after the last blocks
    were trained too 93 % and 92 %.
    """
    if preset.name == "huge":
        return {}
    return {
        ("finetune", "frozen_epochs"): 30,
        ("finetune", "epochs"): 10,
        ("finetune", "patience"): 5,
        ("finetune", "unfreeze"): 3,
        ("finetune", "seeds"): [1, 2, 3],
    }


def scaling(*, numbers: bool, method: str) -> str:
    """How networks see a table's numbers, by the method of the split.

    By rank, as long tails are the rule; but ranks cannot tell what lies beyond the training rows,
    where later times lie. Measured, root mean squared errors of the baseline on validation: cars by
    model year, 3.8 miles a gallon with standard scaling and 4.2 with ranks; but bicycles hired by
    the hour, 112 and 101. Where the future looks like the past, try ranks too.
    """
    return "quantile" if numbers and method != "time" else "standard"


def _batches(rows: float) -> list[tuple[Place, Any]]:
    if rows < LARGE_BATCH:
        return []
    return [(("recipe", "batch_size"), 128), (BATCHES, [64, 128, 256])]
