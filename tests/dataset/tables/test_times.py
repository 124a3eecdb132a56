"""Times: which texts are some, and which day they name."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.tables.times import days, looks_like_time


def day(text: str) -> float:
    return float(days(pa.array([text], pa.large_string()))[0])


@settings(deadline=None)
@given(
    moment=st.datetimes(
        timezones=st.just(datetime.UTC)
        | st.integers(-840, 840).map(
            lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
        )
    ),
    between=st.sampled_from("T "),
)
def test_iso_texts_are_what_python_means(moment: datetime.datetime, between: str) -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    expected = (moment - epoch) / datetime.timedelta(days=1)
    text = moment.isoformat(between)
    assert day(text) == pytest.approx(expected, rel=1e-12, abs=1e-11)
    assert looks_like_time(text)


@settings(deadline=None)
@given(date=st.dates())
def test_every_form_of_a_day_is_the_same_day(date: datetime.date) -> None:
    texts = [
        date.isoformat(),
        date.isoformat().replace("-", "/"),
        f"{date.day:02}.{date.month:02}.{date.year:04}",
        f"{date.day}.{date.month}.{date.year:04}",
        date.strftime("%d %b ") + f"{date.year:04}",
        date.strftime("%d-%b-") + f"{date.year:04}",
        date.strftime("%B %d, ") + f"{date.year:04}",
    ]
    expected = date.toordinal() - datetime.date(1970, 1, 1).toordinal()
    assert days(pa.array(texts, pa.large_string())).tolist() == [expected] * len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "01/02/2011",
        "20110131",
        "1296432000",
        "2011",
        "2011-01",
        "11-01-31",
        "1.2.11",
        "2011-02-29",
        "2011-13-01",
        "2011-00-10",
        "2011-01-00",
        "0000-01-01",
        "2011-01-31 24:00",
        "2011-01-31 12:60",
        "2011-01-31x",
        "31 Foo 2011",
        "12:30",
        "today",
        "",
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_no_time(text: str) -> None:
    assert np.isnan(day(text))


def test_forms_may_be_mixed_and_cells_missing() -> None:
    texts = ["1970-01-02", None, "x", "03.01.1970", "1970/01/01 06:00"]
    found = days(pa.array(texts, pa.large_string()))
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, 2, 0.25])
