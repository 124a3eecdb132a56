"""The toy baseline."""

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Text


class BaselineParams(Section):
    """What baseline can be told."""

    word: str


@stage()
def baseline(out: Text, parts: Text, params: BaselineParams) -> None:
    """The toy baseline."""
    out.write(f"baseline {params.word} <{' '.join(x.read() for x in (parts,))}>")
