"""Regularisation: the best settings so far, with the techniques that params.yaml lists."""

from typing import Annotated, Any

from pydantic import Field

from dataset.examples import Development
from models import results, training
from models.candidate import Candidate, Trained
from models.settings import Changes, Recipe, Retraining
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor


class RegularizeParams(Retraining):
    """The section `regularize`."""

    techniques: Annotated[dict[str, Changes], Field(min_length=1, max_length=50)]
    """By a name of one's own the values that differ from the best settings so far; where two
    techniques name one setting, the later counts."""

    def changes(self) -> dict[str, Any]:
        """Those of all techniques."""
        every: dict[str, Any] = {}
        for changes in self.techniques.values():
            every |= changes
        return every


def _cost(params: RegularizeParams, recipe: Recipe) -> Cost:
    fits = len(params.seeds) * params.enabled
    return Cost(fits=fits, epochs=fits * params.changes().get("epochs", recipe.epochs))


@stage(cost=_cost)
def regularize(
    out: Candidate,
    development: Development,
    baseline: Trained,
    search: Trained,
    recipe: Recipe,
    params: RegularizeParams,
    executor: Executor,
) -> None:
    """The best settings so far, with the techniques that params.yaml lists."""
    if not params.enabled:
        results.switched_off(out, "regularize")
        return
    start = results.latest(search, baseline)
    changed = Recipe.of(start.settings).changed(params.changes())
    runs = training.train_seeds(
        executor, development, out.model.make(), changed, params.seeds, "regularize"
    )
    told = ", ".join(name.replace("_", " ") for name in params.techniques)
    results.gather(
        out,
        runs,
        stage="regularize",
        summary=f"The settings of {start.stage} with {told}.",
        settings=changed.model_dump(),
        development=development,
    )
