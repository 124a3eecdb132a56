from dataclasses import replace

import numpy as np
import pytest

from models import determinism
from models.tuning import Oracle, Space, Values

SPACE = Space((0.001, 0.1), (16, 32, 64), (1, 2), (32, 64), ("pool",))
TEXTS = replace(SPACE, text=("pool", "convolution", "transformer"))
SEED = 207829058
"""The first four bytes of a SHA-256 of JSON, computed by hand."""


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def accuracy(values):
    return values.width / 64 - values.learning_rate


def proposed(method, seed=1, trials=6, result=accuracy, space=SPACE, higher=True):
    every = []
    with Oracle(method, space, trials, seed, higher=higher) as oracle:
        while asked := oracle.ask(min(4, trials - len(every))):
            for values in reversed(asked):
                oracle.tell(values, result(values))
            every.extend(asked)
    return every


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_a_seed_gives_the_same_proposals(method, capfd):
    first = proposed(method)

    assert first == proposed(method)
    assert first != proposed(method, seed=2)
    assert len(first) == len(set(first)) == 6
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_proposals_lie_in_the_space(method):
    for values in proposed(method):
        assert 0.001 <= values.learning_rate <= 0.1
        assert values.learning_rate == float(f"{values.learning_rate:.3g}")
        assert values.width in SPACE.width
        assert values.depth in SPACE.depth
        assert values.batch_size in SPACE.batch_size
        assert values.text == "pool"


def test_what_reads_texts_is_varied_like_the_rest():
    every = proposed("random", trials=12, space=TEXTS)

    assert {values.text for values in every} == set(TEXTS.text)


def test_guided_proposals_depend_on_the_results():
    high, low = proposed("bayesian"), proposed("bayesian", result=lambda values: 0.5)

    assert high[:4] == low[:4]
    assert high[4:] != low[4:]


@pytest.mark.parametrize("higher", [True, False])
def test_guided_proposals_go_where_the_score_is_better(higher):
    """Of a score that is the learning rate's logarithm, higher ones lie to the right."""
    every = proposed(
        "bayesian", trials=10, result=lambda values: np.log(values.learning_rate), higher=higher
    )

    random, guided = (
        np.mean([np.log10(values.learning_rate) for values in part])
        for part in (every[:4], every[4:])
    )
    assert (guided > random) == higher


def test_a_score_counted_down_is_the_same_search():
    assert proposed("bayesian") == proposed(
        "bayesian", result=lambda values: -accuracy(values), higher=False
    )


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_trials_that_diverged_do_not_end_the_search(method):
    assert len(proposed(method, result=lambda values: None)) == 6


def test_a_trial_s_seed_follows_from_its_values_in_every_process():
    values = Values(0.001, 16, 2, 32, "pool")

    assert values.seed(1) == SEED
    others = [
        values.seed(2),
        *(
            replace(values, **change).seed(1)
            for change in ({"depth": 1}, {"text": "transformer"}, {"learning_rate": 0.002})
        ),
    ]
    assert len({SEED, *others}) == 5
