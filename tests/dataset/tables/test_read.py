"""Tables of every ending: read back as they were written, and refused in which words."""

import csv
import datetime
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.tables.cells import Missing, Origin, read_cells
from dataset.tables.files import TABLE_ENDINGS
from dataset.tables.read import infer, read_table, typed
from pipeline.errors import InputError

MISSING = ("", "?", "NA")
DELIMITERS = ",;\t|"


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(frame: pd.DataFrame) -> list[list[Any]]:
    rows = frame.astype(object).where(frame.notna(), None).to_numpy(dtype=object).tolist()
    return [list(frame.columns), *rows]


def types(frame: pd.DataFrame) -> dict[str, str]:
    return {column.name: column.type for column in infer(frame, MISSING)}


def arrays(frame: pd.DataFrame) -> dict[str, list[Any]]:
    values = typed(frame, infer(frame, MISSING), Missing(MISSING, {}), Origin(Path("table")))
    return {name: array.tolist() for name, array in values.items()}


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_table(path)
    assert str(error.value).startswith(str(path))
    return str(error.value)


def written(rows: list[list[str]], delimiter: str, quoting: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows(rows)
    return text.getvalue().encode()


@st.composite
def tables(draw: st.DrawFn, alphabet: st.SearchStrategy[str]) -> list[list[str]]:
    width = draw(st.integers(1, 4))
    header = [f"c{place}" for place in range(width)]
    cell = st.text(alphabet, max_size=6)
    row = st.lists(cell, min_size=width, max_size=width)
    return [header, *draw(st.lists(row, min_size=1, max_size=5))]


LETTERS = st.characters(codec="utf-8", exclude_characters="\0")


@given(
    rows=tables(LETTERS | st.sampled_from("\"'\n\r ,;\t|")), delimiter=st.sampled_from(DELIMITERS)
)
def test_a_quoted_table_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str
) -> None:
    raw = written(rows, delimiter, csv.QUOTE_ALL)
    path = put(tmp_path_factory.getbasetemp(), "quoted.csv", raw)
    assert cells(read_table(path)) == rows


@given(data=st.data(), delimiter=st.sampled_from(DELIMITERS))
def test_a_table_quoted_where_needed_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, delimiter: str
) -> None:
    # Other delimiters inside bare cells would make it a table by two readings.
    others = DELIMITERS.replace(delimiter, "")
    bare = st.characters(codec="utf-8", exclude_characters="\0 " + others)
    rows = data.draw(tables(bare | st.sampled_from("\"'\n\r" + delimiter)))
    raw = written(rows, delimiter, csv.QUOTE_MINIMAL)
    path = put(tmp_path_factory.getbasetemp(), "bare.txt", raw)
    assert cells(read_table(path)) == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1,5;2\n2,5;3\n", [["a", "b"], ["1,5", "2"], ["2,5", "3"]]),
        ("h, cm;w, kg\n1,8;7,5\n", [["h, cm", "w, kg"], ["1,8", "7,5"]]),
        ("a,b\nit's,that's\n'x,y'\n", [["a", "b"], ["it's", "that's"], ["'x", "y'"]]),
        ('a|b\n"x|y"|2\n', [["a", "b"], ["x|y", "2"]]),
        ("a\n1\n2\n", [["a"], ["1"], ["2"]]),
        ('a, b\n\n1, "x, y"\n\n', [["a", "b"], ["1", "x, y"]]),
        ("a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
        ("a,b\nNA,007\n", [["a", "b"], ["NA", "007"]]),
    ],
)
def test_the_delimiter_is_found_and_cells_stay_text(
    tmp_path: Path, text: str, rows: list[list[str]]
) -> None:
    assert cells(read_table(put(tmp_path, "t.csv", text))) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("name", ["t.csv", "t.TSV.gz", "t.txt"])
