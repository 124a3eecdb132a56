"""The toy regularize."""

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Text


class RegularizeParams(Section):
    """What regularize can be told."""

    word: str


@stage()
def regularize(out: Text, parts: Text, found: Text, params: RegularizeParams) -> None:
    """The toy regularize."""
    out.write(f"regularize {params.word} <{' '.join(x.read() for x in (parts, found))}>")
