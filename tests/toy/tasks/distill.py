"""The toy distill."""

from pydantic import Field

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Objective, Text


class DistillParams(Section):
    """What distill can be told."""

    temperature: float = Field(gt=0)


@stage()
def distill(
    out: Text, parts: Text, tuned: Text, objective: Objective, params: DistillParams
) -> None:
    """The toy distill."""
    from models.student import shrink

    out.write(f"{shrink(tuned.read())} at {params.temperature}")
