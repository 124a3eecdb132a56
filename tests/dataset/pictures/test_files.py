"""Pictures of one's own, from every kind of source; damaged bytes; real data."""

import contextlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from PIL import Image

from dataset.pictures.files import picture_kind, read_pictures
from pipeline.errors import InputError
from tests.conftest import SHARED
from tests.dataset.pictures.drawn import classes, save, scene, settings


def test_a_folder_is_read_with_its_parts(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "val", 1)
    read = read_pictures(tmp_path, settings())
    assert read.pictures.shape == (8, 32, 32, 3)
    assert read.pictures.dtype == np.uint8
    assert read.labels.tolist() == ["ants"] * 3 + ["bees"] * 3 + ["ants", "bees"]
    assert read.parts is not None
    assert read.parts.tolist() == ["train"] * 6 + ["validation"] * 2
    assert read.names[3] == "train/bees/0.png"
    np.testing.assert_array_equal(read.pictures[3], scene(100))
    assert read.notes == [
        "all of 32 x 32 pixels (height x width)",
        "in colour: at least one picture has colours",
    ]


def test_a_list_is_read_in_its_order(tmp_path: Path) -> None:
    classes(tmp_path)
    path = tmp_path / "list.tsv"
    path.write_text("file\tkind\nbees/0.png\tb\nants/1.png\ta\nants/9.png\ta\n")
    read = read_pictures(path, settings(label="kind"))
    assert read.names.tolist() == ["bees/0.png", "ants/1.png"]
    assert read.broken == [("ants/9.png", "row 3 names it, and there is no such file")]
    assert read.parts is None
    np.testing.assert_array_equal(read.pictures, [scene(100), scene(1)])


def test_too_much_that_is_broken_is_refused(tmp_path: Path) -> None:
    classes(tmp_path)
    for place in range(3):
        (tmp_path / "ants" / f"bad{place}.png").write_bytes(b"")
    assert len(read_pictures(tmp_path, settings()).broken) == 3
    for place in range(3):
        (tmp_path / "ants" / f"{place}.png").unlink()
    with pytest.raises(InputError, match=r"none of the 3 pictures of the class 'ants'.*\n.*bad0"):
        read_pictures(tmp_path, settings())
    for place in range(7):
        (tmp_path / "bees" / f"bad{place}.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"10 of 13 pictures cannot be used, among them\n.*empty"):
        read_pictures(tmp_path, settings())


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 4, 4), dtype=np.uint8), y=np.ones(3))
    with pytest.raises(InputError, match="one class only, '1'"):
        read_pictures(tmp_path / "x.npz", settings())
    classes(tmp_path)
    (tmp_path / "list.csv").write_text("file,kind\nants/0.png,a\nants/1.png,a\n")
    with pytest.raises(InputError, match="one class only, 'a'"):
        read_pictures(tmp_path / "list.csv", settings(label="kind"))
    with pytest.raises(InputError, match="there is no such file"):
        read_pictures(tmp_path / "gone.csv", settings(label="kind"))


def test_the_kind_is_told_at_a_glance(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data" / "train")
    assert picture_kind(folder) == picture_kind(folder.parent) == "folder"
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    assert picture_kind(tmp_path / "x.npz") == "arrays"
    frame = pd.DataFrame({"n": [1, 2], "file": ["ants/0.PNG", "bees/1.png"], "kind": ["a", "b"]})
    save(folder / "ants" / "0.PNG")
    for name in ("x.csv", "x.csv.gz"):
        frame.to_csv(folder / name, index=False)
    frame.to_json(folder / "x.jsonl", orient="records", lines=True)
    frame.to_parquet(folder / "x.parquet")
    frame.to_feather(folder / "x.feather")
    for name in ("x.csv", "x.csv.gz", "x.jsonl", "x.parquet", "x.feather"):
        assert picture_kind(folder / name) == "list", name


def test_other_data_are_no_pictures(tmp_path: Path) -> None:
    assert picture_kind(tmp_path) is None
    assert picture_kind(tmp_path / "gone") is None
    frame = pd.DataFrame({"address": ["http://a/x.png", "http://a/y.png"], "kind": ["a", "b"]})
    frame.to_csv(tmp_path / "x.csv")
    frame.to_parquet(tmp_path / "x.parquet")
    for name in ("y.csv.gz", "y.parquet", "y.feather"):
        (tmp_path / name).write_bytes(b"\x1f\x8bdamaged")
    for path in tmp_path.iterdir():
        assert picture_kind(path) is None, path
    save(tmp_path / "x.png")
    assert picture_kind(tmp_path / "x.png") is None
    # A folder of Parquet parts is a table.
    assert picture_kind(tmp_path) is None


def _encoded(kind: str) -> Callable[[], bytes]:
    def encode() -> bytes:
        file = io.BytesIO()
        Image.fromarray(scene(1, 8, 8)).save(file, kind)
        return file.getvalue()

    return encode


def _arrays() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(
        file, x_train=scene(1, 4, 4).transpose(2, 0, 1), y_train=np.array(["a", "b", "b"])
    )
    return file.getvalue()


SOUND = {
    "png": _encoded("PNG")(),
    "jpg": _encoded("JPEG")(),
    "gif": _encoded("GIF")(),
    "tif": _encoded("TIFF")(),
    "bmp": _encoded("BMP")(),
    "webp": _encoded("WEBP")(),
    "npz": _arrays(),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    ending = draw(st.sampled_from(sorted(SOUND)))
    content = bytearray(SOUND[ending])
    for _ in range(draw(st.integers(1, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content) - 1)) :]
    return ending, bytes(content)


@tried(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(damaged())
def test_damaged_bytes_are_read_or_told(tmp_path: Path, file: tuple[str, bytes]) -> None:
    ending, content = file
    if ending == "npz":
        path = tmp_path / "x.npz"
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            assert len(read_pictures(path, settings()).labels) == 3
        return
    folder = tmp_path / ending
    if not folder.exists():
        classes(folder, 2)
    (folder / "ants" / f"damaged.{ending}").write_bytes(content)
    read = read_pictures(folder, settings(size=(8, 8)))
    assert len(read.pictures) + len(read.broken) == 5
    assert {name for name, _ in read.broken} <= {f"ants/damaged.{ending}"}


def _shared(name: str) -> Path:
    path = SHARED / "image" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def test_photographs_of_many_sizes_keep_their_parts() -> None:
    path = _shared("hymenoptera_256")
    assert picture_kind(path) == "folder"
    read = read_pictures(path, settings())
    assert read.pictures.shape == (397, 64, 64, 3)
    assert read.parts is not None
    assert Counter(read.parts.tolist()) == {"train": 244, "validation": 153}
    assert set(read.labels.tolist()) == {"ants", "bees"}
    assert not read.broken


def test_arrays_of_medical_pictures_keep_their_parts() -> None:
    read = read_pictures(_shared("pneumoniamnist.npz"), settings())
    assert read.pictures.shape == (5030, 28, 28, 1)
    assert read.parts is not None
    assert Counter(read.parts.tolist()) == {"train": 3882, "validation": 524, "test": 624}
    assert set(read.labels.tolist()) == {"0", "1"}
