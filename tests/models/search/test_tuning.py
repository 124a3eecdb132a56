import itertools
import json

import numpy as np
import pytest

from models.fitting import determinism
from models.search.rounds import brackets
from models.search.tuning import Oracle, seed_of
from tests.models.search.test_space import CONDITIONAL, space

SPACE = space(
    learning_rate={"float": [0.001, 0.1], "log": True},
    width={"choice": [16, 32, 64]},
    depth={"int": [1, 2]},
    batch_norm={"choice": [False, True]},
    ema={"choice": [None, 0.9]},
    l2={"float": [0.0, 0.1]},
    batch_size={"int": [16, 64], "log": True},
)
ROUND = 4
METHODS = ["random", "bayesian", "hyperband"]
SEED = 1773062608
"""The first four bytes of a SHA-256 of JSON, computed by hand."""


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def accuracy(proposal):
    return proposal.values.get("width", 0) / 64 - proposal.values.get("learning_rate", 0)


def searched(
    method, seed=1, trials=6, result=accuracy, space=SPACE, *, higher=True, order=reversed, epochs=9
):
    """Proposals in rounds, told in an order that workers might end in."""
    every = []
    oracle = Oracle(method, space, seed, higher=higher, factor=3, epochs=epochs, first=ROUND)
    while asked := oracle.ask(min(ROUND, trials - len(every))):
        for proposal in order(asked):
            oracle.tell(proposal, result(proposal))
        every.extend(asked)
    return every


def values(proposals):
    return [proposal.values for proposal in proposals]


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_gives_the_same_proposals_whoever_ends_first(method, capfd):
    first = searched(method)

    assert first == searched(method, order=list)
    assert first != searched(method, seed=2)
    assert len(first) == 6
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("method", METHODS)
def test_proposals_lie_in_the_space_and_are_short(method):
    for found in values(searched(method, trials=12)):
        assert list(found) == list(SPACE)
        assert 0.001 <= found["learning_rate"] <= 0.1
        assert found["learning_rate"] == float(f"{found['learning_rate']:.3g}")
        assert found["width"] in (16, 32, 64)
        assert found["depth"] in (1, 2)
        assert found["batch_norm"] in (False, True)
        assert found["ema"] in (None, 0.9)
        assert 0 <= found["l2"] <= 0.1
        assert 16 <= found["batch_size"] <= 64
        json.dumps(found)


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_nothing_is_proposed_twice_and_an_exhausted_space_ends_the_search(method):
    small = space(width={"choice": [4, 8]}, learning_rate={"float": [0.00100, 0.00105]})

    found = values(searched(method, trials=14, space=small))

    assert len({json.dumps(one) for one in found}) == len(found)
    # Two widths, and 0.00100 to 0.00105 in three digits.
    assert 10 <= len(found) <= 12


def test_guided_proposals_depend_on_the_results():
    high, low = (
        values(searched("bayesian", result=result)) for result in (accuracy, lambda proposal: 0.5)
    )

    assert high[:4] == low[:4]
    assert high[4:] != low[4:]


@pytest.mark.parametrize("higher", [True, False])
def test_guided_proposals_go_where_the_score_is_better(higher):
    """Of a score that is the learning rate's logarithm, higher ones lie to the right."""
    every = searched(
        "bayesian",
        trials=10,
        result=lambda proposal: np.log(proposal.values["learning_rate"]),
        higher=higher,
        space={"learning_rate": SPACE["learning_rate"]},
    )

    random, guided = (
        np.mean([np.log10(proposal.values["learning_rate"]) for proposal in part])
        for part in (every[:4], every[4:])
    )
    assert (guided > random) == higher


def test_a_score_counted_down_is_the_same_search():
    assert searched("bayesian") == searched(
        "bayesian", result=lambda proposal: -accuracy(proposal), higher=False
    )


@pytest.mark.parametrize("method", [*METHODS, "grid"])
def test_trials_that_failed_do_not_end_the_search(method):
    grid = space(width={"choice": [4, 8, 16]}, depth={"int": [1, 3]})
    assert len(searched(method, result=lambda proposal: None, space=grid)) == 6


