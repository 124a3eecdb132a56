"""The toy search: several pieces, one after the other or side by side."""

import time
from pathlib import Path

from pipeline.declaration import Cost, stage
from pipeline.executor import Executor
from pipeline.params import Section
from tasks.parts import Objective, Text


class SearchParams(Section):
    """What search can be told."""

    trials: int
    seconds: float


def wait(piece: tuple[int, float]) -> int:
    """Take a while; tests look for the file to know that the search is under way."""
    place, seconds = piece
    Path(".searching").touch()
    time.sleep(seconds)
    return place * place


@stage(cost=lambda params: Cost(params.trials, params.trials))
def search(
    out: Text, parts: Text, objective: Objective, params: SearchParams, executor: Executor
) -> None:
    """The toy search: several pieces, one after the other or side by side."""
    pieces = [(place, params.seconds) for place in range(params.trials)]
    done = executor.map(wait, pieces, [f"trial {place}" for place, _ in pieces])
    out.write(f"{done} by {objective.metric} of {parts.read()}")
