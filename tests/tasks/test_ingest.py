"""Ingest: what is read, how it is typed, and what is refused in which words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.examples import PICTURE
from pipeline.artifacts import Source
from pipeline.errors import InputError
from tasks.ingest import Ingested, IngestParams, ingest

MISSING = ("", "?", "NA")
TABLE = "age,city,flag,income\n39, Bern ,yes,low\n?,Rom,NA,high\n5.5,,no,low\n1e2,Bern,yes,high\n"


def run(
    folder: Path, text: str | bytes, target: str = "income", ignore: tuple[str, ...] = ()
) -> Ingested:
    path = folder / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    params = IngestParams(path="data.csv", target=target, ignore=ignore, missing=MISSING, allow=())
    out = Ingested.at(folder / "out")
    ingest.function(out, Source(path), params)
    return out


def test_cells_are_typed_and_missing_ones_marked(tmp_path: Path) -> None:
    out = run(tmp_path, TABLE)
    examples, schema = out.table.read()
    assert [(c.name, c.type) for c in schema.columns] == [
        ("age", "numeric"),
        ("city", "categorical"),
        ("flag", "categorical"),
    ]
    np.testing.assert_array_equal(examples.features["age"], np.float32([39, np.nan, 5.5, 100]))
    assert examples.features["city"].tolist() == ["Bern", "Rom", "", "Bern"]
    assert examples.labels.tolist() == ["low", "high", "low", "high"]
    profile = out.profile.read()
    assert profile["classes"] == {"high": 2, "low": 2}
    assert [c["missing"] for c in profile["columns"]] == [1, 1, 1]


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, None, 3.0], "b": [True, False, True], "y": ["p", "q", "p"]})
    frame.to_parquet(tmp_path / "data.parquet")
    params = IngestParams(path="data.parquet", target="y", ignore=(), missing=MISSING, allow=())
    out = Ingested.at(tmp_path / "out")
    ingest.function(out, Source(tmp_path / "data.parquet"), params)
    examples, schema = out.table.read()
    assert [column.type for column in schema.columns] == ["numeric", "categorical"]
    np.testing.assert_array_equal(examples.features["x"], np.float32([1, np.nan, 3]))


def test_rows_without_a_target_are_set_aside_and_said(tmp_path: Path) -> None:
    out = run(tmp_path, TABLE + "7,Rom,no,?\n")
    assert len(out.table.read()[0]) == 4
    assert out.profile.read()["notes"] == ["1 rows without a target were set aside"]


def test_ignored_columns_are_no_features(tmp_path: Path) -> None:
    _, schema = run(tmp_path, TABLE, ignore=("city",)).table.read()
    assert schema.names() == ["age", "flag"]


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = run(tmp_path / "a", TABLE), run(tmp_path / "b", TABLE)
    for name in ("examples.parquet", "schema.json"):
        assert (one.table.path / name).read_bytes() == (other.table.path / name).read_bytes()


def test_the_default_data_are_the_digits(tmp_path: Path) -> None:
    params = IngestParams(path=None, target="digit", ignore=(), missing=MISSING, allow=())
    out = Ingested.at(tmp_path)
    ingest.function(out, Source(Path()), params)
    examples, schema = out.table.read()
    assert schema.shape == (8, 8, 1)
    assert examples.features[PICTURE].shape == (1797, 8, 8, 1)
    assert sum(out.profile.read()["classes"].values()) == 1797


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (TABLE, "incom", "there is no target column 'incom'; did you mean 'income'?"),
        ("", "y", "the file is empty"),
        ("x,y\n", "y", "a header but no rows"),
        ("x,y\n1,a\n2,a\n", "y", "one class only, 'a'"),
        ("x,z,y\n1,?,a\n2,,b\n", "y", "the column 'z' holds only missing values"),
        ("x,y\n1,?\n2,\n", "y", "the target column 'y' holds only missing values"),
        ("y\na\nb\n", "y", "no feature column is left"),
        ("x,x,y\n1,2,a\n", "y", "the column 'x' is there twice"),
        ('x,y\n1,"a\n', "y", "not a readable CSV file"),
        (b"x,y\n\x81,a\n", "y", "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_learned_from_is_named(
    tmp_path: Path, text: str | bytes, target: str, message: str
) -> None:
    with pytest.raises(InputError) as error:
        run(tmp_path, text, target)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "adult_train.csv").write_text(TABLE)
    params = IngestParams(path="adult.csv", target="income", ignore=(), missing=MISSING, allow=())
    with pytest.raises(InputError, match=r"Did you mean adult_train\.csv"):
        ingest.function(Ingested.at(tmp_path), Source(tmp_path / "adult_tain.csv"), params)
