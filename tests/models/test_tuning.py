import pytest

from models import determinism
from models.tuning import Oracle, Space, Values

SPACE = Space((0.001, 0.1), (16, 32, 64), (1, 2), (32, 64))


@pytest.fixture(autouse=True)
def _start():
    determinism.start(1)


def accuracy(values):
    return values.width / 64 - values.learning_rate


def proposed(method, seed=1, trials=6, result=accuracy, space=SPACE):
    every = []
    with Oracle(method, space, trials, seed) as oracle:
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


def test_guided_proposals_depend_on_the_results():
    high, low = proposed("bayesian"), proposed("bayesian", result=lambda values: 0.5)

    assert high[:4] == low[:4]
    assert high[4:] != low[4:]


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_trials_that_diverged_do_not_end_the_search(method):
    assert len(proposed(method, result=lambda values: None)) == 6


def test_a_trial_s_seed_follows_from_its_values_in_every_process():
    values = Values(0.001, 16, 2, 32)

    assert values.seed(1) == 1052541815
    assert values.seed(2) != values.seed(1) != Values(0.001, 16, 1, 32).seed(1)
