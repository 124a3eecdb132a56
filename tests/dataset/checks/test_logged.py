"""Drift of what is logged: formulas against scipy and closed forms, and their properties."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from dataset.checks import logged
from dataset.checks.drift import kolmogorov_smirnov
from tests.dataset import tabled

NUMBERS = arrays(np.float64, st.integers(5, 80), elements=st.floats(-50, 50, width=16))


@given(NUMBERS, NUMBERS)
def test_the_ks_distance_is_scipys_and_its_chance_the_limits(one: Any, other: Any) -> None:
    theirs = stats.ks_2samp(one, other, method="asymp")
    distance = kolmogorov_smirnov(one, other)
    assert distance == pytest.approx(theirs.statistic)
    scaled = np.sqrt(len(one) * len(other) / (len(one) + len(other))) * distance
    terms = np.arange(1, 1001)
    closed = 2 * (np.where(terms % 2, 1, -1) * np.exp(-2 * terms**2 * scaled**2)).sum()
    if scaled > 0.1:
        assert logged.ks_chance(one, other) == pytest.approx(closed, abs=1e-12)


def test_the_ks_chance_nears_scipys_exact_one() -> None:
    generator = np.random.default_rng(1)
    for shift in (0.0, 0.2, 0.4):
        one, other = generator.normal(size=400), generator.normal(shift, size=300)
        exact = stats.ks_2samp(one, other, method="exact").pvalue
        mine = logged.ks_chance(one, other)
        assert exact - 1e-12 <= mine <= 1.6 * exact + 0.01


@given(
    arrays(np.int64, st.integers(60, 300), elements=st.integers(0, 3)),
    arrays(np.int64, st.integers(60, 300), elements=st.integers(0, 3)),
)
def test_the_chi_squared_chance_is_scipys(one: Any, other: Any) -> None:
    names = sorted({*one.tolist(), *other.tolist()})
    table = np.array([[(side == name).sum() for name in names] for side in (one, other)])
    if len(names) < 2 or (stats.contingency.expected_freq(table) < 5).any():
        return
    theirs = stats.chi2_contingency(table, correction=False).pvalue
    mine = logged.chi_squared_chance(one.astype(str), other.astype(str))
    assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-300)


def test_rare_categories_are_one_and_too_few_of_them_are_none() -> None:
    common = ["a"] * 100 + ["b"] * 100
    many = np.array(common + [f"rare {place}" for place in range(20)])
    table = np.array([[100, 100, 20], [100, 100, 20]])
    assert logged.chi_squared_chance(many, many) == pytest.approx(
        stats.chi2_contingency(table).pvalue
    )
    assert logged.chi_squared_chance(np.array(["a"] * 50), np.array(["a"] * 49 + ["b"])) == 1.0


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), st.floats(0.001, 0.5))
def test_benjamini_and_hochberg_is_scipys(chances: Any, level: float) -> None:
    adjusted = stats.false_discovery_control(chances)
    # Where the two sides of the comparison are the same number but for rounding, either is right.
    clear = np.abs(adjusted - level) > 1e-9
    mine = logged.benjamini_hochberg(chances, level)
    assert mine[clear].tolist() == (adjusted <= level)[clear].tolist()


def test_the_index_of_numbers_has_its_closed_form() -> None:
    before = np.arange(1000, dtype=float)
    # One tenth of the values moves from the first bin to the last.
    after = np.where(before < 100, 950.5, before)
    index = logged.quantile_index(before, after)
    shares = np.array([0.1, 0.1]), np.array([0.0005, 0.2])
    closed = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
    assert index == pytest.approx(closed, rel=0.03)
    assert logged.quantile_index(before, before) == 0


def test_a_value_that_many_have_is_a_bin_of_its_own() -> None:
    generator = np.random.default_rng(1)
    before = np.where(np.arange(1000) < 950, 0.0, generator.uniform(1, 9, 1000))
    after = np.where(np.arange(1000) < 500, 0.0, generator.uniform(1, 9, 1000))
    assert logged.quantile_index(before, after) > 0.5


@given(st.integers(0, 99), st.floats(0, 1.5), st.floats(0, 1.5))
@settings(max_examples=40)
def test_a_larger_shift_is_no_smaller_a_difference(seed: int, one: float, other: float) -> None:
    before = np.random.default_rng(seed).normal(size=200)
    near, far = sorted((one, other))
    assert kolmogorov_smirnov(before, before + near) <= kolmogorov_smirnov(before, before + far)
    assert logged.ks_chance(before, before + near) >= logged.ks_chance(before, before + far)


DRAWS: dict[str, Callable[[np.random.Generator, int], list[Any]]] = {
    "numbers": lambda generator, count: generator.normal(size=count).tolist(),
    "few": lambda generator, count: generator.integers(0, 4, count).tolist(),
    "words": lambda generator, count: generator.choice(["a", "b", "c", ""], count).tolist(),
    "tail": lambda generator, count: [f"c{int(x)}" for x in generator.pareto(1.0, count)],
}


def tables(seed: int, rows: tuple[int, int], shift: float = 0.0) -> Any:
    generator = np.random.default_rng(seed)
    made = []
    for count in rows:
        columns = {name: draw(generator, count) for name, draw in DRAWS.items()}
        columns["numbers"] = (np.array(columns["numbers"]) + shift * bool(made)).tolist()
        made.append(tabled.table(["y"] * count, columns))
    (train, schema), (log, _) = made
    return train, log, schema


def test_a_sample_of_the_same_has_drifted_no_more_often_than_declared() -> None:
    """By chance alone at most one night in five is told of at 0.2; 300 nights."""
    level, nights = 0.2, 300
    told = 0
    for seed in range(nights):
        train, log, schema = tables(seed, (300, 120))
        found = logged.judged(list(logged.look(train, log, schema)), 1e-9, level)
        told += bool(found)
    assert told <= stats.binom.ppf(0.999, nights, level)
    # And it is a test: it does tell of some.
    assert told >= nights * level / 5


def test_a_shift_is_an_error_a_small_one_a_warning_and_the_rest_is_quiet() -> None:
    for shift, severity in ((1.0, "error"), (0.38, "warning"), (0.0, None)):
        train, log, schema = tables(1, (3000, 1500), shift)
        found = logged.judged(list(logged.look(train, log, schema)), 0.2, 0.01)
        assert [(one.name, one.severity) for one in found] == (
            [("drift:numbers", severity)] if severity else []
        )
    assert (
        "median"
        in logged.judged(list(logged.look(*tables(1, (3000, 1500), 1.0))), 0.2, 0.01)[0].evidence
    )


def test_missing_cells_unseen_categories_and_texts() -> None:
    train, schema = tabled.table(
        ["y"] * 200,
        {"x": [1.0, 2.0] * 100, "c": ["a", "b"] * 100, "t": ["one two", "three"] * 100},
        text=("t",),
    )
    log, _ = tabled.table(
        ["y"] * 100,
        {"x": [np.nan, 2.0] * 50, "c": ["a", "new"] * 50, "t": ["one two three four", "a"] * 50},
        text=("t",),
    )
    found = logged.judged(list(logged.look(train, log, schema)), 0.2, 0.01)
    names = {one.name for one in found if one.severity == "error"}
    assert names == {"drift:x", "missing:x", "drift:c", "drift:t"}
    told = {one.name: one.evidence for one in found}
    assert told["missing:x"] == "'x' is missing in 50.0 % of the rows instead of 0.0 %"
    assert "'b' with 0.0 % instead of 50.0 %" in told["drift:c"]
    [new] = logged.unseen(train, log, schema)
    assert (new.name, new.severity) == ("unseen:c", "error")
    assert "in 50 of 100 rows, such as 'new'" in new.evidence


def test_new_categories_are_expected_where_training_has_many_rare_ones() -> None:
    generator = np.random.default_rng(2)
    train, log = (
        tabled.table(["y"] * count, {"c": [f"c{int(x)}" for x in generator.pareto(0.4, count)]})[0]
        for count in (500, 300)
    )
    schema = tabled.table(["y"], {"c": ["a"]})[1]
    known = set(train.features["c"].tolist())
    assert np.mean([one not in known for one in log.features["c"].tolist()]) > 2 * logged.UNSEEN
    assert list(logged.unseen(train, log, schema)) == []


def test_times_are_compared_in_what_is_missing_alone() -> None:
    train, schema = tabled.table(["y"] * 90, {"t": [20_000.0] * 90}, time=("t",))
    log, _ = tabled.table(["y"] * 90, {"t": [21_000.0] * 90}, time=("t",))
    assert [one.name for one in logged.look(train, log, schema)] == ["missing:t"]
    assert logged.judged(list(logged.look(train, log, schema)), 0.2, 0.01) == []


def test_next_to_no_rows_are_no_drift() -> None:
    train, schema = tabled.table(["y"] * 50, {"x": list(range(50))})
    log, _ = tabled.table(["y"], {"x": [1e6]})
    assert list(logged.look(train, log, schema)) == []
    assert logged.judged([], 0.2, 0.01) == []
