"""Which stage each flow run of this process is at, or came to nothing at.

Prefect's server learns of task runs through events, a moment after they happened: when a run fails
it may still take the stage before for the one under way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.context import FlowRunContext

_at: dict[UUID, str | None] = {}


@contextmanager
def standing_at(stage: str) -> Iterator[None]:
    """The current flow run is at `stage` in the block, and remains there if the block raises."""
    context = FlowRunContext.get()
    run = context.flow_run.id if context and context.flow_run else None
    if run is None:
        yield
        return
    _at[run] = stage
    yield
    _at[run] = None


def is_known(run: UUID) -> bool:
    """Whether this process took the flow run to a stage."""
    return run in _at


def stage_of(run: UUID) -> str | None:
    """The stage that the flow run is at; None between two, and where it is not known."""
    return _at.get(run)
