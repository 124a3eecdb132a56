"""Many networks of a table in one: they share kernels, and each has its own scales and head."""

from typing import Any

from dataset.target import Task
from models.networks import blocks
from models.networks.blocks import Seeds
from models.networks.member_layers import Heads, Shared
from models.settings import NetworkSpec


def tabm(hidden: Any, spec: NetworkSpec, seeds: Seeds) -> Any:
    """`depth` plain blocks of `members` networks: `(n, d)` to `(n, members, width)`.

    A normalisation is shared as kernels are, so that it does not take away a member's bias.
    """
    for place in range(spec.depth):
        shared = Shared(
            spec.width,
            spec.members,
            seeds.draw(),
            None if place else seeds.draw(),
            blocks.penalty(spec),
            name=f"shared_{place}",
        )
        hidden = blocks.normalise(shared(hidden), spec, str(place))
        hidden = blocks.activate(hidden, spec, str(place))
        hidden = blocks.drop(hidden, spec, f"dropout_{place}", seeds)
    return hidden


def heads(
    hidden: Any, outputs: int, spec: NetworkSpec, seeds: Seeds, task: Task | None, name: str
) -> Any:
    """The last layer of all members; raises ValueError where nobody says what they answer."""
    if task is None:
        raise ValueError("members can be averaged where the task is known, got None")
    return Heads(outputs, task, seeds.draw(), blocks.penalty(spec), name=name)(hidden)
