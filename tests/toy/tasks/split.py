"""The toy split."""

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Text


class SplitParams(Section):
    """What split can be told."""

    word: str


@stage()
def split(out: Text, table: Text, params: SplitParams) -> None:
    """The toy split."""
    out.write(f"split {params.word} <{' '.join(x.read() for x in (table,))}>")