def test_every_encoding_gives_the_same_text(tmp_path: Path, encoding: str, name: str) -> None:
    raw = "größe\tcity\n1\tZürich €\n".encode(encoding)
    path = put(tmp_path, name, gzip.compress(raw) if name.endswith(".gz") else raw)
    assert cells(read_table(path)) == [["größe", "city"], ["1", "Zürich €"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n\n3,4,5\n", "the row at line 4: cells found 3, expected 2"),
        ('a,b\n"1\n1",2\n3\n', "the row at line 4: cells found 1, expected 2"),
        ('a,b\n1,2\n1,"2\n3,4\n', "the row at line 3: unexpected end of data"),
        ('a,b\n1,2\n"1"x,2\n', "the row at line 3: ',' expected after"),
        ("a,b\n1," + "x" * 200_000, "the row at line 2: field larger than field limit"),
        ("a, a\n1,2\n", "the column 'a' is there twice"),
        ("a,b\n", "a header but no rows"),
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b\n1,\0\n", "NUL bytes"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL bytes"),
        ("a,b\n1,2\n".encode("utf-32"), "NUL bytes"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "byte 16 is not UTF-16 text"),
        ("a,ü\n1,".encode() + b"\xff\n", "byte 7 is not UTF-8 text, and what stands before it is"),
        (b"a,b\n1,\x81\n", "byte 6 is not UTF-8 text, nor Windows-1252"),
    ],
)
def test_a_bad_text_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = put(tmp_path, "t.csv", text)
    assert said in refused(path)
    again = put(tmp_path, "t.csv.gz", gzip.compress(path.read_bytes()))
    assert said in refused(again)


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.jsonl.gz"])
def test_json_lines_are_text_with_missing_cells(tmp_path: Path, name: str) -> None:
    text = '{"a": 1.0, "b": true}\n\n{"b": false, "c": "x"}\r\n{"a": null, "c": 12345678901}\n'
    raw = text.encode()
    frame = read_table(put(tmp_path, name, gzip.compress(raw) if name.endswith("gz") else raw))
    assert cells(frame) == [
        ["a", "b", "c"],
        ["1.0", "True", None],
        [None, "False", "x"],
        [None, None, "12345678901"],
    ]
    assert types(frame) == {"a": "numeric", "b": "categorical", "c": "categorical"}
    assert arrays(frame)["b"] == ["True", "False", ""]
    np.testing.assert_array_equal(arrays(frame)["a"], [1, np.nan, np.nan])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"a": 1', "line 2 is not JSON: Expecting ',' delimiter at column 8"),
        ("[1, 2]", "line 2 is not a JSON object"),
        ('{"a": {"b": 1}}', "line 2, key 'a': an object is no cell"),
        ('{"a": [1]}', "line 2, key 'a': a list is no cell"),
        ('{"a": 1, "a": 2}', "line 2 cannot be read: the key 'a' is there twice"),
        ('{"a": "\\ud800"}', "line 2 cannot be read"),
        ("[" * 100_000, "line 2 cannot be read"),
        ('{"a": 1, " a": 2}', "the column 'a' is there twice"),
    ],
)
def test_a_bad_json_line_is_refused(tmp_path: Path, line: str, said: str) -> None:
    assert said in refused(put(tmp_path, "t.jsonl", f'{{"a": 1}}\n{line}\n'))


def test_json_without_content_is_refused(tmp_path: Path) -> None:
    assert "the file is empty" in refused(put(tmp_path, "t.jsonl", "\n"))
    assert "no columns" in refused(put(tmp_path, "t.jsonl", "{}\n"))


def stored() -> pa.Table:
    day, moment = datetime.date(2020, 2, 1), datetime.datetime(2020, 2, 1, 12, 30)
    return pa.table(
        {
            "flag": [True, False, None],
            "whole": [1, 2, None],
            "real": [0.5, None, 2.0],
            "text": ["x", "y", None],
            "kind": pa.array(["p", "q", "p"]).dictionary_encode(),
            "price": [Decimal("1.10"), None, Decimal("2.00")],
            "day": [day, None, day],
            "moment": pa.array([moment, None, datetime.datetime(2020, 1, 1)], pa.timestamp("ns")),
            "zoned": pa.array([moment, None, moment], pa.timestamp("ms", "UTC")),
            "span": pa.array([datetime.timedelta(days=1), None, None]),
            "nothing": pa.nulls(3),
        }
    )


def put_stored(folder: Path, name: str, table: pa.Table) -> Path:
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path)
    return path


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrow"])
def test_stored_types_work_downstream(tmp_path: Path, name: str) -> None:
    frame = read_table(put_stored(tmp_path, name, stored()))
    numeric = [name for name, kind in types(frame).items() if kind == "numeric"]
    assert numeric == ["whole", "real", "price"]
    values = arrays(frame)
    np.testing.assert_array_equal(values["whole"], [1, 2, np.nan])
    np.testing.assert_array_equal(values["price"], np.float32([1.1, np.nan, 2]))
    times = {name for name, kind in types(frame).items() if kind == "time"}
    assert times == {"day", "moment", "zoned"}
    day, new_year = 18293.0, 18262.0
    np.testing.assert_array_equal(values["day"], [day, np.nan, day])
    np.testing.assert_array_equal(values["moment"], [day + 12.5 / 24, np.nan, new_year])
    np.testing.assert_array_equal(values["zoned"], [day + 12.5 / 24, np.nan, day + 12.5 / 24])
    assert {name: values[name] for name in values if name not in {*numeric, *times}} == {
        "flag": ["True", "False", ""],
        "text": ["x", "y", ""],
        "kind": ["p", "q", "p"],
        "span": ["P1DT0H0M0S", "", ""],
        "nothing": ["", "", ""],
    }


def test_the_text_of_a_cell_does_not_depend_on_other_rows(tmp_path: Path) -> None:
    def texts(table: pa.Table) -> dict[str, list[str]]:
        frame = read_table(put_stored(tmp_path, "t.parquet", table))
        names = ("flag", "day", "moment", "zoned", "span")
        return {name: read_cells(frame[name], Missing((), {})).texts().tolist() for name in names}

    whole = texts(stored())
    assert whole["moment"] == ["2020-02-01T12:30:00", "", "2020-01-01T00:00:00"]
    assert whole["zoned"][0] == "2020-02-01T12:30:00+00:00"
    for row in range(3):
        one = texts(stored().slice(row, 1))
        assert one == {name: [cells[row]] for name, cells in whole.items()}
    put_stored(tmp_path, "t.parquet", stored())
    assert read_table(tmp_path / "t.parquet")["whole"].astype(str).tolist()[:2] == ["1", "2"]


