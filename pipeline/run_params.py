"""The section `run` of params.yaml: how the pipeline runs, not what it makes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.nightly_params import NightlyParams, ScheduleParams, require_no_address
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
    gpus: int = Field(ge=0, le=64)
    """GPUs that each of them has to itself, on machines that have any; 0: all see all."""
    timeouts: dict[str, Minutes]
    """Minutes by stage after which it is ended."""
    schedule: ScheduleParams
    """When the pipeline runs by itself, while `make ui` or a worker waits for it."""
    nightly: NightlyParams
    """What such a run does."""
    notify: str | None
    """Who is told when a run comes to nothing: the environment variable that holds a webhook's
    address, or a Prefect block as TYPE/NAME; null: nobody."""
    tracking: TrackingParams
    """Read by the doors alone: no figure of a stage follows from who is told of it."""
    remote: str | None
    """Name of the DVC remote whose run cache is asked before a stage runs; None: none."""
    push: bool
    """Whether a run's results go to that remote at its end."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_no_address(self.notify)
        if self.push and self.remote is None:
            raise ValueError("push needs a remote to push to: give the name of one in run.remote")
        return self
