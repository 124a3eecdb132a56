"""The baseline: a network as the recipe has it, and what it must beat."""

from dataset.examples import Development
from models import results, training, yardsticks
from models.candidate import Baseline
from models.settings import Recipe, Seeds
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor
from pipeline.params import Section


class BaselineParams(Section):
    """The section `baseline`."""

    seeds: Seeds
    """One fit for each."""


def _cost(params: BaselineParams, recipe: Recipe) -> Cost:
    return Cost(fits=len(params.seeds), epochs=len(params.seeds) * recipe.epochs)


@stage(cost=_cost)
def baseline(
    out: Baseline,
    development: Development,
    recipe: Recipe,
    params: BaselineParams,
    executor: Executor,
) -> None:
    """A network as the recipe has it, beside a constant answer and a linear model."""
    runs = training.train_seeds(
        executor, development, out.model.make(), recipe, params.seeds, "baseline"
    )
    [measured] = executor.map(yardsticks.predict, [str(development.path)], ["baseline yardsticks"])
    out.yardsticks.write(measured)
    results.gather(
        out,
        runs,
        stage="baseline",
        summary=f"The recipe as it is: width {recipe.width} and depth {recipe.depth}, trained for "
        f"{'' if recipe.patience is None else 'up to '}{recipe.epochs} epochs.",
        settings=recipe.model_dump(),
        development=development,
    )
