"""Whether a recipe suits the data: said before anything is trained, and without Keras."""

from typing import Any

from dataset.examples import Kind, Schema
from dataset.target import Task
from models.settings import Architecture, Loss, Recipe
from pipeline.errors import InputError

ARCHITECTURES: dict[Kind, tuple[Architecture, ...]] = {
    "table": ("plain", "residual", "tabm"),
    "pictures": ("plain", "residual", "resnet", "separable"),
}
"""How networks of each kind of data may be put together."""
LOSSES: dict[Task, tuple[Loss, ...]] = {
    "classification": ("standard", "focal"),
    "multilabel": ("standard", "focal"),
    "regression": ("standard", "huber"),
}
"""What may be minimised, for each task."""
CHANGES: dict[Kind, tuple[str, ...]] = {
    "table": ("noise", "feature_swap"),
    "pictures": (
        "flip",
        "rotation",
        "zoom",
        "shift",
        "crop",
        "contrast",
        "cutout",
        "randaugment",
    ),
}
"""Settings that change what a network is shown, by the only kind of data that they are for. Hidden
words are no matter where there are none."""
OFF = ("none", 0)
"""Values of a setting that leaves everything as it is."""
TOLD: dict[str, str] = {
    "table": "a table",
    "pictures": "pictures",
    "classification": "classes",
    "multilabel": "labels",
    "regression": "quantities",
}
"""What data and their targets are, for people."""


def require(recipe: Recipe, schema: Schema) -> None:
    """Raise InputError where a value of the recipe means nothing for the data."""
    data, targets = TOLD[schema.kind], TOLD[schema.task]
    _one_of("architecture", recipe.architecture, f"the data are {data}", ARCHITECTURES[schema.kind])
    _one_of("loss", recipe.loss, f"the targets are {targets}", LOSSES[schema.task])
    if recipe.mixup and any(column.type == "text" for column in schema.columns):
        raise _unsuited("mixup", recipe.mixup, "words cannot be mixed and the data have texts")
    if recipe.label_smoothing and schema.task == "regression":
        raise _unsuited("label_smoothing", recipe.label_smoothing, f"the targets are {targets}")
    for kind, names in CHANGES.items():
        for name in names if kind != schema.kind else ():
            value = getattr(recipe, name)
            if value not in OFF:
                raise _unsuited(name, value, f"it is for {TOLD[kind]} and the data are {data}")


def _one_of(name: str, value: str, because: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        choice = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise InputError(f"{name} is {value}, but {because}: choose {choice}.\n{_WHERE}")


def _unsuited(name: str, value: Any, because: str) -> InputError:
    off = "none" if isinstance(value, str) else "0.0"
    return InputError(f"{name} is {value}, but {because}: set it to {off}.\n{_WHERE}")


_WHERE = (
    "It stands in the section recipe of params.yaml, or where a stage changes it: search.space, "
    "search.set, regularize.techniques, distill.student."
)
