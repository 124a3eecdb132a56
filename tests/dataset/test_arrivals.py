"""New examples: the schema decides, wrong cells are named, known targets are found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset.arrivals import Arrivals, Reading, read_arrivals
from dataset.examples import PICTURE, Column, Schema
from dataset.tables.cells import Missing
from dataset.target import Target, Task
from pipeline.errors import InputError

READING = Reading(("y",), Missing(("", "?"), {"n": ("-9",)}), None)


def schema(task: Task, targets: tuple[str, ...], shape: tuple[int, ...] = ()) -> Schema:
    kinds = {"n": "numeric", "c": "categorical", "w": "text", "t": "time"}
    columns = [Column.model_validate({"name": name, "type": kind}) for name, kind in kinds.items()]
    return Schema(
        kind="pictures" if shape else "table",
        task=task,
        targets=targets,
        columns=() if shape else tuple(columns),
        shape=shape,
    )


def target(task: Task, *names: str) -> Target:
    return Target(task=task, names=names, quantities=(), class_weights=())


CLASSES = target("classification", "a", "b")


def table(folder: Path, text: str, **changes: Any) -> Arrivals:
    path = folder / "new.csv"
    path.write_text(text)
    asked: dict[str, Any] = {
        "schema": schema("classification", ("y",)),
        "target": CLASSES,
        "reading": READING,
    }
    return read_arrivals(path, **{**asked, **changes})


def test_the_schema_decides_what_a_column_holds(tmp_path: Path) -> None:
    found = table(tmp_path, "t,w,c,n,more\n1970-01-02,1,7,-9.0,x\n,2,?,3,y\n")
    np.testing.assert_array_equal(found.features["n"], [np.nan, 3])
    np.testing.assert_array_equal(found.features["t"], [1, np.nan])
    assert found.features["c"].tolist() == ["7", ""]
    assert found.features["w"].tolist() == ["1", "2"]
    assert (found.what, list(found.names), found.known) == ("row", [1, 2], None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,w,c\n,,\n", "there is no column 'n'"),
        ("t,w,c,n\n,,,1\n,,,x\n", "new.csv: row 2, column 'n': 'x' is not a number"),
        ("t,w,c,n\nsoon,,,1\n", "new.csv: row 1, column 't': 'soon' is not a time"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        table(tmp_path, text)
    assert said in str(error.value)


def test_classes_are_known_where_they_stand(tmp_path: Path) -> None:
    found = table(tmp_path, "t,w,c,n,y\n,,,1,b\n,,,2,?\n,,,3,strange\n")
    assert found.known is not None
    assert found.known.places.tolist() == [0, 2]
    assert found.known.targets.tolist() == ["b", "strange"]


def test_labels_are_known_from_columns_or_a_list(tmp_path: Path) -> None:
    labels = {"schema": schema("multilabel", ("p", "q")), "target": target("multilabel", "p", "q")}
    found = table(tmp_path, "t,w,c,n,p,q\n,,,1,1,no\n,,,1,?,1\n,,,1,x,1\n,,,1,true,1\n", **labels)
    assert found.known is not None
    assert (found.known.places.tolist(), found.known.targets.tolist()) == ([0, 3], [[1, 0], [1, 1]])
    found = table(tmp_path, "t,w,c,n,y\n,,,1,q;r\n,,,1,\n,,,1,p;q\n", **labels)
    assert found.known is not None
    assert (found.known.places.tolist(), found.known.targets.tolist()) == ([0, 2], [[0, 1], [1, 1]])


def test_quantities_are_known_where_they_are_numbers(tmp_path: Path) -> None:
    asked = {"schema": schema("regression", ("y",)), "target": target("regression", "y")}
    found = table(tmp_path, "t,w,c,n,y\n,,,1,2.5\n,,,1,many\n,,,1,?\n", **asked)
    assert found.known is not None
    assert (found.known.places.tolist(), found.known.targets.tolist()) == ([0], [[2.5]])
    assert found.known.targets.dtype == np.float32


PICTURES = schema("classification", ("y",), (4, 3, 1))


def draw(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 8), shade).save(path)


def test_a_folder_of_pictures_needs_no_classes(tmp_path: Path) -> None:
    for place, name in enumerate(["z.png", "a/1.png", "other/2.png", ".hidden.png"]):
        draw(tmp_path / name, 50 * place)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("words")
    found = read_arrivals(tmp_path, PICTURES, CLASSES, READING)
    assert (found.what, list(found.names)) == ("picture", ["a/1.png", "other/2.png", "z.png"])
    assert found.features[PICTURE].shape == (3, 4, 3, 1)
    assert found.features[PICTURE][:, 0, 0, 0].tolist() == [50, 100, 0]
    assert found.known is not None
    assert (found.known.places.tolist(), found.known.targets.tolist()) == ([0], ["a"])
    broken, other = found.notes
    assert broken.startswith("broken.png: left out")
    assert other == "1 picture is in no figure: the model has no class that is called 'other'"


@pytest.mark.parametrize("column", [None, "file"])
@pytest.mark.parametrize(("labels", "known"), [("file\n", None), ("file,y\n", ["b", "a"])])
def test_a_list_of_pictures_may_lack_labels(
    tmp_path: Path, labels: str, known: list[str] | None, column: str | None
) -> None:
    draw(tmp_path / "p" / "1.png", 10)
    draw(tmp_path / "2.png", 20)
    rows = ["2.png,b", "p/1.png,a"] if known else ["2.png", "p/1.png"]
    (tmp_path / "list.csv").write_text(labels + "\n".join(rows) + "\n")
    reading = Reading(("y",), READING.missing, column)
    found = read_arrivals(tmp_path / "list.csv", PICTURES, CLASSES, reading)
    assert list(found.names) == ["2.png", "p/1.png"]
    assert found.features[PICTURE][:, 0, 0, 0].tolist() == [20, 10]
    assert (found.known.targets.tolist() if found.known else None) == known


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.arange(24, dtype=np.uint8).reshape(2, 4, 3), np.uint8),
        (np.arange(24, dtype=np.float64).reshape(2, 4, 3, 1), np.float32),
    ],
)
def test_an_array_of_pictures_has_the_shape_that_the_model_takes(
    tmp_path: Path, array: np.ndarray, dtype: type
) -> None:
    np.savez(tmp_path / "new.npz", x=array, y=np.arange(2))
    found = read_arrivals(tmp_path / "new.npz", PICTURES, CLASSES, READING)
    assert list(found.names) == ["x[0]", "x[1]"]
    assert found.features[PICTURE].dtype == dtype
    assert found.features[PICTURE].ravel().tolist() == array.ravel().tolist()


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.npz"
    np.savez(path, x=np.zeros((2, 5, 3)))
    with pytest.raises(InputError, match=r"no array is pictures of the shape \(n, 4, 3, 1\)"):
        read_arrivals(path, PICTURES, CLASSES, READING)
    np.savez(path, x=np.zeros((2, 4, 3)), z=np.zeros((2, 4, 3)))
    with pytest.raises(InputError, match="several arrays are pictures"):
        read_arrivals(path, PICTURES, CLASSES, READING)
    np.savez(path, x=np.array([[None]], dtype=object))
    with pytest.raises(InputError, match=r"not a readable \.npz file"):
        read_arrivals(path, PICTURES, CLASSES, READING)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"not a readable \.npz file"):
        read_arrivals(path, PICTURES, CLASSES, READING)
    with pytest.raises(InputError, match="no such file"):
        read_arrivals(tmp_path / "none", PICTURES, CLASSES, READING)
