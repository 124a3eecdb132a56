"""Distillation: a small network learns from the best one so far."""

from collections.abc import Sequence

from pydantic import Field

from models import distillation, results, scores
from models.candidate import Candidate, Trained
from models.examples import Development
from models.settings import (
    BatchSize,
    Depth,
    FitSettings,
    NetworkSpec,
    Rate,
    Retraining,
    Width,
)
from pipeline.declaration import stage
from pipeline.executor import Executor


class DistillParams(Retraining):
    """The section `distill`."""

    width: Width
    """Of the student."""
    depth: Depth
    """Of the student."""
    temperature: float = Field(ge=1, le=100)
    """By which both networks' logits are divided: the higher, the softer."""
    hard_weight: float = Field(ge=0, le=1)
    """Share of the labels in the loss; the rest is the teacher's."""
    learning_rate: Rate
    """Adam's."""
    batch_size: BatchSize
    """Examples per step."""


@stage(cost=DistillParams.cost)
def distill(
    out: Candidate,
    development: Development,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    finetune: Trained,
    params: DistillParams,
    executor: Executor,
) -> None:
    """A small network that learns from the best one so far."""
    if not params.enabled:
        results.switched_off(out, "distill")
        return
    teacher = _teacher(development, [baseline, search, regularize, finetune])
    told = teacher.record()
    folder = out.model.make()
    logits = folder / "teacher.npy"
    executor.map(
        distillation.teach,
        [distillation.Teaching(str(development.path), str(teacher.model), str(logits))],
        [f"distill teacher {told.stage}"],
    )
    spec = NetworkSpec.plain(params.width, params.depth)
    settings = FitSettings(
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        epochs=params.epochs,
        patience=params.patience,
    )
    items = [
        distillation.StudentRun(
            str(development.path),
            str(folder),
            spec,
            settings,
            seed,
            f"distill seed {seed}",
            str(logits),
            params.temperature,
            params.hard_weight,
        )
        for seed in params.seeds
    ]
    runs = executor.map(distillation.learn, items, [item.name for item in items])
    logits.unlink()
    results.gather(
        out,
        runs,
        stage="distill",
        summary=f"A student with width {spec.width} and depth {spec.depth}, taught by "
        f"{told.stage} at temperature {params.temperature:g}.",
        settings=spec.model_dump()
        | settings.model_dump()
        | {
            "teacher": told.stage,
            "temperature": params.temperature,
            "hard_weight": params.hard_weight,
        },
    )


def _teacher(development: Development, candidates: Sequence[Trained]) -> Trained:
    """The highest mean validation accuracy; of equal ones the lowest log loss, then the first."""
    codes = development.validation().codes(development.classes())

    def rank(candidate: Trained) -> tuple[float, float]:
        seeds = candidate.probabilities()
        right = sum(scores.accuracy(probabilities, codes) for probabilities in seeds)
        lost = sum(scores.log_loss(probabilities, codes) for probabilities in seeds)
        return -right / len(seeds), lost / len(seeds)

    enabled = [candidate for candidate in candidates if candidate.record().enabled]
    return min(enabled, key=rank)
