"""What `fettle init` set for the size of the data, kept so that the next one begins where it did.

Without it, each would lower what the one before had lowered, and other data would be trained with
the values of the first. What the user has changed since is the user's.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.setting import Again
from models.presets import LEFT_OUT, Place, value_at
from pipeline.artifacts import replacing

KEPT = Path(".fettle/init.json")
"""By place: the value before and the one set, each in a list that is empty where there was none."""


def taken_back(content: Mapping[str, Any]) -> dict[Place, Any]:
    """What to put where into params.yaml's `content`, so that it is as before the last init."""
    found: dict[Place, Any] = {}
    for kept in _kept():
        place = tuple(kept["place"])
        holder = value_at(content, place[:-1])
        if not isinstance(holder, dict) or _held(holder, place) != kept["set"]:
            continue
        if kept["before"] == []:
            found[place] = LEFT_OUT
        else:
            [before] = kept["before"]
            found[place] = before if place[-1] in holder else Again(before, kept["at"])
    return found


def remember(content: Mapping[str, Any], placed: Mapping[Place, Any]) -> None:
    """Keep what `content` had where `placed` is put."""
    kept = []
    for place, value in placed.items():
        holder = value_at(content, place[:-1])
        kept.append(
            {
                "place": place,
                "before": _held(holder, place),
                "at": list(holder).index(place[-1]) if place[-1] in holder else len(holder),
                "set": [] if value is LEFT_OUT else [value],
            }
        )
    KEPT.parent.mkdir(exist_ok=True)
    with replacing(KEPT) as temporary:
        temporary.write_text(json.dumps(kept))


def _held(holder: Mapping[str, Any], place: Place) -> list[Any]:
    """The one value there, or none."""
    return [holder[place[-1]]] if place[-1] in holder else []


def _kept() -> list[dict[str, Any]]:
    try:
        kept: list[dict[str, Any]] = json.loads(KEPT.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return kept
