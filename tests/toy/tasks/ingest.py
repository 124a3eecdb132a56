"""Read the source, if there is one."""

from pipeline.artifacts import Raw
from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Looked


class IngestParams(Section):
    """What ingest can be told."""

    path: str | None
    word: str


@stage()
def ingest(out: Looked, raw: Raw, params: IngestParams) -> None:
    """Read the source, if there is one."""
    raw = raw.data.path.read_text() if raw.data.path.name else "built in"
    out.write(f"{params.word}: {raw}")
