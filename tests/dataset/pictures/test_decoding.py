"""Decoding: every way in which a file says what it shows gives the same picture."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.pictures import labelled
from dataset.pictures.decoding import decode
from dataset.pictures.labelled import Entry
from pipeline.errors import InputError
from tests.dataset.pictures.drawn import save, scene, settings


def entries(*paths: Path) -> list[Entry]:
    return [Entry(path, path.name, "a", None) for path in paths]


def one(path: Path, **changes: object) -> np.ndarray:
    decoded = decode(entries(path), settings(**changes), "here")
    assert not decoded.faults
    return decoded.pictures[0]


def test_lossless_files_give_their_pixels(tmp_path: Path) -> None:
    for ending in ("png", "bmp", "tif", "webp"):
        path = tmp_path / f"x.{ending}"
        Image.fromarray(scene(1)).save(path, **({"lossless": True} if ending == "webp" else {}))
        np.testing.assert_array_equal(one(path), scene(1))


def test_what_a_file_is_follows_from_its_bytes(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", 2)
    np.testing.assert_array_equal(one(path.rename(tmp_path / "x.jpg")), scene(2))


def test_a_gif_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(scene(seed, channels=1)[..., 0]) for seed in (1, 2)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(one(tmp_path / "x.gif"), scene(1, channels=1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_modes_come_out_as_they_look(tmp_path: Path, mode: str) -> None:
    grey = scene(3, channels=1)
    image = Image.fromarray(grey[..., 0])
    if mode == "I;16":
        image = Image.fromarray(grey[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(scene(3)).quantize(64)
        grey = np.asarray(image.convert("RGB"))
    elif mode == "1":
        image = image.convert("1")
        grey = np.asarray(image.convert("L"))[..., None]
    else:
        image = image.convert(mode)
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image.save(path)
    np.testing.assert_array_equal(one(path), grey)


def test_transparency_shows_white(tmp_path: Path) -> None:
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    clear[:2] = (255, 0, 0, 255)
    Image.fromarray(clear).save(tmp_path / "x.png")
    Image.fromarray(clear).quantize(4).save(tmp_path / "p.png")
    for name in ("x.png", "p.png"):
        shown = one(tmp_path / name)
        np.testing.assert_array_equal(shown[:2], np.broadcast_to([255, 0, 0], (2, 4, 3)))
        np.testing.assert_array_equal(shown[2:], np.full((2, 4, 3), 255))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pictures_are_turned_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    picture = scene(4, 24, 48)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{ending}"
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(
        ending, {}
    )
    Image.fromarray(picture).save(path, exif=exif, **options)
    turns = {3: 2, 6: 3, 8: 1}[orientation]
    upright = np.rot90(picture, turns).astype(int)
    shown = one(path)
    assert shown.shape == upright.shape
    assert np.abs(shown - upright).max() <= (4 if ending == "jpg" else 0)
    # And where JPEG is decoded at a part of its size.
    small = np.asarray(
        Image.fromarray(upright.astype(np.uint8)).resize(
            (4, 4), Image.Resampling.BOX, _square(upright)
        )
    )
    assert np.abs(one(path, size=(4, 4)).astype(int) - small).mean() < 20


def _square(picture: np.ndarray) -> tuple[int, int, int, int]:
    height, width = picture.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def test_the_centre_of_the_longer_side_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 200
    Image.fromarray(wide).save(tmp_path / "x.png")
    assert (one(tmp_path / "x.png", size=(4, 4))[1:3, 1:3] == 200).all()
    assert one(tmp_path / "x.png", size=(5, 15)).shape == (5, 15, 1)


def test_one_size_is_kept_and_several_become_their_median_capped(tmp_path: Path) -> None:
    sizes = [(20, 30), (40, 50), (30, 200)]
    paths = [save(tmp_path / f"{place}.png", size=size) for place, size in enumerate(sizes)]
    decoded = decode(entries(*paths), settings(), "here")
    assert decoded.pictures.shape == (3, 30, 50, 3)
    assert "pictures of 3 sizes (20 x 30 to 40 x 50) were brought to 30 x 50" in decoded.notes[0]
    big = [save(tmp_path / f"big{place}.png", size=(100, 80 + place)) for place in range(2)]
    assert decode(entries(*big), settings(), "here").pictures.shape == (2, 64, 64, 3)
    assert decode(entries(*big[:1]), settings(), "here").pictures.shape == (1, 100, 80, 3)


def test_grey_where_no_picture_has_colours(tmp_path: Path) -> None:
    grey = save(tmp_path / "l.png", mode="L")
    equal = tmp_path / "rgb.png"
    Image.open(grey).convert("RGB").save(equal)
    colour = save(tmp_path / "c.png")
    assert decode(entries(grey, equal), settings(), "here").pictures.shape[-1] == 1
    assert decode(entries(grey, equal, colour), settings(), "here").pictures.shape[-1] == 3
    assert one(colour, channels=1).shape[-1] == 1
    assert one(grey, channels=3).shape[-1] == 3
    np.testing.assert_array_equal(one(equal), one(grey))


def test_broken_files_are_set_aside_with_their_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [save(tmp_path / name, seed) for seed, name in enumerate(("a.png", "z.png"))]
    whole = io.BytesIO()
    Image.fromarray(scene(1, 64, 64)).save(whole, "JPEG")
    bad = {
        "b.jpg": whole.getvalue()[: len(whole.getvalue()) * 4 // 5],
        "c.png": b"",
        "d.png": b"no picture",
        "e.png": good[0].read_bytes()[:-30],
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    save(tmp_path / "f.png", size=(100, 100))
    Image.new("F", (4, 4)).save(tmp_path / "g.tif")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    paths = sorted(path for path in tmp_path.iterdir())
    decoded = decode(entries(*paths), settings(size=(32, 32)), "here")
    assert [entry.name for entry in decoded.entries] == ["a.png", "z.png"]
    np.testing.assert_array_equal(decoded.pictures, [scene(0), scene(1)])
    reasons = {fault.name: fault.reason for fault in decoded.faults}
    assert reasons["b.jpg"].startswith("image file is truncated")
    assert reasons["c.png"] == "the file is empty"
    assert reasons["d.png"] == "not a picture of a known format"
    assert reasons["f.png"] == "more pixels than are safe to decode"
    assert reasons["g.tif"].startswith("32 bits a channel")
    assert list(reasons) == ["b.jpg", "c.png", "d.png", "e.png", "f.png", "g.tif"]


def test_nothing_sound_and_too_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    assert decode(entries(tmp_path / "x.png"), settings(), "here").pictures.shape[0] == 0
    path = save(tmp_path / "y.png")
    monkeypatch.setattr(labelled, "available", lambda: 6000)
    with pytest.raises(InputError, match=r"here: the pictures take .* free"):
        decode(entries(path), settings(), "here")


def test_more_than_memory_should_hold_is_decoded_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(tmp_path / f"{place}.png", place) for place in range(5)]
    paths.insert(2, tmp_path / "broken.png")
    paths[2].write_bytes(b"no picture")
    plain = decode(entries(*paths), settings(), "here")
    monkeypatch.setattr("dataset.pictures.decoding.IN_MEMORY_BYTES", 100)
    mapped = decode(entries(*paths), settings(), "here")
    assert isinstance(mapped.pictures, np.memmap)
    np.testing.assert_array_equal(mapped.pictures, plain.pictures)
    assert [fault.name for fault in mapped.faults] == ["broken.png"]
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"here: the pictures take .* are free in "):
        decode(entries(*paths), settings(), "here")
