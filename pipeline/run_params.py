"""The section `run` of params.yaml: how the pipeline runs, not what it makes."""

from pydantic import Field

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
