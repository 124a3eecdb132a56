"""`kill -9` of the run, of a worker of its pool, of the Prefect server, and of `dvc repro`."""

import random
from collections.abc import Iterator
from typing import Any

from tests.faults.injection import Event, Fault, Missed, Told, Toy, chosen, named, signalled

NUMBER = 30
"""Of each kind."""


def faults(chance: random.Random, events: dict[Event, int]) -> Iterator[Fault]:
    """Moments over all stages; within each the body, the commit to DVC, and what lies between."""
    of_run = {at: count for at, count in events.items() if at[0] == "run"}
    of_workers = {at: count for at, count in events.items() if at[0] == "worker"}
    for strike in chosen(chance, of_run, NUMBER):
        yield Fault("kill -9 of the run", named(strike), killing(strike, "kill"), frozenset({-9}))
    for strike in chosen(chance, of_workers, NUMBER):
        yield Fault(
            "kill -9 of a worker",
            named(strike),
            killing(strike, "kill"),
            words="A worker process was killed from outside",
        )
    for strike in chosen(chance, of_run, NUMBER):
        yield Fault(
            "kill -9 of the Prefect server",
            named(strike),
            killing(strike, "kill server"),
            words="The Prefect server does not answer",
            own_server=True,
        )


def killing(strike: dict[str, Any], action: str) -> Any:
    """A run in which the strike kills."""

    def inject(toy: Toy) -> Told:
        struck = toy.striking(action=action, **strike)
        told = struck.told()
        if not struck.was_struck:
            raise Missed("the run did not come there")
        if action == "kill" and strike["at"][0] == "run" and not signalled(told):
            raise Missed("the run was over first")
        return told

    return inject
