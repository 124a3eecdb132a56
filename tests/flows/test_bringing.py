"""What init brings along besides the data."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flows.init
from pipeline.errors import InputError
from pipeline.params_file import read_raw
from pipeline.project import read_given
from tests.flows.test_init import alone, below, fill, project, wishes

__all__ = ["alone", "project"]  # fixtures
WEIGHTS = "mobilenet_v2_0.35_224_no_top.weights.h5"


def pictures(folder: Path, *sizes: int) -> Path:
    random = np.random.default_rng(1)
    for name in ("ants", "bees"):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            side = sizes[number % len(sizes)]
            pixels = random.integers(0, 255, size=(side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_weights_models_and_data_come_to_lie_in_one_folder(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = fill(tmp_path, WEIGHTS, "last.keras", "teacher.h5")
    pictures(home / "birds", 8)
    wish = wishes(
        pictures(home / "insects", 90, 100),
        pretrained=(str(home / WEIGHTS), str(home / "last.keras"), str(home / "birds")),
        teacher=str(home / "teacher.h5"),
        unlabelled=str(home / "birds"),
    )
    flows.init.init(wish, Path())
    raw = read_raw()
    assert raw["finetune"]["pretrained"] == "data/pretrained"
    assert raw["finetune"]["sources"] == [
        "rotated",
        {"network": "MobileNetV2", "options": {"alpha": 0.35}, "weights": WEIGHTS},
        {"model": "last.keras"},
        {"data": "birds", "target": None},
    ]
    # A head on features that are computed once, and the last blocks alone.
    assert raw["finetune"]["frozen_epochs"] == 30
    assert raw["finetune"]["unfreeze"] == 3
    assert {WEIGHTS, "last.keras", "birds/ants/0.png"} <= set(below(alone / "data/pretrained"))
    assert raw["distill"]["teacher"] == "data/teacher.h5"
    assert raw["distill"]["unlabelled"] == "data/birds"
    given = read_given()
    assert given.pretrained.path == Path("data/pretrained")
    assert given.teacher.path == Path("data/teacher.h5")
    # Their sizes differ, so they would be 64 points high; the network knows 224.
    assert raw["ingest"]["size"] == [224, 224]
    assert "transfer: MobileNetV2, last.keras, birds" in capsys.readouterr().out
    # What was brought for other data does not stay.
    flows.init.init(wishes(home / "birds"), Path())
    assert read_raw()["finetune"]["pretrained"] is None
    assert read_raw()["distill"]["teacher"] is None


def test_pictures_of_one_size_and_a_told_size_stay(alone: Path, tmp_path: Path) -> None:
    home = fill(tmp_path, WEIGHTS)
    flows.init.init(wishes(pictures(home / "small", 32), pretrained=(str(home / WEIGHTS),)), Path())
    assert read_raw()["ingest"]["size"] is None
    large = wishes(
        pictures(home / "large", 90, 100), pretrained=(str(home / WEIGHTS),), size=(96, 96)
    )
    flows.init.init(large, Path())
    assert read_raw()["ingest"]["size"] == [96, 96]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"pretrained": ("best.weights.h5",)}, "does not say which network"),
        ({"pretrained": ("gone.keras",)}, "there is no such file"),
        ({"teacher": "gone.h5"}, "there is no such file"),
    ],
)
def test_what_cannot_be_told_changes_nothing(
    alone: Path, tmp_path: Path, told: dict[str, object], words: str
) -> None:
    home = fill(tmp_path, "best.weights.h5")
    before = read_raw()
    with pytest.raises(InputError, match=words):
        flows.init.init(wishes(pictures(home / "insects", 8), **told), home)
    assert read_raw() == before
    assert below(alone) == ["params.yaml"]


def test_what_cannot_be_a_teacher_or_a_source_is_said_before_anything_is_brought(
    alone: Path, tmp_path: Path
) -> None:
    home = fill(tmp_path, WEIGHTS, "teacher.csv")
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "".join(f"{n * n % 71},{'xy'[n % 2]}\n" for n in range(60)))
    with pytest.raises(
        InputError, match=r"teacher.csv: a teacher is a Keras model, in a .keras or"
    ):
        flows.init.init(wishes(table, teacher=str(home / "teacher.csv"), yes=True), Path())
    with pytest.raises(InputError, match="MobileNetV2 sees pictures, and the data are a table"):
        flows.init.init(wishes(table, pretrained=(str(home / WEIGHTS),), yes=True), Path())
    assert not (alone / "data").exists()
