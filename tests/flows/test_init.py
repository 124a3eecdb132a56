"""Where init puts a table, and what it writes into params.yaml."""

import shutil
from pathlib import Path

import pytest

from flows.init import Parting, _into_data, _set_params
from pipeline.errors import InputError
from pipeline.params_file import PARAMS, read_raw

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_is_copied_under_its_name(project: Path, tmp_path: Path) -> None:
    fill(tmp_path, "t.csv.gz")
    assert _into_data(tmp_path / "t.csv.gz") == Path("data/t.csv.gz")
    assert below(project) == ["data", "data/t.csv.gz"]


def test_a_folder_takes_the_place_of_an_older_one(project: Path, tmp_path: Path) -> None:
    old = fill(project / "data/parts", "a.parquet", "gone.parquet")
    assert _into_data(fill(tmp_path / "parts", "a.parquet", "b.parquet")) == Path("data/parts")
    assert below(project / "data") == ["parts", "parts/a.parquet", "parts/b.parquet"]
    assert old.stat().st_mode & 0o055 == 0o055


def test_what_lies_in_data_stays_there(project: Path) -> None:
    fill(project / "data/sub/parts", "a.parquet")
    assert _into_data(Path("data/sub/parts")) == Path("data/sub/parts")
    assert _into_data(project / "data/sub/parts/a.parquet") == Path("data/sub/parts/a.parquet")


def test_a_folder_that_holds_the_project_is_refused(project: Path) -> None:
    for path in (Path(), Path("..")):
        with pytest.raises(InputError, match="holds this project"):
            _into_data(path)
    assert below(project) == []


def test_a_folder_never_replaces_a_file_nor_a_file_a_folder(project: Path, tmp_path: Path) -> None:
    fill(project / "data", "parts")
    with pytest.raises(InputError, match=r"data/parts is there, and is not what"):
        _into_data(fill(tmp_path / "parts", "a.parquet"))
    fill(project / "data/t.csv", "a.parquet")
    with pytest.raises(InputError, match=r"data/t\.csv is there, and is not what"):
        _into_data(fill(tmp_path, "t.csv") / "t.csv")
    assert below(project / "data") == ["parts", "t.csv", "t.csv/a.parquet"]


def test_params_yaml_stays_readable_however_often_init_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = read_raw()
    many = ["day", "hour: of it", "minute"]
    _set_params(Path("data/a.csv"), "y", many, Parting(None, many, None))
    assert read_raw()["split"]["time"] == many
    assert read_raw()["ingest"]["ignore"] == many
    _set_params(Path("data/b.csv"), "y", [], Parting(None, [], None))
    assert read_raw()["split"] == before["split"]
    assert "group: null " in PARAMS.read_text()
    assert "# cells that hold nothing" in PARAMS.read_text()
