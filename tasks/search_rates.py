"""Where a search looks for the learning rate: around what a range test suggests."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dataset.examples import Development
from models import training
from models.fitting import finder
from models.search.space import Dimension
from models.settings import Recipe, Seed
from pipeline.executor import Executor

if TYPE_CHECKING:
    import pandas as pd

BELOW, ABOVE = 10.0, 3.0
"""Searched from so many times less to so many times more than the suggestion: above it training
comes apart sooner than it becomes slow below."""
RATE = "learning_rate"


def look(development: Development, recipe: Recipe, seed: Seed, executor: Executor) -> finder.Found:
    """The range test of the recipe's network, some hundred steps on a copy that is thrown away."""
    item = training.SeedRun(
        str(development.path), None, recipe.network, recipe.fit, seed, "search range of rates"
    )
    [found] = executor.map(finder.find, [item], [item.name], keep=True)
    return found


def around(space: Mapping[str, Dimension], found: finder.Found) -> dict[str, Dimension]:
    """The space with another range of learning rates; as it was where nothing was suggested."""
    if found.suggestion is None or RATE not in space:
        return dict(space)
    ends = found.suggestion / BELOW, min(found.suggestion * ABOVE, finder.HIGHEST)
    lowest, highest = (float(f"{end:.3g}") for end in ends)
    given = space[RATE].model_dump() | {"choice": None, "step": None, "log": True}
    return dict(space) | {RATE: Dimension.model_validate(given | {"float": (lowest, highest)})}


def table(found: finder.Found | None) -> "pd.DataFrame":
    """rates.csv: only the header without a test."""
    import pandas as pd

    columns = ["rate", "loss", "average", "suggestion"]
    if found is None:
        return pd.DataFrame(columns=columns)
    steps = zip(found.rates, found.losses, found.averages, strict=True)
    return pd.DataFrame([(*step, found.suggestion) for step in steps], columns=columns)
