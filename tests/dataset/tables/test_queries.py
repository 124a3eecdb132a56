"""Queries of a real SQLite file, and the snapshots they leave."""

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dataset.tables.queries import read_query, write_snapshot
from dataset.tables.read import infer, read_table
from pipeline.errors import EnvironmentFault, InputError


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "shop 1.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table sales (id, item, price, note, raw)")
        rows = [(1, "a:b", 2.5, None, b"x"), (None, "50%", 3, 1, None), (3, "c", 4, "u", None)]
        connection.executemany("insert into sales values (?, ?, ?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{path}"


def test_the_rows_of_a_query_become_a_table(url: str, tmp_path: Path) -> None:
    query = "select id, item, price, note, 'x:y' as k from sales where item like '%' order by price"
    frame = read_query(url, query)
    assert list(frame.columns) == ["id", "item", "price", "note", "k"]
    assert frame["note"].tolist() == [None, 1, "u"]
    paths = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for path in paths:
        write_snapshot(frame, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    back = read_table(paths[0])
    assert back["item"].tolist() == ["a:b", "50%", "c"]
    assert back["id"].tolist()[0] == 1
    kinds = {column.name: column.type for column in infer(back, ())}
    assert kinds == {
        "id": "numeric",
        "item": "categorical",
        "price": "numeric",
        "note": "categorical",
        "k": "categorical",
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", 'the query fails: near "selec": syntax error'),
        ("select x from buys", "no such table: buys"),
        ("delete from sales", "attempt to write a readonly database"),
        ("drop table sales", "attempt to write a readonly database"),
        ("select 1; select 2", "one statement at a time"),
        ("", "gives no rows. Give a SELECT"),
        ("select id from sales where 0", "the query gives no rows"),
        ("select id, item as id from sales", "the column 'id' is there twice"),
    ],
)
def test_a_wrong_query_is_refused_and_changes_nothing(url: str, query: str, said: str) -> None:
    before = Path(url.removeprefix("sqlite:///")).read_bytes()
    with pytest.raises(InputError) as error:
        read_query(url, query)
    assert said in str(error.value)
    assert Path(url.removeprefix("sqlite:///")).read_bytes() == before


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(InputError, match="no such SQLite file"):
        read_query(f"sqlite:///{path}", "select 1")
    assert not path.exists()


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.write_text("words, not pages" * 100)
    with pytest.raises(InputError, match="file is not a database"):
        read_query(f"sqlite:///{path}", "select * from sales")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("words", "The address of the database cannot be read"),
        ("nosuch://u:secret@h/d", "no such kind of database"),
        ("mssql+pymssql://u:secret@h/d", "the driver 'pymssql' is not installed"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_query(url, "select 1")
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_a_database_that_does_not_answer_is_no_fault_of_the_input(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(EnvironmentFault, match="does not answer: unable to open"):
        read_query(url, "select 1")


def test_values_that_are_no_cells_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'raw' of the query holds bytes"):
        write_snapshot(read_query(url, "select raw from sales"), tmp_path / "t.parquet")
    large = pd.DataFrame({"n": pd.Series([2**70, 1, None], dtype=object)})
    write_snapshot(large, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["n"].tolist()[:2] == [str(2**70), "1"]
    assert np.isnan(read_table(tmp_path / "t.parquet")["n"].tolist()[2])
