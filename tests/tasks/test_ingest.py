"""Ingest: what is read, how it is typed, and what is refused in which words."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from dataset.examples import GIVEN, PICTURE
from dataset.ingest_settings import IngestParams
from dataset.tables import stream
from pipeline.artifacts import Raw, Source
from pipeline.errors import InputError
from tasks.ingest import Ingested, Read, ingest, read_examples_file

TABLE = "age,city,flag,income\n39, Bern ,yes,low\n?,Rom,NA,high\n5.5,,no,low\n1e2,Bern,yes,high\n"
PARAMS: dict[str, Any] = {
    "path": "data.csv",
    "kind": "table",
    "task": "classification",
    "target": ("income",),
    "ignore": (),
    "types": {},
    "missing": ("", "?", "NA"),
    "missing_in": {},
    "weight": None,
    "size": None,
    "channels": None,
    "picture": None,
    "allow": (),
}
DIGITS = {"path": None, "kind": "pictures", "target": ("digit",)}


def params(**changes: Any) -> IngestParams:
    return IngestParams(**{**PARAMS, **changes})


def run(folder: Path, text: str | bytes, **changes: Any) -> Ingested:
    path = folder / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    out = Ingested.at(folder / "out")
    ingest.function(out, Raw(Source(path), Source(Path())), params(**changes))
    return out


def read(folder: Path, text: str, **changes: Any) -> Read:
    path = folder / "data.csv"
    path.write_text(text)
    return read_examples_file(path, params(**changes))


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
    assert examples.targets.tolist() == ["low", "high", "low", "high"]
    assert out.profile.read()["classes"] == {"high": 2, "low": 2}


def test_the_profile_tells_every_column(tmp_path: Path) -> None:
    text = "n,t,c,y\n1,2020-01-01,b,p\n2,2020-01-02 12:00,b,q\n0.1,,a,p\n,2020-01-05,c,q\n"
    told = read(tmp_path, text, target=("y",)).profile
    assert told == {
        "source": str(tmp_path / "data.csv"),
        "kind": "table",
        "task": "classification",
        "targets": ["y"],
        "rows": 4,
        "shape": [],
        "classes": {"p": 2, "q": 2},
        "quantities": {},
        "ignored": [],
        "weight": None,
        "notes": [],
        "columns": [
            {
                "name": "n",
                "type": "numeric",
                "missing": 1,
                "distinct": 3,
                "min": 0.1,
                "median": 1.0,
                "max": 2.0,
            },
            {
                "name": "t",
                "type": "time",
                "missing": 1,
                "distinct": 3,
                "min": "2020-01-01",
                "median": "2020-01-02T12:00:00",
                "max": "2020-01-05",
            },
            {
                "name": "c",
                "type": "categorical",
                "missing": 0,
                "distinct": 3,
                "commonest": [["b", 2], ["a", 1], ["c", 1]],
            },
        ],
    }


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, None, 3.0], "b": [True, False, True], "y": ["p", "q", "p"]})
    frame.to_parquet(tmp_path / "data.parquet")
    found = read_examples_file(tmp_path / "data.parquet", params(target=("y",)))
    assert [column.type for column in found.schema.columns] == ["numeric", "categorical"]
    np.testing.assert_array_equal(found.examples.features["x"], np.float32([1, np.nan, 3]))


def test_rows_without_a_target_are_set_aside_and_said(tmp_path: Path) -> None:
    found = read(
        tmp_path, "x,a,b\n1,1,2\n2,?,3\n3,4,\n4,5,6\n", task="regression", target=("a", "b")
    )
    assert found.examples.rows.tolist() == [0, 3]
    assert found.examples.targets.tolist() == [[1, 2], [5, 6]]
    assert found.profile["notes"] == ["2 rows without all targets: set aside"]
    assert found.profile["quantities"]["b"] == {
        "min": 2.0,
        "quartiles": [3.0, 4.0, 5.0],
        "max": 6.0,
        "mean": 4.0,
    }


def test_a_wrong_cell_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    text = "x,y\n1,?\n2,a\nthree,b\n"
    with pytest.raises(InputError, match=r"row 3, column 'x': 'three' is not a number"):
        read(tmp_path, text, target=("y",), types={"x": "numeric"})


def test_listed_labels_become_the_targets(tmp_path: Path) -> None:
    found = read(tmp_path, "x,tags\n1,b;a\n2,a\n3,\n", task="multilabel", target=("tags",))
    assert found.schema.targets == ("a", "b")
    assert found.examples.targets.tolist() == [[1, 1], [1, 0]]
    assert found.profile["classes"] == {"a": 2, "b": 1}


def test_ignored_columns_are_kept_aside(tmp_path: Path) -> None:
    found = read(tmp_path, TABLE, ignore=("city", "age"))
    assert found.schema.names() == ["flag"]
    assert found.aside["city"].tolist() == ["Bern", "Rom", "", "Bern"]
    assert found.aside["age"].tolist() == ["39", "", "5.5", "1e2"]


def test_a_weight_is_no_feature(tmp_path: Path) -> None:
    found = read(tmp_path, "x,w,y\n1,2,a\n2,0,?\n3,0.5,b\n", target=("y",), weight="w")
    assert found.schema.names() == ["x"]
    assert found.examples.weights is not None
    assert found.examples.weights.tolist() == [2, 0.5]
    assert found.profile["weight"] == "w"


def test_types_and_sentinels_of_single_columns(tmp_path: Path) -> None:
    text = "zip,glucose,y\n01,0,a\n02,0.0,b\n03,80,a\n"
    found = read(
        tmp_path,
        text,
        target=("y",),
        types={"zip": "categorical"},
        missing_in={"glucose": ("0",)},
    )
    assert found.examples.features["zip"].tolist() == ["01", "02", "03"]
    np.testing.assert_array_equal(found.examples.features["glucose"], [np.nan, np.nan, 80])


def test_parts_that_the_data_came_in_are_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,y\n1,a\n2,?\n3,b\n")
    (tmp_path / "test.csv").write_text("y,x\na,4\n")
    found = read_examples_file(tmp_path, params(target=("y",)))
    assert found.aside[GIVEN].tolist() == ["train", "train", "test"]
    assert found.profile["notes"][1] == "the data came in parts: train 2, test 1"
    (tmp_path / "test.csv").write_text("y,x\na,four\n")
    with pytest.raises(InputError, match=r"test\.csv: row 1, column 'x': 'four' is not a number"):
        read_examples_file(tmp_path, params(target=("y",), types={"x": "numeric"}))


def test_parts_of_a_table_too_large_for_memory_are_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("train", 40), ("test", 9)):
        columns = {"x": range(count), "y": ["a", "b", None] * count}
        pd.DataFrame({k: list(v)[:count] for k, v in columns.items()}).to_parquet(
            tmp_path / f"{name}.parquet"
        )
    whole = read_examples_file(tmp_path, params(target=("y",)))
    monkeypatch.setattr(stream, "IN_MEMORY_CELLS", 1)
    monkeypatch.setattr(stream, "BLOCK_ROWS", 16)
    streamed = read_examples_file(tmp_path, params(target=("y",)))
    asides = [aside[GIVEN] for _, aside in streamed.blocks()]
    assert len(asides) > 2
    assert np.concatenate(asides).tolist() == whole.aside[GIVEN].tolist()
    assert whole.aside[GIVEN].tolist() == ["train"] * 27 + ["test"] * 6


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = run(tmp_path / "a", TABLE), run(tmp_path / "b", TABLE)
    for name in ("examples.parquet", "schema.json"):
        assert (one.table.path / name).read_bytes() == (other.table.path / name).read_bytes()


def test_the_default_data_are_the_digits(tmp_path: Path) -> None:
    out = Ingested.at(tmp_path)
    ingest.function(out, Raw(Source(Path()), Source(Path())), params(**DIGITS))
    examples, schema = out.table.read()
    assert (schema.shape, schema.targets) == ((8, 8, 1), ("digit",))
    assert examples.features[PICTURE].shape == (1797, 8, 8, 1)
    assert sum(out.profile.read()["classes"].values()) == 1797


def test_pictures_come_with_parts_and_what_is_broken(tmp_path: Path) -> None:
    from PIL import Image

    for part, count in (("train", 3), ("test", 2)):
        for label in ("ant", "bee"):
            (tmp_path / part / label).mkdir(parents=True)
            for place in range(count):
                shade = 60 * place + 20
                path = tmp_path / part / label / f"{place}.png"
                Image.new("L", (6, 5), shade).save(path)
    (tmp_path / "train" / "ant" / "2.png").write_bytes(b"no picture")
    found = read_examples_file(
        tmp_path, params(path="p", kind="pictures", target=("insect",), size=(4, 3))
    )
    assert (found.schema.shape, found.schema.targets) == ((4, 3, 1), ("insect",))
    assert found.profile["classes"] == {"ant": 4, "bee": 5}
    assert sorted(found.aside[GIVEN].tolist()) == ["test"] * 4 + ["train"] * 5
    (broken,) = found.findings
    assert (broken.name, broken.severity) == ("broken_pictures", "warning")
    assert "train/ant/2.png" in broken.evidence


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
        run(tmp_path, text, target=(target,))
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignore": ("citi",)}, "there is no column to ignore 'citi'; did you mean 'city'?"),
        ({"types": {"aeg": "text"}}, "there is no column of ingest.types 'aeg'"),
        ({"missing_in": {"aeg": ("0",)}}, "there is no column of ingest.missing_in 'aeg'"),
        ({"weight": "w"}, "there is no weight column 'w'"),
        ({"task": "regression"}, "row 1, column 'income': 'low' is not a number"),
        ({"task": "multilabel", "target": ("city", "flag")}, "column 'city': 'Bern' says neither"),
    ],
)
def test_what_does_not_fit_the_table_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, TABLE, **changes)
    assert message in str(error.value)


def test_rows_that_all_lack_a_target_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row has all targets"):
        read(tmp_path, "x,a,b\n1,1,?\n2,?,3\n", task="regression", target=("a", "b"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": ()}, "at least 1 item"),
        ({"target": ("a", "a"), "task": "regression"}, "the column 'a' is named twice"),
        ({"ignore": ("income",)}, "the column 'income' is named twice"),
        ({"weight": "income"}, "the column 'income' is named twice"),
        ({"weight": "a", "ignore": ("a",)}, "the column 'a' is named twice"),
        ({"target": ("a", "b")}, "a classification has one target"),
        ({"types": {"a": "number"}}, "'numeric', 'categorical', 'text' or 'time'"),
        ({"types": {"income": "text"}}, "types names 'income', which is no feature"),
        ({"path": None}, "a table needs its path"),
        ({"size": (8, 8)}, "size says nothing about table"),
        ({"channels": 1}, "channels says nothing about table"),
        ({"picture": "p"}, "picture says nothing about table"),
        ({"kind": "pictures", "types": {"a": "text"}}, "types says nothing about pictures"),
        ({"kind": "pictures", "weight": "w"}, "weight says nothing about pictures"),
        ({"kind": "pictures", "target": ("a", "b"), "task": "multilabel"}, "have one target"),
        ({"kind": "pictures", "size": (0, 8)}, "size is height and width in pixels"),
        ({"kind": "pictures", "channels": 2}, "1 or 3"),
        ({**DIGITS, "task": "regression"}, "digits are for classification"),
        ({**DIGITS, "channels": 3}, "channels says nothing about scikit-learn's digits"),
    ],
)
def test_params_that_contradict_each_other_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as error:
        params(**changes)
    assert message in str(error.value)


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "adult_train.csv").write_text(TABLE)
    with pytest.raises(InputError, match=r"Did you mean adult_train\.csv"):
        read_examples_file(tmp_path / "adult_tain.csv", params())


def test_a_table_too_large_for_memory_is_read_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 500
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "x": np.where(random.random(count) < 0.1, np.nan, random.normal(size=count)),
            "place": random.choice(["Bern", "Rom", "?"], count),
            "day": pd.date_range("2026-01-01", periods=count, freq="h"),
            "who": [f"p{place // 5}" for place in range(count)],
            "much": random.integers(1, 9, count),
            "y": random.choice(["low", "high", "?"], count, p=[0.5, 0.4, 0.1]),
        }
    )
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(3):
        frame.iloc[part * 200 : part * 200 + 200].to_parquet(folder / f"{part}.parquet")
    settings = params(path="parts", target=("y",), ignore=("who",), weight="much")

    def ingested(name: str) -> Ingested:
        out = Ingested.at(tmp_path / name)
        ingest.function(out, Raw(Source(folder), Source(Path())), settings)
        return out

    plain = ingested("plain")
    monkeypatch.setattr("dataset.tables.stream.IN_MEMORY_CELLS", 10)
    monkeypatch.setattr("dataset.tables.stream.BLOCK_ROWS", 64)
    monkeypatch.setattr("dataset.tables.stream.SAMPLE", 400)
    large = ingested("large")

    one, schema = plain.table.read()
    other, same = large.table.read()
    assert schema == same
    assert one.rows.tolist() == other.rows.tolist()
    assert one.targets.tolist() == other.targets.tolist()
    np.testing.assert_array_equal(one.weights, other.weights)
    for name, values in one.features.items():
        np.testing.assert_array_equal(values, other.features[name])
    assert plain.table.aside()["who"].tolist() == large.table.aside()["who"].tolist()
    told, sampled = plain.profile.read(), large.profile.read()
    assert told["classes"] == sampled["classes"]
    assert told["rows"] == sampled["rows"] == len(one)
    for column, of_sample in zip(told["columns"], sampled["columns"], strict=True):
        for fact in {"missing", "min", "max"} & set(column):
            assert column[fact] == of_sample[fact]
    assert "too large to be held in memory" in sampled["notes"][-1]


def test_a_cell_that_does_not_fit_what_the_sample_showed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [str(place) for place in range(300)]
    cells[201] = "n/k"
    pd.DataFrame({"x": cells, "y": ["a", "b"] * 150}).to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr("dataset.tables.stream.IN_MEMORY_CELLS", 10)
    monkeypatch.setattr("dataset.tables.stream.SAMPLE", 20)
    raw = Raw(Source(tmp_path / "t.parquet"), Source(Path()))
    with pytest.raises(InputError, match=r"t\.parquet: row 202, column 'x': 'n/k' is not a number"):
        ingest.function(Ingested.at(tmp_path / "out"), raw, params(path="t.parquet", target=("y",)))
    assert not (tmp_path / "out" / "table").exists()
