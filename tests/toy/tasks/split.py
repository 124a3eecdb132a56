"""The toy split."""

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Looked, Text


class SplitParams(Section):
    """What split can be told."""

    word: str


def caution(params: SplitParams) -> str | None:
    """What a plan says where other rows come in."""
    return "old rows may move" if params.word == "counted" else None


@stage(caution=caution)
def split(out: Looked, table: Text, params: SplitParams) -> None:
    """The toy split."""
    out.write(f"split {params.word} <{' '.join(x.read() for x in (table,))}>")
