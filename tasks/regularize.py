"""Regularisation: the best settings so far, with dropout, weight decay and early stopping."""

from pydantic import Field

from dataset.examples import Development
from models import results, training
from models.candidate import Candidate, Trained
from models.settings import FitSettings, NetworkSpec, Retraining
from pipeline.declaration import stage
from pipeline.executor import Executor


class RegularizeParams(Retraining):
    """The section `regularize`."""

    dropout: float = Field(ge=0, lt=1)
    """Fraction dropped after every block (Srivastava et al., 2014)."""
    l2: float = Field(ge=0, le=1)
    """Weight of the squared kernels in the loss."""
    batch_norm: bool
    """Whether blocks are normalised (Ioffe and Szegedy, 2015)."""


@stage(cost=RegularizeParams.cost)
def regularize(
    out: Candidate,
    development: Development,
    baseline: Trained,
    search: Trained,
    params: RegularizeParams,
    executor: Executor,
) -> None:
    """The best settings so far with dropout, weight decay and early stopping."""
    if not params.enabled:
        results.switched_off(out, "regularize")
        return
    start = results.latest(search, baseline)
    spec = NetworkSpec.of(start.settings).model_copy(
        update={"dropout": params.dropout, "l2": params.l2, "batch_norm": params.batch_norm}
    )
    settings = FitSettings.of(start.settings).model_copy(
        update={"epochs": params.epochs, "patience": params.patience}
    )
    runs = training.train_seeds(
        executor, development, out.model.make(), spec, settings, params.seeds, "regularize"
    )
    results.gather(
        out,
        runs,
        stage="regularize",
        summary=f"The settings of {start.stage} with dropout {params.dropout:g}, L2 "
        f"{params.l2:g}, {'with' if params.batch_norm else 'without'} batch normalisation, "
        f"stopped after {params.patience} epochs without improvement.",
        settings=spec.model_dump() | settings.model_dump(),
        development=development,
    )
