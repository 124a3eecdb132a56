"""A task that a network is trained on before the target's own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataset.target import Task

if TYPE_CHECKING:
    from models.fitting.criterion import Criterion
    from models.fitting.fit import Array


@dataclass(frozen=True)
class SourceTask:
    """Pairs of inputs, as the target's encoder gives them, and codes; what is minimised."""

    train: "tuple[Array, Array]"
    validation: "tuple[Array, Array]"
    outputs: int
    criterion: "Criterion"
    kind: Task
    """Of what is answered; values and words at once count as quantities."""


def unseen(count: int) -> int:
    """How many examples validate a source task that is trained on `count` at the most."""
    return max(10, count // 5)
