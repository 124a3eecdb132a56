"""Folders of pictures: classes, parts, and what is told of everything else."""

from pathlib import Path

import pytest

from dataset.pictures.folders import list_folder
from pipeline.errors import InputError
from tests.dataset.pictures.drawn import classes, save


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as error:
        list_folder(folder)
    return str(error.value)


def test_a_folder_for_each_class_sorted_by_name(tmp_path: Path) -> None:
    classes(tmp_path, 2)
    save(tmp_path / "bees" / "deeper" / "0.JPG")
    listing = list_folder(tmp_path)
    assert [(entry.name, entry.label, entry.part) for entry in listing.entries] == [
        ("ants/0.png", "ants", None),
        ("ants/1.png", "ants", None),
        ("bees/0.png", "bees", None),
        ("bees/1.png", "bees", None),
        ("bees/deeper/0.JPG", "bees", None),
    ]
    assert not listing.notes
    assert not listing.faults


def test_parts_in_any_case_and_by_any_of_their_names(tmp_path: Path) -> None:
    for name in ("Train", "valid", "dev", "HOLDOUT"):
        classes(tmp_path / name, 1)
    parts = {entry.name.split("/")[0]: entry.part for entry in list_folder(tmp_path).entries}
    assert parts == {
        "Train": "train",
        "valid": "validation",
        "dev": "validation",
        "HOLDOUT": "test",
    }


def test_one_part_alone_is_none_and_pictures_without_a_class_are_told(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    save(tmp_path / "test" / "1.png")
    save(tmp_path / "loose.png")
    listing = list_folder(tmp_path)
    assert {entry.part for entry in listing.entries} == {None}
    told = " ".join(listing.notes)
    assert "1 pictures directly in" in told
    assert "loose.png" in told
    assert "train is the only part" in told


def test_classes_may_be_called_like_a_part_beside_others(tmp_path: Path) -> None:
    classes(tmp_path, names=("dev", "prod"))
    assert {(entry.label, entry.part) for entry in list_folder(tmp_path).entries} == {
        ("dev", None),
        ("prod", None),
    }


def test_hidden_files_are_not_seen_and_others_are_counted(tmp_path: Path) -> None:
    classes(tmp_path, 1)
    save(tmp_path / "ants" / "._0.png")
    save(tmp_path / ".git" / "0.png")
    save(tmp_path / "__MACOSX" / "ants" / "0.png")
    (tmp_path / "ants" / "notes.txt").write_text("x")
    listing = list_folder(tmp_path)
    assert len(listing.entries) == 2
    assert listing.notes == ["1 files that are no pictures were left out: .txt"]


def test_links_that_lead_outside_are_set_aside(tmp_path: Path) -> None:
    outside = save(tmp_path / "outside" / "secret.png")
    folder = classes(tmp_path / "data", 1)
    (folder / "ants" / "link.png").symlink_to(outside)
    (folder / "ants" / "same.png").symlink_to(folder / "ants" / "0.png")
    (folder / "ants" / "gone.png").symlink_to(folder / "nothing.png")
    (folder / "all").symlink_to(outside.parent)
    listing = list_folder(folder)
    assert [(fault.name, fault.reason) for fault in listing.faults] == [
        ("ants/gone.png", "not a file"),
        ("ants/link.png", "a link that leads outside the folder"),
    ]
    assert "ants/same.png" in [entry.name for entry in listing.entries]
    assert "were not followed, as all" in listing.notes[0]


def test_a_name_that_is_not_text_is_set_aside(tmp_path: Path) -> None:
    classes(tmp_path, 1)
    save(tmp_path / "ants" / "x.png").rename(
        tmp_path / "ants" / b"x\xff.png".decode(errors="surrogateescape")
    )
    [fault] = list_folder(tmp_path).faults
    assert fault.name == "ants/x\\udcff.png"
    assert fault.reason == "its name is not UTF-8"


def test_what_is_no_folder_of_classes_is_refused_in_words(tmp_path: Path) -> None:
    assert "there are no folders of classes" in refused(tmp_path)
    for place in range(3):
        save(tmp_path / "flat" / f"{place}.png")
    assert "3 pictures directly in" in refused(tmp_path / "flat")
    classes(tmp_path / "one" / "pictures")
    assert f"Did you mean {tmp_path / 'one' / 'pictures'}?" in refused(tmp_path / "one")
    (classes(tmp_path / "empty") / "wasps").mkdir()
    assert "the class 'wasps' holds no picture" in refused(tmp_path / "empty")
    classes(tmp_path / "mixed" / "train")
    classes(tmp_path / "mixed" / "extra")
    assert "train are parts, but beside them lies 'extra'" in refused(tmp_path / "mixed")
    save(tmp_path / "bare" / "train" / "1.png")
    save(tmp_path / "bare" / "test" / "1.png")
    assert "there are no folders of classes" in refused(tmp_path / "bare")
    (tmp_path / "nothing" / "a").mkdir(parents=True)
    assert "there is no picture" in refused(tmp_path / "nothing")
