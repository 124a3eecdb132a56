"""Tables that come in parts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.tables.read import read_raw_table
from pipeline.errors import InputError


def put(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_files_named_by_parts_are_one_table(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "d",
        test__csv="y,x\n5,6\n",
        adult_train__csv="x,y\n1,2\n3,4\n",
        valid__tsv="x\ty\n7\t8\n",
        notes__md="words",
    )
    put(folder, **{".hidden": "", "_SUCCESS__csv": ""})
    raw = read_raw_table(folder)
    assert raw.given is not None
    assert raw.given.tolist() == ["train", "train", "validation", "test"]
    assert raw.frame.to_dict("list") == {"x": ["1", "3", "7", "6"], "y": ["2", "4", "8", "5"]}
    assert raw.origin.row(3) == f"{folder / 'test.csv'}: row 1"


def test_parquet_parts_may_name_theirs(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        pq.write_table(pa.table({"x": [len(name)]}), tmp_path / f"{name}.parquet")
    raw = read_raw_table(tmp_path)
    assert raw.given is not None
    assert raw.given.tolist() == ["train", "train", "test"]
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    assert read_raw_table(tmp_path).given is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train__csv": "x\n1\n", "test__csv": "z\n1\n"}, "test.csv: there is no column 'x'"),
        (
            {"train__csv": "x\n1\n", "test__csv": "x\n1\n", "more__csv": "x\n1\n"},
            "more.csv: the name says no part",
        ),
        (
            {"train__csv": "x\n1\n", "test__csv": "x\n1\n", "train_test__csv": "x\n1\n"},
            "train_test.csv: the name says no part",
        ),
        ({"valid__csv": "x\n1\n", "test__csv": "x\n1\n"}, "no file is named for the training part"),
        ({"train__csv": "x\n1\n"}, "nor files named by parts"),
        ({"train__csv": "x\n1\n", "test__csv": "x\n"}, "test.csv: the table has a header but no"),
    ],
)
def test_unclear_parts_are_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as error:
        read_raw_table(put(tmp_path / "d", **files))
    assert said in str(error.value)
