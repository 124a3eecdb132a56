"""Read the source, if there is one."""

from pipeline.artifacts import Source
from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Text


class IngestParams(Section):
    """What ingest can be told."""

    path: str | None
    word: str


@stage()
def ingest(out: Text, source: Source, params: IngestParams) -> None:
    """Read the source, if there is one."""
    raw = source.path.read_text() if source.path.name else "built in"
    out.write(f"{params.word}: {raw}")
