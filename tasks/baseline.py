"""The baseline: a plain network with plain settings, and the yardsticks beside it."""

from dataset.examples import Development
from models import results, training, yardsticks
from models.candidate import Baseline
from models.settings import (
    BatchSize,
    Depth,
    Embedding,
    Epochs,
    FitSettings,
    NetworkSpec,
    Rate,
    Seeds,
    Text,
    Width,
)
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor
from pipeline.params import Section


class BaselineParams(Section):
    """The section `baseline`."""

    width: Width
    """Units of a dense block, or filters of a convolution."""
    depth: Depth
    """Blocks before the last layer."""
    text: Text
    """What reads texts, where there are any."""
    embedding: Embedding
    """Numbers that stand for a word."""
    learning_rate: Rate
    """Adam's."""
    batch_size: BatchSize
    """Examples per step."""
    epochs: Epochs
    """Passes over the training examples; all of them are trained."""
    seeds: Seeds
    """One fit for each."""


def _cost(params: BaselineParams) -> Cost:
    return Cost(fits=len(params.seeds), epochs=len(params.seeds) * params.epochs)


@stage(cost=_cost)
def baseline(
    out: Baseline, development: Development, params: BaselineParams, executor: Executor
) -> None:
    """A plain network with plain settings, beside a constant answer and a linear model."""
    spec = NetworkSpec.plain(params.width, params.depth, params.text, params.embedding)
    settings = FitSettings(
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        epochs=params.epochs,
        patience=None,
    )
    runs = training.train_seeds(
        executor, development, out.model.make(), spec, settings, params.seeds, "baseline"
    )
    [measured] = executor.map(yardsticks.predict, [str(development.path)], ["baseline yardsticks"])
    out.yardsticks.write(measured)
    results.gather(
        out,
        runs,
        stage="baseline",
        summary=f"A plain network, width {spec.width} and depth {spec.depth}, trained for "
        f"{settings.epochs} epochs.",
        settings=spec.model_dump() | settings.model_dump(),
        development=development,
    )
