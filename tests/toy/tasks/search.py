"""The toy search: several pieces, one after the other or side by side."""

import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.declaration import Cost, stage
from pipeline.executor import Executor
from pipeline.params import Section
from tasks.parts import Aim, Text


class SearchParams(Section):
    """What search can be told."""

    trials: int
    seconds: float


@dataclass(frozen=True)
class Piece:
    """One wait."""

    place: int
    seconds: float


def wait(piece: Piece) -> int:
    """Take a while; tests look for the file to know that the search is under way."""
    place = piece.place
    Path(".searching").touch()
    time.sleep(piece.seconds)
    return place * place


@stage(cost=lambda params: Cost(params.trials, params.trials))
def search(out: Text, parts: Text, aim: Aim, params: SearchParams, executor: Executor) -> None:
    """The toy search: several pieces, one after the other or side by side."""
    pieces = [Piece(place, params.seconds) for place in range(params.trials)]
    names = [f"trial {piece.place}" for piece in pieces]
    done = executor.map(wait, pieces, names, keep=True)
    out.write(f"{done} by {aim.word} of {parts.read()}")
