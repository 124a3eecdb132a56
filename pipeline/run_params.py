"""The section `run` of params.yaml: how the pipeline runs, not what it makes."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params import Section

Runner = Literal["local", "processes", "dask", "ray"]
"""Where the pieces of stages run."""
Minutes = Annotated[float, Field(gt=0, le=100_000)]


class TrackingParams(Section):
    """Which trackers are told what happens in a run."""

    tensorboard: bool
    mlflow: bool
    dvclive: bool

    @property
    def on(self) -> tuple[str, ...]:
        """Names of those that are."""
        return tuple(name for name, is_on in self if is_on)


class RunParams(Section):
    """How the pipeline runs, not what it makes; no stage depends on it."""

    runner: Runner
    """What runs trials, folds and seeds; the bytes are the same with each."""
    cluster: Annotated[str, Field(min_length=1)] | None
    """Address of the Dask scheduler or the Ray cluster; None: one is started here for the run."""
    workers: int = Field(ge=1, le=256)
    """Processes that train trials and seeds side by side."""
    timeouts: dict[str, Minutes]
    """Minutes by stage after which it is ended."""
    schedule: str
    """Cron expression, UTC, on which `make ui` runs the pipeline."""
    tracking: TrackingParams
    """Read by the doors alone: no figure of a stage follows from who is told of it."""
