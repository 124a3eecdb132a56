"""The section `run` of params.yaml: how the pipeline runs, not what it makes."""

from typing import Self

from pydantic import Field, model_validator

from pipeline.params import Section


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

    workers: int = Field(ge=1, le=256)
    """Processes that train trials and seeds side by side."""
    schedule: str
    """Cron expression, UTC, on which `make ui` runs the pipeline."""
    tracking: TrackingParams
    """Read by the doors alone: no figure of a stage follows from who is told of it."""
    remote: str | None
    """Name of the DVC remote whose run cache is asked before a stage runs; None: none."""
    push: bool
    """Whether a run's results go to that remote at its end."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.push and self.remote is None:
            raise ValueError("push needs a remote to push to: give the name of one in run.remote")
        return self
