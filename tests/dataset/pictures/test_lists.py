"""Lists of pictures: tables with a column of paths, which stay inside the table's folder."""

from pathlib import Path

import pytest

from dataset.pictures.lists import list_table
from pipeline.errors import InputError
from tests.dataset.pictures.drawn import save, settings


def listed(folder: Path, text: str) -> Path:
    for place in range(3):
        save(folder / "img" / f"{place}.png", place)
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def refused(path: Path, **changes: str) -> str:
    with pytest.raises(InputError) as error:
        list_table(path, settings(**({"label": "kind"} | changes)))
    return str(error.value)


def test_the_column_of_paths_is_found_and_rows_keep_their_order(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        "id,file,kind,fold\n1,img/2.png,b,Test\n2,img\\0.png, a ,train\n3,./img/1.png,b,dev\n",
    )
    listing = list_table(path, settings(label="kind", part="fold"))
    assert [(entry.name, entry.label, entry.part) for entry in listing.entries] == [
        ("img/2.png", "b", "test"),
        ("img/0.png", "a", "train"),
        ("img/1.png", "b", "validation"),
    ]
    assert listing.notes == ["paths from the column 'file'"]


def test_what_is_missing_is_set_aside(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        "file,kind\nimg/0.png,a\nimg/9.png,b\n?,b\nimg/1.png,\nimg,a\n" + "x" * 300 + ",a\n",
    )
    listing = list_table(path, settings(label="kind", path="file", missing=("", "?")))
    assert [entry.name for entry in listing.entries] == ["img/0.png"]
    assert [(fault.name, fault.label, fault.reason) for fault in listing.faults] == [
        ("img/9.png", "b", "row 2 names it, and there is no such file"),
        ("row 3", "b", "row 3 has no path"),
        ("img/1.png", None, "row 4 has no label"),
        ("img", "a", "row 5 names it, and there is no such file"),
        ("x" * 300, "a", "row 6 names it, and there is no such file"),
    ]


@pytest.mark.parametrize(
    "given", ["../secret.png", "img/../../secret.png", "link.png", "around/x.png", "..\\secret.png"]
)
def test_paths_that_lead_outside_are_refused_with_their_row(tmp_path: Path, given: str) -> None:
    save(tmp_path / "secret.png")
    path = listed(tmp_path / "data", f"file,kind\nimg/0.png,a\n{given},b\n")
    (path.parent / "link.png").symlink_to(tmp_path / "secret.png")
    (path.parent / "around").symlink_to(path.parent / "around")
    told = refused(path)
    assert "row 2, column 'file'" in told
    assert "leads outside" in told


@pytest.mark.parametrize("given", ["/etc/x.png", "C:\\x.png"])
def test_absolute_paths_are_refused(tmp_path: Path, given: str) -> None:
    path = listed(tmp_path, f"file,kind\nimg/0.png,a\n{given},b\n")
    assert "is an absolute path" in refused(path)


def test_columns_are_named_where_they_cannot_be_known(tmp_path: Path) -> None:
    path = listed(tmp_path, "file,kind,part\nimg/0.png,a,tset\nimg/1.png,b,train\n")
    assert "there is no column 'kin'" in refused(path, label="kin")
    assert "row 1: 'tset' names no part" in refused(path, part="part")
    with pytest.raises(InputError, match="which column holds the labels"):
        list_table(path, settings())
    path.write_text("a,b,kind\nx.png,y.png,1\nx.png,z.png,2\n")
    assert "the columns 'a', 'b' hold paths" in refused(path)
    path.write_text("a,kind\nx,1\ny,2\n")
    assert "no column holds paths" in refused(path)
