"""Two runs of one checkout started at once, by both doors: one is whole, the other waits or is
refused."""

import random
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

from tests.faults.injection import Fault, Lost, Told, Toy, require_words

DOORS = ("run", "repro")
DVC_REFUSES = 255
CODES = frozenset({0, 4, DVC_REFUSES})
TIMES = 2
"""Of each combination: at once, and a little apart."""


def faults(chance: random.Random) -> Iterator[Fault]:
    """All combinations."""
    for first, second in product(DOORS, DOORS):
        for turn in range(TIMES):
            apart = round(chance.uniform(0.5, 4.0), 1) if turn else 0.0
            yield Fault(
                "two runs at once",
                f"{first} and {second}, {apart} s apart",
                running(first, second, apart),
                CODES,
            )


def running(first: str, second: str, apart: float) -> Any:
    """Both, of which one at least must end well."""

    def inject(toy: Toy) -> Told:
        one = toy.begin(first)
        time.sleep(apart)
        other = toy.begin(second)
        tolds = [toy.end(one), toy.end(other)]
        for told in tolds:
            require_words(told, Fault("", "", inject, CODES))
        if all(told.code for told in tolds):
            raise Lost(f"both were refused: {tolds}")
        return max(tolds, key=lambda told: told.code)

    return inject
