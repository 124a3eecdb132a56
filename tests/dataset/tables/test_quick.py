"""The quick reader: the same cells as the strict one, or none."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset.tables import texts
from dataset.tables.quick import quick_frame
from dataset.tables.read import read_table
from pipeline.errors import InputError

PIECES = st.sampled_from(['"', '""', ",", "\n", "\r", "\r\n", " ", "a", "b;", "ü", "|", "\t"])


def strict(path: Path) -> list[list[str]] | str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "quick_frame", lambda *_: None)
        return either(path)


def either(path: Path) -> list[list[str]] | str:
    try:
        frame = read_table(path)
    except InputError as error:
        return str(error)
    assert {str(dtype) for dtype in frame.dtypes} == {"str"}
    return [list(frame.columns), *frame.to_numpy(dtype=object).tolist()]


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(PIECES, max_size=30))
@example(pieces=["a", ",", "b\n", '"', "x", '"', "y", ",", "1\n"])
@example(pieces=["a", ",", "b\n", " ", '"', "x", ",", '"', ",", "1\n"])
@example(pieces=["a", ",", "b\n", '"', " x", '"', ",", " y\n"])
@example(pieces=["a\n", " \n", '""\n', "\n", "b"])
@example(pieces=["a", ",", "b\r", "1", ",", "2\r", "\n", "3", ",", "4"])
def test_both_readers_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes("".join(pieces).encode())
    assert either(path) == strict(path)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.lists(PIECES, max_size=4).map("".join), min_size=3, max_size=3),
        min_size=2,
        max_size=8,
    ),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_both_readers_say_the_same_of_whole_tables(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoting: int, end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([["x", "y", "z"], *rows])  # type: ignore[arg-type]
    path = tmp_path_factory.getbasetemp() / "whole.csv"
    path.write_bytes(text.getvalue().encode())
    assert either(path) == strict(path)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n\n3,4\n",
        'a,b\n"1,\n""2""",2\n3,""\n',
        "a, b\n1,  2\n",
        '"a","b"\r\n"1","2"\r\n',
        "a,b\n1,2",
    ],
)
def test_regular_text_needs_no_strict_reader(text: str) -> None:
    names = ["a", "b"]
    assert quick_frame(text.encode(), ",", names, names) is not None


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1,"2"x\n',
        'a,b\n1,2"x"\n',
        'a,b\n1, "2"\n',
        'a,b\n1,"2\n',
        "a,b\n1\n",
        "a,b\n1,2,3\n",
        "a,b\n1," + "x" * csv.field_size_limit() + "\n",
    ],
)
def test_irregular_text_is_left_to_the_strict_reader(text: str) -> None:
    names = ["a", "b"]
    assert quick_frame(text.encode(), ",", names, names) is None
