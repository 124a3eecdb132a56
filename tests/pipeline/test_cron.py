"""What is accepted as a cron expression, held against the parser that Prefect brings."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect._vendor.croniter import croniter  # type: ignore[import-untyped]

from pipeline import cron

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def _numbers(low: int, high: int, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    plain = st.integers(low, high).map(str)
    return st.one_of(plain, st.sampled_from([*names, *map(str.upper, names)])) if names else plain


def _texts(low: int, high: int, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    ends = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    ranges = st.one_of(st.just("*"), ends.map(lambda pair: f"{pair[0]}-{pair[1]}"))
    stepped = st.tuples(ranges, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    part = st.one_of(_numbers(low, high, names), ranges, stepped)
    return st.lists(part, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(*(_texts(field.low, field.high, field.names) for field in cron.FIELDS)).map(
    " ".join
)


@given(EXPRESSIONS)
def test_what_is_accepted_is_accepted_by_prefect_and_comes(expression: str) -> None:
    assert croniter.is_valid(expression)
    try:
        cron.check(expression)
    except ValueError:
        # Of what these strategies make, only days that no month has are refused.
        with pytest.raises(ValueError, match="would never run"):
            cron.check(expression)
    else:
        assert croniter(expression, NOW).get_next(datetime) > NOW


@given(st.text("0123456789*/-, monjas", max_size=20))
def test_what_prefect_refuses_is_refused(text: str) -> None:
    if not croniter.is_valid(text):
        with pytest.raises(ValueError, match="cron"):
            cron.check(text)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 3 * *", "cron has 5 fields, minute, hour, .*; 4 were given"),
        ("@daily", "1 were given"),
        ("60 3 * * *", "'60' is no minute: it goes from 0 to 59"),
        ("0 5-3 * * *", "'5-3' is no hour: it goes from 0 to 23"),
        ("*/0 * * * *", "'\\*/0' is no minute: a step is from 1 to 59"),
        ("0 3 ? * *", "'\\?' is no day of the month: it takes"),
        ("0 3 * feb mun", "'mun' is no day of the week"),
        ("0 3 31 2,4 *", "no such month has a day 31, so it would never run"),
        ("0 3 30 2 0-7", "would never run"),
    ],
)
def test_what_is_wrong_is_said(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cron.check(expression)


@pytest.mark.parametrize("expression", ["0 3 29 2 *", "0 3 31 2 mon", "*/15 9-17 * * mon-fri"])
def test_rare_days_that_come_are_accepted(expression: str) -> None:
    cron.check(expression)
