"""Points in time as tables write them: only forms that can be read in one way.

Years have four digits. ISO 8601 (`2011-01-31`, with a clock behind `T` or a space, a zone behind
that), the same with slashes, `31.01.2011`, and English names of months. `01/02/2011` is no time
here: it may be a day in January or in February.
"""

import re
from typing import Any

import numpy as np

from dataset.tables.cells import Floats

_CLOCK = (
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?"
    r" ?(?:Z|(?P<sign>[+-])(?P<ahead>\d\d)(?::?(?P<past>\d\d))?)?)?"
)
_NAME = r"(?P<name>[A-Za-z]{3,9})"
_DATES = (
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
    r"(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})",
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    rf"(?P<day>\d{{1,2}})[ -]{_NAME}[ -](?P<year>\d{{4}})",
    rf"{_NAME} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})",
)
_MONTHS = "january february march april may june july august september october november december"
_FORMS = [re.compile(f"{date}{_CLOCK}", re.ASCII) for date in _DATES]
FORMS = "2011-01-31, 2011-01-31T13:30:00Z, 2011/01/31, 31.01.2011 or 31 Jan 2011"
"""For messages."""


def days(values: Any) -> Floats:
    """`(n,)` days since 1970-01-01, UTC where a zone is given; NaN for what is no time.

    values: Arrow's array `(n,)` of stripped text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = np.full(len(values), np.nan)
    left = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    for date in _DATES:
        if not len(left):
            break
        groups = pc.extract_regex(values.take(pa.array(left)), f"^{date}{_CLOCK}$")
        matched = groups.is_valid().to_numpy(zero_copy_only=False)
        if matched.any():
            found[left[matched]] = _days(groups.filter(pa.array(matched)))
            left = left[~matched]
    return found


def looks_like_time(text: str) -> bool:
    """Whether a text has one of the forms, be there such a day or not; quicker than `days`."""
    return any(form.fullmatch(text) for form in _FORMS)


def _days(groups: Any) -> Floats:
    names = {field.name for field in groups.type}
    year, day = _whole(groups, "year"), _whole(groups, "day")
    month = _named(groups) if "name" in names else _whole(groups, "month")
    hour, minute, second = (_whole(groups, name) for name in ("hour", "minute", "second"))
    good = (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    first = (12 * (year - 1970) + np.where(good, month, 1) - 1).astype("datetime64[M]")
    start, end = (at.astype("datetime64[D]").astype(np.int64) for at in (first, first + 1))
    good &= day <= end - start
    ahead = 60 * _whole(groups, "ahead") + _whole(groups, "past")
    minus = groups.field("sign").to_numpy(zero_copy_only=False) == "-"
    seconds = 60 * (60 * hour + minute - np.where(minus, -ahead, ahead)) + second
    return np.where(good, start + day - 1 + (seconds + _part(groups)) / 86_400, np.nan)


def _whole(groups: Any, name: str) -> Any:
    """One group as whole numbers, 0 where it is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = groups.field(name)
    return pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64()).to_numpy()


def _part(groups: Any) -> Floats:
    """The part of a second, in seconds."""
    import pyarrow.compute as pc

    digits = pc.utf8_length(groups.field("part")).to_numpy().astype(np.float64)
    part: Floats = _whole(groups, "part") / 10**digits
    return part


def _named(groups: Any) -> Any:
    """Months by their English names, or the first three letters; 0 for other words."""
    places = {
        name[:length]: place for place, name in enumerate(_MONTHS.split(), 1) for length in (3, 9)
    }
    names = groups.field("name").to_pylist()
    return np.array([places.get(name.lower(), 0) for name in names], dtype=np.int64)
