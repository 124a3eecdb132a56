"""Keras Tuner's oracles as ask and tell: they propose values, others train.

Proposals are asked in rounds of a fixed size, whatever the number of workers, so the sequence
depends on the seed and the results alone. The tuner's own loop is not used: it trains one trial
after the other, in this process. Nor are its files: what is asked again is proposed again.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras_tuner
from keras_tuner.engine import hyperparameters
from keras_tuner.src.engine.conditions import Parent

from models.search import rounds
from models.search.rounds import Method
from models.search.space import Dimension

DIGITS = 3
"""Significant digits kept of a float without steps: more mean nothing and are hard to read."""
LEAST_AT_RANDOM = 4
"""Trials from which a Gaussian process can tell anything."""
_EPOCHS = "tuner/epochs"
"""Where Hyperband says for how long a trial is trained."""

Values: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Proposal:
    """What a trial is to be trained with."""

    trial: str
    """The oracle's own name for it."""
    values: Values
    """Of the settings that are varied and active, in the order of the space."""
    epochs: int | None
    """For how many, where the oracle says."""


def seed_of(values: Mapping[str, Any], seed: int) -> int:
    """A trial's seed: it follows from its values and the search's seed, the same everywhere.

    `hash()` would differ between processes for text, and a trial's number would give the same
    values another result in another place of the sequence.
    """
    text = json.dumps([seed, dict(values)], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % (2**31 - 1) + 1


class Oracle:
    """Proposes values and learns from their results."""

    def __init__(
        self,
        method: Method,
        space: Mapping[str, Dimension],
        seed: int,
        *,
        higher: bool,
        factor: int,
        epochs: int,
        first: int,
    ) -> None:
        """`space`: parents first, see `space.fitting`. `higher`: whether a higher score is better.
        `factor` and `epochs` are for hyperband: the share of trials that goes on, and for
        how many epochs the last of them are trained. `first` is for bayesian: trials at random
        before the first guided one, at least `LEAST_AT_RANDOM`."""
        self._space = space
        self._running: dict[str, Any] = {}
        with _silenced():
            searched = _parameters(space)
            options: dict[str, Any] = {
                "objective": keras_tuner.Objective("score", "max" if higher else "min"),
                "seed": seed,
                "hyperparameters": searched,
                # A failed trial is a result like any other; it does not end the search.
                "max_consecutive_failed_trials": 2**31,
            }
            if method == "hyperband":
                options |= {"factor": factor, "max_epochs": epochs}
            else:
                # How many there are is for whoever asks.
                options |= {"max_trials": None}
            if method == "bayesian":
                # By default three random trials a dimension precede the first guided one: more
                # than most searches have.
                options |= {"num_initial_points": max(first, LEAST_AT_RANDOM)}
            self._oracle = _ORACLES[method](**options)
            self._oracle.verbose = 0

    def ask(self, count: int) -> list[Proposal]:
        """Up to `count` proposals; fewer where others wait for results of these, and none at the
        end."""
        proposed = []
        for place in range(count):
            with _silenced():
                trial = self._oracle.create_trial(f"place-{place}")
            if trial.status != "RUNNING":
                break
            self._running[trial.trial_id] = trial
            values = trial.hyperparameters.values
            proposed.append(
                Proposal(
                    trial.trial_id,
                    {
                        name: _value(dimension, values[name])
                        for name, dimension in self._space.items()
                        if name in values
                    },
                    values.get(_EPOCHS),
                )
            )
        return proposed

    def tell(self, proposal: Proposal, score: float | None) -> None:
        """What proposed values scored on validation; None where their trial came to nothing."""
        trial = self._running.pop(proposal.trial)
        with _silenced():
            if score is None:
                trial.status = "FAILED"
            else:
                self._oracle.update_trial(trial.trial_id, {"score": score})
                trial.status = "COMPLETED"
            self._oracle.end_trial(trial)


def _parameters(space: Mapping[str, Dimension]) -> Any:
    """The space in Keras Tuner's terms.

    What has counted values is a choice of their places: its own choices take but numbers and texts
    of one kind, and to its models a choice is its place anyway.
    """
    searched = keras_tuner.HyperParameters()
    for name, dimension in space.items():
        conditions = []
        for other, wanted in (dimension.when or {}).items():
            known = space[other].values() or ()
            conditions.append(Parent(other, [known.index(value) for value in wanted]))
        searched.merge([_parameter(name, dimension, conditions)])
    return searched


def _parameter(name: str, dimension: Dimension, conditions: list[Any]) -> Any:
    """Not by `conditional_scope`, which takes no two conditions that know nothing of each other."""
    values = dimension.values()
    if values is not None:
        return hyperparameters.Choice(name, list(range(len(values))), conditions=conditions)
    kind = hyperparameters.Int if dimension.int else hyperparameters.Float
    sampling = "log" if dimension.log else "linear"
    return kind(name, *dimension.ends(), sampling=sampling, conditions=conditions)


def _value(dimension: Dimension, proposed: Any) -> Any:
    values = dimension.values()
    return proposed if values is None else values[proposed]


class _Lasting(keras_tuner.Oracle):  # type: ignore[misc]
    """An oracle without files, whose floats are rounded before it remembers them.

    So that nothing is proposed twice, and the models see what was trained.
    """

    def save(self) -> None:
        """Nothing is written."""

    def _save_trial(self, trial: Any) -> None:
        """Nothing is written."""

    def _rounded(self, values: Values) -> Values:
        rounded = dict(values)
        for parameter in self.hyperparameters.space:
            if isinstance(parameter, hyperparameters.Float):
                value = rounded.get(parameter.name)
                if value is not None:
                    low, high = parameter.min_value, parameter.max_value
                    rounded[parameter.name] = min(max(float(f"{value:.{DIGITS}g}"), low), high)
        return rounded

    def _random_values(self) -> Values | None:
        """New values; None where no others are found."""
        for _ in range(self._max_collisions):
            values = super()._random_values()
            if values is None:
                return None
            rounded = self._rounded(values)
            if not self._duplicate(rounded):
                return rounded
        return None


class _Random(_Lasting, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _Bayesian(_Lasting, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As the original, but what was tried already gives way to random values."""
        response: dict[str, Any] = super().populate_space(trial_id)
        if response["values"] is None:
            return response
        response["values"] = self._rounded(response["values"])
        if self._duplicate(response["values"]):
            response = self._random_populate_space()
        return response


class _Grid(_Lasting, keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As the original, but a round does not wait for the end of the trial before."""
        if self.start_order:
            self._populate_next.append(self.start_order[-1])
        response: dict[str, Any] = super().populate_space(trial_id)
        return response


class _Hyperband(_Lasting, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Brackets of successive halving, see `rounds.brackets`.

    The original has other sizes, goes on before a round has ended, so that what is promoted depends
    on who comes first, and promotes fewer where trials fail.
    """

    def _get_num_brackets(self) -> int:
        return len(rounds.brackets(self.max_epochs, self.factor))

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        return self._round(bracket_num, round_num)[0]

    def _get_epochs(self, bracket_num: int, round_num: int) -> int:
        return self._round(bracket_num, round_num)[1]

    def _round(self, bracket_num: int, round_num: int) -> tuple[int, int]:
        return rounds.brackets(self.max_epochs, self.factor)[-1 - bracket_num][round_num]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next trial of the bracket under way, or of the next one."""
        while True:
            bracket = self._brackets[-1]
            for number, held in enumerate(bracket["rounds"]):
                response = self._next(trial_id, bracket, number)
                if response is not None:
                    return response
                if any(self.trials[entry["id"]].status == "RUNNING" for entry in held):
                    return {"status": "IDLE"}
            if self._current_bracket == 0:
                return {"status": "STOPPED"}
            self._increment_bracket_num()
            self._start_new_bracket()

    def _next(self, trial_id: str, bracket: Any, number: int) -> dict[str, Any] | None:
        """A trial of one round; None where it is full, or there is nothing to fill it with."""
        size = self._get_size(bracket["bracket_num"], number)
        held = bracket["rounds"][number]
        if len(held) >= size:
            return None
        if number == 0:
            response: dict[str, Any] = self._random_trial(trial_id, bracket)
            return response if response["status"] == "RUNNING" else None
        before = [self.trials[entry["id"]] for entry in bracket["rounds"][number - 1]]
        done = [trial for trial in before if trial.status == "COMPLETED"]
        done.sort(key=lambda trial: trial.score, reverse=self.objective.direction == "max")
        if len(held) >= len(done):
            return None
        best = done[len(held)]
        held.append({"past_id": best.trial_id, "id": trial_id})
        return {
            "status": "RUNNING",
            "values": {
                **best.hyperparameters.values,
                "tuner/trial_id": best.trial_id,
                _EPOCHS: self._get_epochs(bracket["bracket_num"], number),
                "tuner/round": number,
            },
        }


_ORACLES: Mapping[Method, Callable[..., Any]] = {
    "grid": _Grid,
    "random": _Random,
    "bayesian": _Bayesian,
    "hyperband": _Hyperband,
}


@contextmanager
def _silenced() -> Iterator[None]:
    """Oracles use a deprecated call, and their Gaussian process warns of bounds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
