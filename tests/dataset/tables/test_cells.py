"""Cells: what is written, what is missing, and which number is spelled."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.tables.cells import Cells, Missing, Origin, all_numbers, numbers, read_cells

SPELLED = st.text("0123456789+-.eE _xinfa", max_size=7) | st.floats().map(repr)


def cells(values: list[Any], missing: Missing, dtype: Any = str) -> Cells:
    return read_cells(pd.Series(values, dtype=dtype, name="x"), missing)


@settings(deadline=None)
@given(texts=st.lists(SPELLED, max_size=5))
def test_numbers_are_what_python_reads(texts: list[str]) -> None:
    found = numbers(pa.array(texts, pa.large_string()))
    for text, value in zip(texts, found.tolist(), strict=True):
        try:
            # Python takes 1_000 and blanks, which are no numbers of a table.
            expected = float("x" if "_" in text or text != text.strip() else text)
        except ValueError:
            expected = np.nan
        assert value == expected or not (np.isfinite(value) or np.isfinite(expected))


@settings(deadline=None)
@given(texts=st.lists(SPELLED, max_size=80))
def test_the_quick_way_gives_the_same_numbers_or_none(texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    one_by_one = [numbers(array[place : place + 1])[0] for place in range(len(texts))]
    quick = all_numbers(array)
    if quick is not None:
        np.testing.assert_array_equal(quick, one_by_one)
    np.testing.assert_array_equal(np.isfinite(numbers(array)), np.isfinite(one_by_one))


def test_a_cell_is_read_alike_whatever_stands_beside_it() -> None:
    alone = numbers(pa.array(["0.1", "1e22"], pa.large_string()))
    beside = numbers(pa.array(["0.1", "1e22", "many"], pa.large_string()))
    assert beside[:2].tolist() == alone.tolist() == [0.1, 1e22]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["0", " 0.0", "-0", "1", "00", "no"], str),
        ([0.0, 0.0, -0.0, 1.0, 0.0, 2.0], np.float64),
        ([0, 0, 0, 1, 0, 2], np.int64),
        (["0", 0, 0.0, 1, "0e3", None], object),
    ],
)
def test_a_sentinel_that_is_a_number_is_met_in_any_spelling(values: list[Any], dtype: Any) -> None:
    found = cells(values, Missing((), {"x": ["0"], "y": ["1", "2"]}), dtype)
    assert found.absent.tolist() == [True, True, True, False, True, values[-1] is None]


def test_sentinels_are_texts_without_white_space() -> None:
    found = cells([" NA ", "na", "", None, " a\t"], Missing((" NA", ""), {}))
    assert found.absent.tolist() == [True, False, True, True, False]
    assert found.texts().tolist() == ["", "na", "", "", "a"]


def test_stored_values_are_written_as_python_writes_them() -> None:
    nothing = Missing((), {})
    assert cells([1.0, None, 2.5], nothing, np.float64).texts().tolist() == ["1.0", "", "2.5"]
    assert cells([0.1], nothing, np.float32).texts().tolist() == ["0.1"]
    assert cells([1, None], nothing, object).texts().tolist() == ["1", ""]
    assert cells([True, None, False], nothing, object).texts().tolist() == ["True", "", "False"]
    assert cells([True, False], nothing, bool).texts().tolist() == ["True", "False"]
    assert cells([None, None], nothing, object).texts().tolist() == ["", ""]


def test_rows_keep_their_places() -> None:
    taken = cells(list("abcd"), Missing(("b",), {})).take(np.array([3, 1]))
    assert (taken.rows.tolist(), taken.texts().tolist()) == ([3, 1], ["d", ""])
    origin = Origin(Path("d"), ((Path("d/train.csv"), 2), (Path("d/test.csv"), 3)))
    assert [origin.row(place) for place in (1, 2, 9)] == [
        "d/train.csv: row 2",
        "d/test.csv: row 1",
        "d: row 10",
    ]
