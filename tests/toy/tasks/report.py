"""Write a page."""

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Evaluated, Reported, Text


class ReportParams(Section):
    """What report can be told."""

    title: str


@stage()
def report(out: Reported, plain: Text, result: Evaluated, params: ReportParams) -> None:
    """Write a page."""
    out.index.write(f"{params.title}: {plain.read()} {result.metrics.read()}")
