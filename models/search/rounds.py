"""How many trials a search makes at the most, and for how many epochs. Free of Keras Tuner."""

from collections.abc import Mapping
from typing import Literal

from models.search.space import Dimension, combinations

Method = Literal["grid", "random", "bayesian", "hyperband"]
"""How values are proposed."""


def brackets(epochs: int, factor: int) -> list[list[tuple[int, int]]]:
    """Hyperband's rounds: (trials, epochs of each), a list a bracket, in the order they come.

    For R epochs and the factor η there are brackets s = s_max, ..., 0 with s_max the whole part of
    log_η R. Bracket s begins with floor((s_max + 1) / (s + 1)) η^s trials of R η^-s epochs; the
    best of a round, one in η, are trained in the next one for η times as long (Li et al.,
    "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 2018; its
    table for R = 81, η = 3). Epochs are rounded up.
    """
    most = 0
    while epochs >= factor ** (most + 1):
        most += 1
    return [
        [
            (
                (most + 1) // (s + 1) * factor**s // factor**i,
                -(-epochs // factor ** (s - i)),
            )
            for i in range(s + 1)
        ]
        for s in range(most, -1, -1)
    ]


def longest(space: Mapping[str, Dimension], epochs: int) -> int:
    """Epochs that a trial is trained for at the most; `epochs`: of what is not varied."""
    varied = space.get("epochs")
    if varied is None:
        return epochs
    lengths: list[int] = [*varied.ends(), *([epochs] if varied.when else [])]
    return max(lengths)


def expected(
    method: Method, space: Mapping[str, Dimension], trials: int | None, epochs: int, factor: int
) -> tuple[int, int]:
    """Trials and their epochs, at the most, where each may have `epochs`.

    `trials` is the budget; None: until the method ends by itself, as grid and hyperband do.
    """
    if method == "hyperband":
        every = [
            length
            for bracket in brackets(epochs, factor)
            for count, length in bracket
            for _ in range(count)
        ][:trials]
        return len(every), sum(every)
    if method == "grid":
        count = combinations(space)
        trials = count if trials is None else min(trials, count)
    count = trials or 0
    return count, count * epochs
