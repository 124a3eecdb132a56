import numpy as np
import pytest

from models.judging import power_law

SIZES = [100, 200, 400, 800, 1600, 3200]


def law(floor, scale, exponent, sizes=SIZES):
    return np.array([floor + scale * n**-exponent for n in sizes])


def seeds(floor, scale, exponent, noise, sizes=SIZES, count=3):
    random = np.random.default_rng(2)
    return {
        n: (e * (1 + noise * random.normal(size=count))).tolist()
        for n, e in zip(sizes, law(floor, scale, exponent, sizes), strict=True)
    }


@pytest.mark.parametrize(
    ("floor", "scale", "exponent"), [(0.05, 2.0, 0.5), (0.0, 1.0, 0.2), (0.02, 10.0, 0.9)]
)
def test_a_power_law_is_found_again(floor, scale, exponent):
    curve = power_law.fit(np.array(SIZES, dtype=float), law(floor, scale, exponent))
    assert curve.floor == pytest.approx(floor, abs=0.01)
    assert curve.exponent == pytest.approx(exponent, rel=0.06)
    for n in (100, 3200, 16_000):
        assert curve.error(n) == pytest.approx(floor + scale * n**-exponent, rel=0.06)


def test_one_fit_that_went_astray_changes_little():
    sizes = np.repeat(np.array(SIZES, dtype=float), 3)
    errors = np.repeat(law(0.05, 2.0, 0.5), 3)
    errors[4] *= 4
    curve = power_law.fit(sizes, errors)
    assert curve.error(6400) == pytest.approx(0.05 + 2 * 6400**-0.5, rel=0.05)


def test_errors_that_rise_have_a_curve_without_a_fall():
    curve = power_law.fit(np.array([100.0, 200.0, 400.0]), np.array([0.1, 0.2, 0.3]))
    assert curve.scale == 0
    assert curve.floor > 0


def test_gains_are_foretold_with_an_interval():
    errors = seeds(0.0, 1.0, 0.35, 0.02)
    told = power_law.forecast(errors, (2, 5), 0.95, 0)
    assert told.untold == ""
    now = 3200**-0.35
    for gain in told.gains:
        expected = now - (3200 * gain.times) ** -0.35
        assert gain.low < expected < gain.high
        assert gain.value == pytest.approx(expected, rel=0.25)
    assert told.gains[1].value > told.gains[0].value > 0
    # The more the seeds differ, the less is known.
    loud = power_law.forecast(seeds(0.0, 1.0, 0.35, 0.06), (2,), 0.95, 0)
    if not loud.untold:
        assert loud.gains[0].high - loud.gains[0].low > told.gains[0].high - told.gains[0].low
    assert power_law.forecast(errors, (2, 5), 0.95, 0) == told


@pytest.mark.parametrize(
    ("errors", "examples", "words"),
    [
        ({100: [0.3, 0.3], 200: [0.2, 0.2]}, 0, "2 sizes were tried"),
        ({100: [0.3], 200: [0.2], 400: [0.1]}, 0, "one seed"),
        ({100: [0.3, 0.3], 200: [0.1, 0.1], 400: [0.01, 0.01]}, 300, "3.0 of 300 answers"),
        ({100: [0.2, 0.3], 200: [0.3, 0.2], 400: [0.2, 0.3]}, 0, "did not fall"),
        (seeds(0.1, 1.0, 1.0, 0.003), 0, "come to its end"),
    ],
)
def test_what_cannot_be_told_is_not(errors, examples, words):
    told = power_law.forecast(errors, (2, 5), 0.95, examples)
    assert words in told.untold
    assert told.gains == ()
