"""Types of columns: inferred from real tables and from small ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dataset.tables.cells import Missing, Origin, read_cells
from dataset.tables.read import read_raw_table
from dataset.tables.types import Type, arrays, types_of
from pipeline.errors import InputError
from tests.conftest import SHARED

MISSING = Missing(("", "?", "NA"), {})
ORIGIN = Origin(Path("t.csv"))


def inferred(values: list[str | None]) -> Type:
    cells = read_cells(pd.Series(values, dtype=str, name="x"), MISSING)
    return types_of([cells], {})[0].type


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", " 2.5", "?", "-1e3"], "numeric"),
        (["1", "2", "x"], "categorical"),
        (["1", "inf"], "categorical"),
        (["True", "False"], "categorical"),
        (["2011-01-31", "", "01.02.2011"], "time"),
        (["2011-01-31", "soon"], "categorical"),
        (["20110131", "20110201"], "numeric"),
        (["01/02/2011", "01/13/2011"], "categorical"),
        ([f"good number {word}" for word in "abcdefgh"], "text"),
        ([f"good number {word}" for word in "abcdefg"], "categorical"),
        ([f"good number {word}" for word in "abcdefgh"] * 11, "categorical"),
        ([f"AB-{number} {number}" for number in range(50)], "categorical"),
        ([f"no. {number}" for number in range(50)], "categorical"),
        ([f"你好世界{'一二三四五六七八九十'[n]}" for n in range(10)], "text"),
        ([], "categorical"),
    ],
)
def test_a_type_fits_all_cells(values: list[str | None], kind: Type) -> None:
    assert inferred(values) == kind


def test_many_texts_are_free_however_often_each_is_met() -> None:
    names = [f"one {'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]} {n}" for n in range(1001)]
    assert inferred(names * 11) == "text"
    assert inferred(names[:-1] * 11) == "categorical"


@pytest.mark.parametrize(
    ("file", "texts", "times", "categories"),
    [
        ("tabular/telco_churn.csv", (), (), ("customerID", "PaymentMethod", "Churn")),
        ("tabular/titanic.csv", ("Name",), (), ("Sex", "Ticket", "Cabin", "Embarked")),
        (
            "tabular/penguins_raw.csv",
            ("Comments",),
            ("Date Egg",),
            ("Species", "Stage", "Individual ID", "Clutch Completion"),
        ),
        ("time/bike_sharing_hour.csv", (), ("dteday",), ()),
        ("tabular/auto_mpg.csv", ("name",), (), ("origin",)),
        ("tabular/adult_test.csv", (), (), ("marital_status", "native_country")),
        ("group/parkinsons_telemonitoring.csv", (), (), ()),
        ("text/sms_spam.csv", ("text",), (), ("label",)),
    ],
)
def test_real_tables_are_understood(
    file: str, texts: tuple[str, ...], times: tuple[str, ...], categories: tuple[str, ...]
) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    raw = read_raw_table(SHARED / file)
    cells = [read_cells(raw.frame[name], MISSING) for name in raw.frame.columns]
    columns = types_of(cells, {})
    types = {column.name: column.type for column in columns}
    assert tuple(name for name, kind in types.items() if kind == "text") == texts
    assert tuple(name for name, kind in types.items() if kind == "time") == times
    assert {name: types[name] for name in categories} == dict.fromkeys(categories, "categorical")
    if not categories:
        assert {kind for kind in types.values() if kind != "time"} == {"numeric"}
    values = arrays(cells, columns, raw.origin)
    for name in times:
        pandas = pd.to_datetime(raw.frame[name], format="%Y-%m-%d")
        expected = (pandas - pd.Timestamp(0)) / pd.Timedelta(days=1)
        np.testing.assert_array_equal(values[name], expected.to_numpy(dtype=np.float64))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("numeric", r"t\.csv: row 2, column 'x': 'b' is not a number, and the column is numeric"),
        ("time", r"t\.csv: row 2, column 'x': 'b' is not a time, and the column holds times"),
    ],
)
def test_a_given_type_is_kept_and_wrong_cells_are_named(kind: Type, said: str) -> None:
    first = "1" if kind == "numeric" else "2011-01-31"
    cells = [read_cells(pd.Series([first, "b", ""], dtype=str, name="x"), MISSING)]
    columns = types_of(cells, {"x": kind})
    with pytest.raises(InputError, match=said):
        arrays(cells, columns, ORIGIN)
    assert len(arrays([cells[0].take(np.array([0, 2]))], columns, ORIGIN)["x"]) == 2


def test_arrays_are_as_examples_have_them() -> None:
    columns = {"n": ["1", ""], "c": ["a", "?"], "w": [" b c ", ""], "t": ["1970-01-02", "NA"]}
    given: dict[str, Type] = {"n": "numeric", "c": "categorical", "w": "text", "t": "time"}
    cells = [read_cells(pd.Series(v, dtype=str, name=n), MISSING) for n, v in columns.items()]
    found = arrays(cells, types_of(cells, given), ORIGIN)
    assert [found[name].dtype for name in "ncwt"] == [np.float32, object, object, np.float64]
    np.testing.assert_array_equal(found["n"], [1, np.nan])
    np.testing.assert_array_equal(found["t"], [1, np.nan])
    assert (found["c"].tolist(), found["w"].tolist()) == (["a", ""], ["b c", ""])
