"""How wide a student may be, to cost no more than it is allowed: found by counting."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from models import training
from models.fitting import determinism
from models.settings import NetworkSpec
from pipeline.executor import Reads


@dataclass(frozen=True)
class Cost:
    """What a network costs, or may cost."""

    parameters: float
    multiply_adds: float
    """For one example."""

    def within(self, most: "Cost") -> bool:
        """Whether it is no more than that."""
        return self.parameters <= most.parameters and self.multiply_adds <= most.multiply_adds


@dataclass(frozen=True)
class Sizing:
    """A student whose width is to be found."""

    development: Reads
    spec: NetworkSpec
    """Its width is the most that it may be."""
    most: Cost
    """What it may cost; infinite: whatever it likes."""


@dataclass(frozen=True)
class Sized:
    """A width that was found."""

    width: int | None
    """None where even the smallest is too large."""
    cost: Cost
    """Of that width, or of the smallest."""
    smaller: tuple[str, ...]
    """Changes of single settings by which the smallest would cost less, where it is too large."""


def size(item: Sizing) -> Sized:
    """Piece: the largest width that is within the item's cost. What a network costs rises with its
    width, so halving finds it."""
    data = training.encoded(item.development)

    def cost(spec: NetworkSpec) -> Cost:
        determinism.start(1)
        from models.networks import count, network

        target = data.target
        built = network.build(data.shape, target.outputs, spec, 1, data.layout, target.task)
        return Cost(count.parameters(built), count.multiply_adds(built))

    def wide(width: int) -> NetworkSpec:
        return item.spec.model_copy(update={"width": width})

    known = {item.spec.width: cost(item.spec)}
    if known[item.spec.width].within(item.most):
        return Sized(item.spec.width, known[item.spec.width], ())
    known[1] = cost(wide(1))
    if not known[1].within(item.most):
        return Sized(None, known[1], tuple(_smaller(wide(1), known[1], item.most, cost)))
    fits, too_large = 1, item.spec.width
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        known[middle] = cost(wide(middle))
        if known[middle].within(item.most):
            fits = middle
        else:
            too_large = middle
    return Sized(fits, known[fits], ())


def _smaller(
    spec: NetworkSpec, now: Cost, most: Cost, cost: Callable[[NetworkSpec], Cost]
) -> Iterator[str]:
    """Changes by which a network that costs `now` would cost less of what is too much, in words."""
    held = spec.model_dump()
    tried: dict[str, Any] = {"numbers": "plain", "text": "pool", "architecture": "plain"}
    for name in ("embedding", "number_size", "members", "depth"):
        tried[name] = max(1, held[name] // 2)
    for name, value in tried.items():
        if held[name] == value:
            continue
        other = cost(spec.model_copy(update={name: value}))
        fewer = now.parameters > most.parameters and other.parameters < now.parameters
        cheaper = now.multiply_adds > most.multiply_adds and other.multiply_adds < now.multiply_adds
        if fewer or cheaper:
            yield f"{name}: {value}"