def test_a_grid_has_every_combination_once_and_then_ends():
    grid = space(
        width={"choice": [4, 8]},
        dropout={"float": [0.0, 0.2], "step": 0.1},
        depth={"int": [1, 9], "step": 3, "log": True},
    )

    every = values(searched("grid", trials=100, space=grid))

    combined = itertools.product((4, 8), (0.0, 0.1, 0.2), (1, 3, 9))
    assert sorted(tuple(found.values()) for found in every) == sorted(combined)


def test_a_grid_is_asked_in_full_rounds():
    grid = space(width={"choice": [4, 8]}, depth={"int": [1, 5]})
    oracle = Oracle("grid", grid, 1, higher=True, factor=3, epochs=1, first=ROUND)
    sizes = []
    while asked := oracle.ask(ROUND):
        sizes.append(len(asked))
        for proposal in asked:
            oracle.tell(proposal, 0.5)

    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("method", [*METHODS, "grid"])
def test_a_setting_is_proposed_only_where_its_condition_holds(method):
    nested = space(
        optimizer=CONDITIONAL["optimizer"],
        momentum=CONDITIONAL["momentum"],
        width={"choice": [4, 8], "when": {"momentum": [0.9], "optimizer": ["momentum"]}},
        depth={"choice": [1, 2]},
    )

    trials = 6 if method == "bayesian" else 100
    every = values(searched(method, trials=trials, space=nested, epochs=27))

    for found in every:
        assert ("momentum" in found) == (found["optimizer"] != "adam")
        inner = found.get("momentum") == 0.9 and found["optimizer"] == "momentum"
        assert ("width" in found) == inner
    if method == "grid":
        # adam; nesterov with two momenta; momentum with 0.8, and 0.9 with two widths.
        assert len(every) == 2 * (1 + 2 + 1 + 2)


def test_hyperband_s_rounds_are_those_of_the_paper():
    every = searched("hyperband", trials=10_000, epochs=81)

    lengths = [proposal.epochs for proposal in every]
    rounds = [(length, len(list(of_length))) for length, of_length in itertools.groupby(lengths)]
    paper = [pair for bracket in brackets(81, 3) for pair in bracket]
    merged = [
        (length, sum(count for count, _ in pairs))
        for length, pairs in itertools.groupby(paper, key=lambda pair: pair[1])
    ]
    assert rounds == merged


def test_hyperband_promotes_the_best_of_the_whole_round():
    """81, 27, 9, 3 and 1 trials; a round is not divisible by four, and its last trial is best."""
    scores = {}

    def result(proposal):
        key = json.dumps(proposal.values)
        return scores.setdefault(key, len(scores))

    every = searched("hyperband", trials=81 + 27 + 9 + 3 + 1, epochs=81, result=result, order=list)

    first = values(every[:81])
    assert values(every[81 : 81 + 27]) == first[:-28:-1]
    assert values(every[-1:]) == [first[-1]]


def test_hyperband_promotes_as_many_where_trials_fail():
    failed = {3, 4, 5, 50}
    places = itertools.count()

    def result(proposal):
        place = next(places)
        return None if place in failed else float(place)

    every = searched("hyperband", trials=10_000, epochs=81, result=result)

    assert sum(proposal.epochs == 3 for proposal in every[:108]) == 27


def test_hyperband_ends_where_a_small_space_is_exhausted():
    small = space(width={"choice": [4, 8]}, depth={"int": [1, 2]})

    every = searched("hyperband", trials=10_000, epochs=9, space=small)

    assert [proposal.epochs for proposal in every] == [1] * 4 + [3] * 3 + [9]


def test_a_trial_s_seed_follows_from_its_values_in_every_process():
    first = {"learning_rate": 0.001, "width": 16, "text": "pool"}

    assert seed_of(first, 1) == SEED
    others = [
        seed_of(first, 2),
        *(
            seed_of(first | change, 1)
            for change in ({"depth": 1}, {"text": "transformer"}, {"learning_rate": 0.002})
        ),
    ]
    assert len({SEED, *others}) == 5
    assert seed_of(dict(reversed(first.items())), 1) == SEED


@pytest.mark.parametrize("method", ["random", "hyperband"])
def test_there_are_as_many_as_are_asked_for(method):
    assert len(searched(method, trials=30, epochs=81)) == 30
