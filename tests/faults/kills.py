"""`kill -9` of the run, of a worker of its pool, of the Prefect server, and of `dvc repro`."""

import random
from collections.abc import Iterator
from typing import Any

from pipeline import server
from tests.faults.injection import Event, Fault, Missed, Told, Toy, chosen, named, signalled

NUMBER = 30
"""Of each kind."""
OF_REPRO, REPRO_WRITES = 6, 600
"""Kills of `dvc repro`, and the writes of it that are surely made."""


def faults(chance: random.Random, events: dict[Event, int]) -> Iterator[Fault]:
    """Moments over all stages; within each the body, the commit to DVC, and what lies between."""
    of_run = {at: count for at, count in events.items() if at[0] == "run"}
    # Only what one worker alone surely does.
    of_workers = {at: count // 3 for at, count in events.items() if at[0] == "worker"}
    for strike in chosen(chance, of_run, NUMBER):
        yield Fault("kill -9 of the run", named(strike), killing(strike, "kill"), frozenset({-9}))
    for strike in chosen(chance, of_workers, NUMBER):
        yield Fault(
            "kill -9 of a worker",
            named(strike),
            killing(strike, "kill"),
            # Its piece is handed out again.
            frozenset({0}),
        )
    for number, strike in enumerate(chosen(chance, of_run, NUMBER)):
        yield Fault(
            "kill -9 of the Prefect server",
            named(strike),
            killing(strike, "kill server") if number % 6 == 0 else killing_users_server(strike),
            words="The Prefect server does not answer",
            own_server=number % 6 == 0,
        )
    for _ in range(OF_REPRO):
        # What DVC does between stages is not told apart; the stage under way is left an orphan.
        strike = {"at": ["dvc", "none", "between"], "event": chance.randint(1, REPRO_WRITES)}
        yield Fault(
            "kill -9 of dvc repro",
            f"write {strike['event']}",
            killing(strike, "kill", "repro"),
            frozenset({-9}),
        )


def killing(strike: dict[str, Any], action: str, door: str = "run") -> Any:
    """A run by a door in which the strike kills."""

    def inject(toy: Toy) -> Told:
        struck = toy.striking(action=action, **strike)
        told = struck.told(door)
        if not struck.was_struck:
            raise Missed("the run did not come there")
        if action == "kill" and strike["at"][0] != "worker" and not signalled(told):
            raise Missed("the run was over first")
        return told

    return inject


def killing_users_server(strike: dict[str, Any]) -> Any:
    """A run in which a server is killed that the user had configured; the next one uses another."""

    def inject(toy: Toy) -> Told:
        place = toy.root.with_suffix(".server")
        place.mkdir()
        mortal = server.start(place)
        toy.until_judged.callback(server.stop, place)
        run = Toy(toy.root, mortal.api_url)
        return killing(strike | {"pid": mortal.pid}, "kill server")(run)

    return inject