@pytest.mark.parametrize(
    "column",
    [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"x"]), pa.array([b"x"], pa.binary(1))],
)
@pytest.mark.parametrize("name", ["t.parquet", "t.feather"])
def test_a_column_of_no_cells_is_refused(tmp_path: Path, name: str, column: pa.Array) -> None:
    said = refused(put_stored(tmp_path, name, pa.table({"a": [1], "b": column})))
    assert "the column 'b' holds" in said


def test_a_text_that_ends_beyond_its_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.feather"
    table = pa.table({"a": ["wxyz"]})
    pyarrow.feather.write_feather(table, path, compression="uncompressed")
    raw, end = path.read_bytes(), bytes(4) + (4).to_bytes(4, "little") + b"wxyz"
    assert raw.count(end) == 1
    put(tmp_path, "t.feather", raw.replace(end, end[:4] + (8).to_bytes(4, "little") + end[8:]))
    assert "not a readable Feather file" in refused(path)


def test_equal_names_are_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", " a"])
    assert "the column 'a' is there twice" in refused(put_stored(tmp_path, "t.parquet", table))


def test_a_folder_is_its_parts_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    put_stored(folder, "b.parquet", pa.table({"y": ["r"], "x": [3]}))
    put_stored(folder, "a.parquet", pa.table({"x": [1, 2], "y": ["p", "q"]}))
    put_stored(folder, "c.parquet", pa.table({"x": pa.array([], pa.float64()), "y": pa.nulls(0)}))
    put(folder, "_SUCCESS", "")
    put(folder, "._a.parquet", "of macOS")
    frame = read_table(folder)
    assert cells(frame) == [["x", "y"], [1, "p"], [2, "q"], [3, "r"]]
    assert frame["x"].dtype == np.int64


def test_a_folder_that_is_no_table_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    assert "has no .parquet file" in refused(folder)
    put_stored(folder, "a.parquet", pa.table({"x": [1], "y": [2]}))
    put_stored(folder, "b.parquet", pa.table({"x": [1]}))
    with pytest.raises(InputError, match=r"b\.parquet: there is no column 'y', which a\.parquet"):
        read_table(folder)
    put_stored(folder, "b.parquet", pa.table({"x": [1], "y": [2], "z": [3]}))
    with pytest.raises(InputError, match=r"b\.parquet: the column 'z' is not in a\.parquet"):
        read_table(folder)
    put(folder, "b.parquet", "PAR1")
    with pytest.raises(InputError, match=r"b\.parquet: not a readable Parquet file"):
        read_table(folder)


def test_a_number_that_float32_cannot_hold_is_refused(tmp_path: Path) -> None:
    frame = read_table(put(tmp_path, "t.csv", "a,b\n1e38,x\n1e39,y\n"))
    with pytest.raises(InputError, match=r"row 2, column 'a': '1e39' is too large a number"):
        arrays(frame)


def test_an_unknown_ending_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    said = refused(put(tmp_path, "t.xlsx", "x"))
    assert "the ending .xlsx is not known" in said
    assert all(known in said for known in TABLE_ENDINGS)
    assert "the ending (none) is not known" in refused(put(tmp_path, "t", "x"))
    assert "Did you mean t.xlsx?" in refused(tmp_path / "t.xls")


def sample(ending: str) -> bytes:
    rows = [["n", "größe"], *([str(n), f"x;{n}, ü"] for n in range(9))]
    raw = written(rows, ",", csv.QUOTE_MINIMAL)
    if "json" in ending:
        raw = "".join(
            json.dumps(dict(zip(rows[0], row, strict=True))) + "\n" for row in rows
        ).encode()
    if ending.endswith(".gz"):
        return gzip.compress(raw, mtime=0)
    sink = io.BytesIO()
    if ending == ".parquet":
        pq.write_table(stored(), sink)
    elif ending in (".feather", ".arrow"):
        pyarrow.feather.write_feather(stored(), sink)
    return sink.getvalue() or raw


@pytest.mark.parametrize("ending", TABLE_ENDINGS)
def test_damaged_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, ending: str
) -> None:
    good = sample(ending)
    folder = tmp_path_factory.getbasetemp()
    assert len(read_table(put(folder, f"good{ending}", good)))

    @given(
        changes=st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4),
        length=st.just(len(good)) | st.integers(0, len(good)),
    )
    def damaged(changes: list[tuple[int, int]], length: int) -> None:
        raw = bytearray(good)
        for place, byte in changes:
            raw[place] = byte
        path = put(folder, f"bad{ending}", bytes(raw[:length]))
        try:
            arrays(read_table(path))
        except InputError:
            return

    damaged()
