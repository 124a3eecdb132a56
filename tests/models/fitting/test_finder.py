import math

import numpy as np
import pytest

from models import training
from models.fitting import criterion, determinism, finder
from models.networks import network
from tests.models import small


def on_a_parabola(curvature, rates):
    """Gradient descent on curvature / 2 * x², which comes apart above 2 / curvature."""
    place = 1.0

    def step(rate):
        nonlocal place
        loss = curvature / 2 * place**2
        place -= rate * curvature * place
        return loss

    return finder.range_test(rates, step)


def quantities(folder):
    return small.several(folder, "regression")


RATES = [finder.LOWEST * 1e6 ** (place / 119) for place in range(120)]


@pytest.mark.parametrize("curvature", [10.0, 100.0, 1000.0])
def test_the_suggestion_is_below_the_rate_at_which_training_comes_apart(curvature):
    found = on_a_parabola(curvature, RATES)
    assert found.suggestion is not None
    assert 2 / curvature / 100 < found.suggestion < 2 / curvature
    assert found.suggestion == float(f"{found.suggestion:.2g}")


def test_a_loss_that_is_no_number_or_much_too_high_ends_the_test():
    losses = iter([*np.linspace(2, 1, 40), math.nan, 0.0])
    found = finder.range_test(RATES, lambda rate: next(losses))
    assert len(found.losses) == 40
    assert found.suggestion is not None
    losses = iter([1.0] * 30 + [1e6] * 30)
    assert len(finder.range_test(RATES, lambda rate: next(losses)).losses) < 40


def test_where_nothing_falls_nothing_is_suggested():
    assert finder.range_test(RATES, lambda rate: 1 + rate).suggestion is None
    assert finder.range_test(RATES[:5], lambda rate: 1 - rate).suggestion is None
    assert finder.range_test(RATES, lambda rate: math.inf).suggestion is None


def test_averages_weigh_what_is_late():
    assert finder.averaged([3.0] * 7) == pytest.approx(3.0)
    weights = 0.1 * 0.9 ** np.arange(2, -1, -1)
    assert finder.averaged([1.0, 2.0, 4.0]) == pytest.approx(
        np.average([1.0, 2.0, 4.0], weights=weights)
    )


@pytest.mark.parametrize("make", [small.table, quantities, small.pictures])
def test_a_network_is_left_as_it_was_and_the_test_repeats(tmp_path, make):
    development = make(tmp_path)
    item = training.SeedRun(
        str(development.path), None, small.SPEC, small.settings(schedule="cosine"), 3, "test"
    )
    data = training.encoded(item.development)
    determinism.start(item.seed)
    built = network.build(data.shape, data.target.outputs, item.spec, item.seed, data.layout)
    before = [weight.copy() for weight in built.get_weights()]
    loss = criterion.trained_by(data.target, item.settings)

    found = finder.search(built, data, item, loss)

    for was, weight in zip(before, built.get_weights(), strict=True):
        np.testing.assert_array_equal(was, weight)
    assert found.rates[0] == finder.LOWEST
    assert found.losses[-1] != found.losses[0]
    assert found == finder.find(item)
