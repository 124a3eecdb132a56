"""The ensemble: the best candidates so far as one model, at the price of all of them."""

from collections.abc import Sequence

from pydantic import Field

from dataset.examples import Development
from metrics.objective import Objective
from models import results
from models.candidate import Candidate, Record, Trained
from models.judging import ensembling
from pipeline.declaration import stage
from pipeline.errors import InputError
from pipeline.executor import Executor
from pipeline.params import Section

LEAST = 2
"""Members below which there is nothing to take a mean of."""


class EnsembleParams(Section):
    """The section `ensemble`."""

    enabled: bool
    """Whether to make one at all."""
    members: int = Field(ge=LEAST, le=100)
    """The best candidates, so many, by the objective's mean on validation; fewer where fewer are
    switched on."""


@stage()
def ensemble(
    out: Candidate,
    development: Development,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    finetune: Trained,
    objective: Objective,
    params: EnsembleParams,
    executor: Executor,
) -> None:
    """The best candidates so far as one model, whose answer is the mean of theirs.

    Raises InputError where only one is switched on.
    """
    if not params.enabled:
        results.switched_off(out, "ensemble")
        return
    ranked = results.ranked(development, objective, [baseline, search, regularize, finetune])
    members = ranked[: params.members]
    told = [member.record() for member in members]
    _check(told)
    item = ensembling.Joining(
        str(development.path),
        tuple(
            (record.stage, str(member.model)) for record, member in zip(told, members, strict=True)
        ),
        str(out.model.make() / out.model.model.name),
    )
    names = ", ".join(record.stage for record in told)
    executor.map(ensembling.join, [item], [f"ensemble of {names}"])
    predictions = ensembling.vote(members)
    losses = ensembling.losses(predictions, development)
    results.write(out, _record(told, names), predictions, losses, development)


def _check(members: Sequence[Record]) -> None:
    if len(members) < LEAST:
        raise InputError(
            "params.yaml: ensemble.enabled is true, but of the candidates before it only "
            f"{members[0].stage} is switched on.\n"
            f"An ensemble has at least {LEAST} members: switch on search, regularize or finetune, "
            "or set ensemble.enabled to false."
        )


def _record(members: Sequence[Record], names: str) -> Record:
    return Record(
        stage="ensemble",
        enabled=True,
        summary=f"The mean of what {names} predict, as one model; nothing was trained.",
        settings={"mean_of": names},
        seeds=(),
        saved_seed=None,
        parameters=sum(record.parameters for record in members),
        multiply_adds=sum(record.multiply_adds for record in members),
        fits=0,
        epochs=0,
        examples=0,
    )
