"""Parts: what they share is found, and drift that is large and no chance."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from dataset.checks import drift
from dataset.checks import parts as findings_parts
from dataset.checks.findings import Finding
from dataset.checks.parts import Part
from dataset.examples import Examples, Schema
from dataset.partition import content_keys, near_keys, text_keys
from tests.dataset.tabled import pictures, table

RANDOM = np.random.default_rng(8)
"""The same numbers in every test, whichever ran before it."""
SIZES = (400, 200, 200)


@pytest.fixture(autouse=True)
def begun_anew() -> None:
    RANDOM.bit_generator.state = np.random.default_rng(8).bit_generator.state


def part(examples: Examples, *, groups: Any = None, times: Any = None, near: Any = None) -> Part:
    return Part(
        examples,
        np.arange(len(examples)),
        examples.rows,
        content_keys(examples),
        near,
        None if groups is None else text_keys(groups),
        None if times is None else np.array(times),
    )


def cut(
    given: tuple[Examples, Schema],
    sizes: tuple[int, int, int] = SIZES,
    parted_by: tuple[str, ...] = (),
    **known: Any,
) -> list[Finding]:
    """Findings on consecutive stretches; `known` is said of all rows."""
    examples, schema = given
    ends = np.cumsum((0, *sizes))
    parts = [
        part(
            examples.take(np.arange(*ends[place : place + 2])),
            **{name: value[slice(*ends[place : place + 2])] for name, value in known.items()},
        )
        for place in range(3)
    ]
    return findings_parts.look(parts[0], parts[1], parts[2], schema, parted_by=parted_by)


def names(*arguments: Any, **known: Any) -> list[str]:
    return [finding.name for finding in cut(*arguments, **known)]


def columns() -> dict[str, Any]:
    return {
        "x": RANDOM.normal(0, 1, sum(SIZES)),
        "town": RANDOM.choice(["Bern", "Rom", "Wien", ""], sum(SIZES)).tolist(),
    }


def labels() -> list[str]:
    return RANDOM.choice(["a", "b"], sum(SIZES)).tolist()


def test_parts_of_one_kind_give_nothing() -> None:
    assert not cut(table(labels(), columns()))
    assert not cut(table(RANDOM.normal(0, 1, sum(SIZES)), columns(), task="regression"))


@pytest.mark.parametrize(("copies", "severity"), [(2, "warning"), (3, "error")])
def test_rows_that_parts_share_are_counted_and_named(copies: int, severity: str) -> None:
    given = columns()
    for values in given.values():
        values[600 : 600 + copies] = values[:copies]
    told = {finding.name: finding for finding in cut(table(labels(), given))}
    assert told["shared_rows:holdout"].severity == severity
    assert f"{copies} of 200" in told["shared_rows:holdout"].evidence
    assert "such as rows 601, 602" in told["shared_rows:holdout"].evidence
    assert list(told) == ["shared_rows:holdout"]
    given["x"][450], given["town"][450] = given["x"][9], given["town"][9]
    assert "shared_rows:validation" in names(table(labels(), given))


def test_rows_that_are_alike_by_nature_do_not_stop() -> None:
    few = {"town": columns()["town"], "dice": RANDOM.integers(1, 7, sum(SIZES))}
    told = cut(table(labels(), few))
    assert [finding.severity for finding in told] == ["warning"] * 2
    assert "so do most training rows" in told[0].evidence


def test_near_copies_are_found_beside_equal_pictures() -> None:
    shown = RANDOM.integers(0, 255, (40, 5, 5, 3)).repeat(6, axis=1).repeat(6, axis=2)
    shown[35] = np.clip(shown[2] + 3, 0, 255)
    given = pictures(shown.astype(np.uint8), ["a", "b"] * 20)
    told = cut(given, (20, 10, 10), near=near_keys(given[0]))
    assert [(finding.name, finding.severity) for finding in told] == [
        ("near_copies:holdout", "error")
    ]
    assert not cut(given, (20, 10, 10))


def test_groups_that_cross_are_an_error_but_in_time() -> None:
    who = np.array([f"p{place // 8}" for place in range(sum(SIZES))], dtype=object)
    assert not names(table(labels(), columns()), groups=who)
    who[-20:] = "p1"
    given = table(labels(), columns())
    [told] = cut(given, groups=who)
    assert (told.name, told.severity) == ("groups_cross:holdout", "error")
    assert "1 groups of the holdout, 20 of 200 (10.0 %)" in told.evidence
    [told] = cut(given, parted_by=("t",), groups=who)
    assert told.severity == "warning"
    who[410] = "p2"
    assert "groups_cross:validation" in names(given, groups=who)


def test_a_holdout_that_is_older_than_training_is_said() -> None:
    times = np.arange(sum(SIZES))
    given = table(labels(), columns())
    assert not names(given, times=times)
    assert names(given, times=times[::-1]) == ["times_cross:holdout"]
    assert not names(given, times=times[::-1], parted_by=("t",))


def test_drift_is_told_by_column_and_for_the_targets() -> None:
    given = columns()
    given["x"][600:] += 1
    given["town"][400:600] = ["Rom"] * 200
    wanted = labels()
    wanted[600:] = ["a"] * 199 + ["b"]
    told = {finding.name: finding for finding in cut(table(wanted, given))}
    assert set(told) == {
        "drift:x",
        "drift:town",
        "target_drift:y",
        "two_samples:validation",
        "two_samples:holdout",
    }
    assert "in holdout a Kolmogorov-Smirnov distance of 0.3" in told["drift:x"].evidence
    assert "in validation a population stability index" in told["drift:town"].evidence
    assert all(finding.severity == "warning" for finding in told.values())


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_other_targets_drift_too(task: str) -> None:
    targets = np.stack([RANDOM.random(sum(SIZES)) < 0.5, np.arange(sum(SIZES)) < 500], axis=1)
    told = cut(table(np.float32(targets), columns(), task=task))
    assert [finding.name for finding in told] == ["target_drift:y1"]


def test_with_few_groups_large_differences_are_chance() -> None:
    who = np.array([f"p{place // 40}" for place in range(sum(SIZES))], dtype=object)
    given = columns() | {"age": 40 + RANDOM.permutation(20)[np.arange(sum(SIZES)) // 40]}
    assert not names(table(labels(), given), groups=who)
    assert "drift:age" in names(table(labels(), given))


def test_differences_in_time_are_expected_and_the_time_itself_is_not_told() -> None:
    given = {"day": np.arange(sum(SIZES)), "price": np.arange(sum(SIZES)) + 50 * RANDOM.random(800)}
    told = cut(table(labels(), given), parted_by=("day",))
    assert [finding.name for finding in told] == [
        "drift:price",
        "two_samples:validation",
        "two_samples:holdout",
    ]
    assert "may well differ" in told[0].advice


def test_categories_that_training_never_met_are_said_but_ids_are_not() -> None:
    town = RANDOM.choice(["Bern", "Rom"], sum(SIZES)).tolist()
    town[600:615] = ["Oslo"] * 15
    given = {"town": town, "key": [f"k{place}" for place in range(sum(SIZES))]}
    told = [finding for finding in cut(table(labels(), given)) if "unseen" in finding.name]
    assert [finding.name for finding in told] == ["unseen:town"]
    assert "15 of 200 rows of holdout, such as 'Oslo'" in told[0].evidence


def test_every_check_is_known_by_its_name() -> None:
    given = columns()
    given["x"][600:] += 1
    for name in names(table(labels(), given)):
        assert name.split(":")[0] in findings_parts.CHECKS


def test_the_distance_is_kolmogorov_and_smirnovs() -> None:
    one, other = RANDOM.normal(0, 1, 70), RANDOM.normal(0.4, 2, 55)
    assert drift.kolmogorov_smirnov(one, other) == pytest.approx(
        stats.ks_2samp(one, other).statistic
    )
    gaps = np.where(np.arange(55) < 11, np.nan, other[0])
    assert drift.kolmogorov_smirnov(np.full(70, other[0]), gaps) == pytest.approx(0.2)


def test_the_stability_index_is_zero_for_equal_shares_and_grows() -> None:
    one = np.array(["a"] * 300 + ["b"] * 700)
    assert drift.stability_index(one, one)[0] == 0
    index, bins = drift.stability_index(one, np.array(["a"] * 700 + ["b"] * 300))
    assert index == pytest.approx(0.8 * np.log(7 / 3), rel=0.01)
    assert bins == 3


def test_chance_is_that_of_the_limits() -> None:
    level = drift.CHANCE / 4
    limit = stats.kstwobign.isf(level) * np.sqrt(1 / 50 + 1 / 80)
    assert drift._chance_distance((50, 80), 4) == pytest.approx(limit, rel=0.01)
    limit = stats.chi2.isf(level, 5) * (1 / 50 + 1 / 80)
    assert drift._chance_index((50, 80), 6, 4) == pytest.approx(limit, rel=0.03)


def test_the_area_is_scikit_learns_and_its_interval_covers() -> None:
    codes = np.array([0, 1] * 60)
    chances = np.round(RANDOM.random(120) + codes * 0.3, 1)
    area = drift._area(chances, codes)
    assert area == pytest.approx(roc_auc_score(codes, chances))
    inside = 0
    for _ in range(200):
        drawn = RANDOM.normal(0, 1, 120) + codes
        low, high = drift._interval(drift._area(drawn, codes), 60, 60)
        # Two normal distributions one apart: Phi(1 / sqrt 2).
        inside += low <= stats.norm.cdf(np.sqrt(0.5)) <= high
    assert 180 <= inside <= 200


def test_parts_without_features_to_compare_are_left_alone() -> None:
    given = table(labels(), {"day": np.arange(sum(SIZES))})
    assert not names(given, parted_by=("day",))
