"""Arrays of pictures: every usual naming, and what is refused before memory is taken."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.pictures import labelled
from dataset.pictures.arrays import read_arrays
from pipeline.errors import InputError
from tests.dataset.pictures.drawn import scene, settings

GREY = np.stack([scene(seed, 6, 5, 1)[..., 0] for seed in range(4)])
COLOUR = np.stack([scene(seed, 6, 5) for seed in range(4)])
LABELS = np.array([0, 3, 0, 3])


def put(folder: Path, **arrays: Any) -> Path:
    np.savez_compressed(folder / "x.npz", **arrays)
    return folder / "x.npz"


def refused(path: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        read_arrays(path, settings(**changes))
    assert str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_val", "y_val", "X_test", "Y_test"),
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
    ],
)
def test_parts_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    parts = {}
    for place in range(0, 6, 2):
        parts[names[place]] = GREY[: place // 2 + 1]
        parts[names[place + 1]] = LABELS[: place // 2 + 1, None]
    read = read_arrays(put(tmp_path, **parts), settings())
    assert read.parts is not None
    assert read.parts.tolist() == ["train", "validation", "validation", "test", "test", "test"]
    assert read.labels.tolist() == ["0", "0", "3", "0", "3", "0"]
    assert read.names[2] == f"{names[2]}[1]"
    np.testing.assert_array_equal(read.pictures[3:, ..., 0], GREY[:3])


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("data", "target")])
def test_one_pair_without_parts(tmp_path: Path, names: tuple[str, str]) -> None:
    read = read_arrays(put(tmp_path, **{names[0]: COLOUR, names[1]: LABELS, "more": 1}), settings())
    assert read.parts is None
    assert read.pictures.dtype == np.uint8
    np.testing.assert_array_equal(read.pictures, COLOUR)
    assert read.notes[-1] == "arrays that were not read: more"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([1.0, 3.0, 1.0, 3.0]), "3"),
        (np.array(["a", " b ", "a", "b"]), "b"),
        (np.array([b"a", b"b", b"a", b"b"]), "b"),
        (np.array([False, True, False, True]), "True"),
    ],
)
def test_labels_of_every_type(tmp_path: Path, labels: np.ndarray, expected: str) -> None:
    read = read_arrays(put(tmp_path, x=GREY, y=labels), settings())
    assert read.labels.tolist() == [read.labels[0], expected] * 2


def test_numbers_of_every_type(tmp_path: Path) -> None:
    for values in (GREY.astype(np.int64), GREY.astype(">i2"), np.asfortranarray(GREY)):
        read = read_arrays(put(tmp_path, x=values, y=LABELS), settings())
        assert read.pictures.dtype == np.uint8
        np.testing.assert_array_equal(read.pictures[..., 0], GREY)
    for values in (GREY / 255, GREY.astype(np.int32) * 16):
        read = read_arrays(put(tmp_path, x=values, y=LABELS), settings())
        assert read.pictures.dtype == np.float32
        np.testing.assert_array_equal(read.pictures[..., 0], values.astype(np.float32))
    read = read_arrays(put(tmp_path, x=GREY > 100, y=LABELS), settings())
    np.testing.assert_array_equal(read.pictures[..., 0], (GREY > 100) * 255)


def test_channels_and_size_as_asked(tmp_path: Path) -> None:
    equal = put(tmp_path, x=np.repeat(GREY[..., None], 3, axis=-1), y=LABELS)
    assert read_arrays(equal, settings()).pictures.shape == (4, 6, 5, 1)
    assert read_arrays(equal, settings(channels=3, size=(9, 8))).pictures.shape == (4, 9, 8, 3)
    grey = read_arrays(put(tmp_path, x=COLOUR, y=LABELS), settings(channels=1)).pictures
    np.testing.assert_allclose(grey[..., 0], COLOUR @ [0.299, 0.587, 0.114], atol=0.51)
    real = read_arrays(put(tmp_path, x=COLOUR / 255, y=LABELS), settings(size=(3, 5)))
    assert real.pictures.dtype == np.float32
    assert 0 < real.pictures.mean() < 1


def test_the_fourth_channel_is_opacity(tmp_path: Path) -> None:
    clear = np.zeros((4, 2, 2, 4), dtype=np.uint8)
    clear[:, 0] = (255, 0, 0, 255)
    for values, white in ((clear, 255), (clear / 255, 1.0)):
        read = read_arrays(put(tmp_path, x=values, y=LABELS), settings())
        np.testing.assert_array_equal(read.pictures[0, 0, 0], [white, 0, 0])
        np.testing.assert_array_equal(read.pictures[0, 1, 0], [white] * 3)


def test_pictures_without_a_label_are_set_aside(tmp_path: Path) -> None:
    read = read_arrays(put(tmp_path, x=GREY, y=np.array(["a", "", "b", "b"])), settings())
    assert read.labels.tolist() == ["a", "b", "b"]
    assert read.broken == [("x[1]", "it has no label")]
    np.testing.assert_array_equal(read.pictures[1, ..., 0], GREY[2])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": GREY, "b": LABELS}, "There are a, b"),
        ({"x_train": GREY}, "There are x_train"),
        ({"x": GREY, "y": LABELS[:3]}, "4 pictures and y 3 labels"),
        ({"x": GREY, "y": np.eye(4)}, "argmax"),
        ({"x": GREY, "y": LABELS + 0.5}, "y[0]: 0.5 is no class"),
        ({"x": GREY, "y": np.array([0, 1, np.nan, 1])}, "y[2]: nan is no class"),
        ({"x": GREY.reshape(4, 30), "y": LABELS}, "has the shape (4, 30)"),
        ({"x": COLOUR.transpose(0, 3, 1, 2), "y": LABELS}, "transpose(0, 2, 3, 1)"),
        ({"x": np.where(np.arange(4) == 2, np.nan, GREY.T).T[2:], "y": LABELS[2:]}, "x[0]"),
        ({"x": GREY * 1e39, "y": LABELS}, "not finite, or too large"),
        ({"x": GREY * 1j, "y": LABELS}, "holds complex128"),
        ({"x": GREY.astype(str), "y": LABELS}, "holds texts"),
        ({"x": GREY[:0], "y": LABELS[:0]}, "hold no picture"),
        ({"x": GREY, "y": np.array([b"\xff", b"a", b"a", b"a"])}, "no text"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY[:, :4], "y_test": LABELS}, "sizes"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    assert words in refused(put(tmp_path, **arrays))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = put(tmp_path, x=GREY, y=np.array(["a", None, "b", "b"], dtype=object))
    assert "holds object" in refused(path)


def _archive(path: Path, header: dict[str, Any], content: bytes) -> Path:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, header)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", member.getvalue() + content)
        labels = io.BytesIO()
        np.save(labels, LABELS)
        archive.writestr("y.npy", labels.getvalue())
    return path


@pytest.mark.parametrize("shape", [(10**9, 1000, 1000), (4, 6, 6), (-1, 6, 5), (10**30, 1, 1)])
def test_a_header_that_tells_more_than_there_is_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    assert "not what follows" in refused(_archive(tmp_path / "x.npz", header, bytes(120)))


def test_an_archive_larger_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (4, 1000, 1000)}
    path = _archive(tmp_path / "x.npz", header, bytes(4_000_000))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(labelled, "available", lambda: 5_000_000)
    assert "are free" in refused(path)
    assert "not a readable .npz" in refused(_text(tmp_path / "y.npz"))


def _text(path: Path) -> Path:
    path.write_text("no archive")
    return path
