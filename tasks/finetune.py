"""Transfer: a trunk trained on another task, then tuned to this one."""

from dataclasses import replace

from pydantic import Field

from dataset.examples import Development, Schema
from models import results, sources, training
from models.budget import Allowance, Budget
from models.candidate import Finetuned, Trained
from models.settings import Epochs, Patience, Rate, Recipe, Seeds
from models.source_settings import SelfMade
from pipeline.artifacts import Source
from pipeline.declaration import Cost, stage
from pipeline.errors import FettleError, InputError
from pipeline.executor import Executor
from pipeline.params import Section


class FinetuneParams(Section):
    """The section `finetune`."""

    enabled: bool
    """Whether to transfer at all."""
    source: SelfMade
    """`fonts`, for grey pictures: digits drawn from fonts. `rotated`, for pictures: which of four
    ways up the training pictures are (Gidaris et al., 2018). `denoised`, for pictures: what they
    are without noise (Vincent et al., 2008). `masked`, for a table: its training rows with values
    swapped between rows, to be put right, and words hidden, to be guessed. Only `fonts` uses
    labels."""
    pictures: int = Field(ge=10, le=1_000_000)
    """Digits drawn, for `fonts`; pictures at the most, for `rotated` and `denoised`."""
    swap: float = Field(gt=0, lt=1)
    """Fraction of values swapped and of words hidden, for `masked`."""
    source_epochs: Epochs
    """Of the source task."""
    frozen_epochs: Epochs
    """Of the first phase: the new head alone, at the learning rate of the settings so far."""
    epochs: Epochs
    """Of the second phase, everything, at the most."""
    learning_rate_factor: Rate
    """The second phase's learning rate over the first's."""
    patience: Patience
    """Epochs without a better validation loss until the second phase ends."""
    seeds: Seeds
    """Two fits for each; the source task is trained once, with the first."""


def _allowed(params: FinetuneParams, budget: Budget) -> Allowance:
    """The source task and both phases of every seed are shortened alike."""
    phases = [params.frozen_epochs, params.epochs] * len(params.seeds)
    return budget.among([params.source_epochs, *phases])


def _cost(params: FinetuneParams, budget: Budget) -> Cost:
    if not params.enabled:
        return Cost()
    allowed = _allowed(params, budget)
    return Cost(allowed.fits, allowed.most)


def _caution(params: FinetuneParams, budget: Budget) -> str | None:
    return budget.caution() if params.enabled else None


@stage(cost=_cost, caution=_caution)
def finetune(
    out: Finetuned,
    development: Development,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    pretrained: Source,
    budget: Budget,
    params: FinetuneParams,
    executor: Executor,
) -> None:
    """A trunk trained on another task, then tuned to this one in two phases."""
    if not params.enabled:
        results.switched_off(out, "finetune")
        return
    _check(params, development.schema())
    start = results.latest(regularize, search, baseline)
    recipe = Recipe.of(start.settings)
    spec, settings = recipe.network, recipe.fit
    allowed = _allowed(params, budget)
    folder = out.model.make()
    model = folder / "source.keras"
    source_settings = allowed.shorten(
        settings.model_copy(update={"epochs": params.source_epochs, "patience": None})
    )
    item = sources.SourceRun(
        str(development.path),
        str(model),
        params.source,
        None,
        spec,
        source_settings,
        params.pictures,
        params.swap,
        params.seeds[0],
        f"finetune source {params.source}",
        allowed.minutes,
    )
    [learned] = executor.map(sources.pretrain, [item], [item.name])
    _check_source(learned, settings.learning_rate)
    frozen = allowed.shorten(
        settings.model_copy(update={"epochs": params.frozen_epochs, "patience": None})
    )
    unfrozen = allowed.shorten(
        settings.model_copy(
            update={
                "learning_rate": settings.learning_rate * params.learning_rate_factor,
                "epochs": params.epochs,
                "patience": params.patience,
            }
        )
    )
    items = [
        sources.TransferRun(
            str(development.path),
            str(folder),
            spec,
            unfrozen,
            seed,
            f"finetune seed {seed}",
            str(model),
            frozen,
            minutes=allowed.minutes,
        )
        for seed in params.seeds
    ]
    runs = executor.map(sources.transfer, items, [item.name for item in items])
    model.unlink()
    results.gather(
        out,
        runs,
        stage="finetune",
        summary=f"The network of {start.stage}, its trunk trained on {_told(params)}, then tuned: "
        f"{frozen.epochs} epochs with the trunk frozen, up to {unfrozen.epochs} without.",
        settings=spec.model_dump() | unfrozen.model_dump() | {"source": params.source},
        development=development,
        before=[_as_run(learned, runs[0])],
    )


def _check(params: FinetuneParams, schema: Schema) -> None:
    offered = sources.offered(schema)
    if params.source not in offered:
        what = "a table" if schema.kind == "table" else "pictures"
        if schema.kind == "pictures" and schema.shape[-1] > 1:
            what = "pictures in colour"
        raise InputError(
            f"params.yaml: finetune.source is {params.source}, but the data are {what}: put "
            f"{' or '.join(offered)} there, or set finetune.enabled to false"
        )


def _check_source(source: sources.SourceResult, learning_rate: float) -> None:
    if source.diverged:
        raise FettleError(
            f"finetune: the source task diverged: its loss is no number any more. It was trained "
            f"with learning_rate {learning_rate:g}; lower search.space.learning_rate or "
            f"recipe.learning_rate in params.yaml, whichever it came from."
        )


def _told(params: FinetuneParams) -> str:
    return {
        "fonts": f"{params.pictures:,} digits drawn from fonts",
        "rotated": "telling which way up pictures are",
        "denoised": "giving noisy pictures without their noise",
        "masked": f"putting right {params.swap:.0%} of the values, swapped or hidden",
    }[params.source]


def _as_run(source: sources.SourceResult, run: training.Run) -> training.Run:
    """The source task's fit, for the count of what the stage cost."""
    return replace(run, lines=(source.lines,), examples=source.examples)
