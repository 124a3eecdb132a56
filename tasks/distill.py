"""Distillation: a small network learns from the best one so far."""

from pydantic import Field

from dataset.examples import Development
from metrics.objective import Objective
from models import distillation, results
from models.budget import Budget
from models.candidate import Distilled, Trained
from models.settings import Changes, Recipe, Retraining
from pipeline.artifacts import Source
from pipeline.declaration import Cost, stage
from pipeline.executor import Executor


class DistillParams(Retraining):
    """The section `distill`."""

    student: Changes
    """Its values of the recipe that differ."""
    temperature: float = Field(ge=1, le=100)
    """By which both networks' logits are divided: the higher, the softer."""
    hard_weight: float = Field(ge=0, le=1)
    """Share of the labels in the loss; the rest is the teacher's."""


def _cost(params: DistillParams, recipe: Recipe, budget: Budget) -> Cost:
    if not params.enabled:
        return Cost()
    allowed = budget.among([params.student.get("epochs", recipe.epochs)] * len(params.seeds))
    return Cost(allowed.fits, allowed.most)


def _caution(params: DistillParams, budget: Budget) -> str | None:
    return budget.caution() if params.enabled else None


@stage(cost=_cost, caution=_caution)
def distill(
    out: Distilled,
    development: Development,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    finetune: Trained,
    ensemble: Trained,
    teacher: Source,
    unlabelled: Source,
    objective: Objective,
    recipe: Recipe,
    budget: Budget,
    params: DistillParams,
    executor: Executor,
) -> None:
    """A small network that learns from the best one so far."""
    if not params.enabled:
        results.switched_off(out, "distill")
        return
    taught = [baseline, search, regularize, finetune, ensemble]
    best = results.ranked(development, objective, taught)[0]
    told = best.record()
    folder = out.model.make()
    logits = folder / "teacher.npy"
    executor.map(
        distillation.teach,
        [distillation.Teaching(str(development.path), str(best.model), str(logits))],
        [f"distill teacher {told.stage}"],
    )
    asked = recipe.changed(params.student)
    allowed = budget.among([asked.epochs] * len(params.seeds))
    student = allowed.shorten(asked)
    items = [
        distillation.StudentRun(
            str(development.path),
            str(folder),
            student.network,
            student.fit,
            seed,
            f"distill seed {seed}",
            str(logits),
            params.temperature,
            params.hard_weight,
            minutes=allowed.minutes,
        )
        for seed in params.seeds
    ]
    runs = executor.map(distillation.learn, items, [item.name for item in items])
    logits.unlink()
    results.gather(
        out,
        runs,
        stage="distill",
        summary=f"A student with width {student.width} and depth {student.depth}, taught by "
        f"{told.stage} at temperature {params.temperature:g}.",
        settings=student.model_dump()
        | {
            "teacher": told.stage,
            "temperature": params.temperature,
            "hard_weight": params.hard_weight,
        },
        development=development,
    )
