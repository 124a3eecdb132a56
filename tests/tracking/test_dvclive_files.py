"""DVCLive's files, and that they are all it writes."""

import json
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from tests.models.small import contents
from tests.tracking import told
from tracking.dvclive_files import DvcliveFiles
from tracking.tracker import Place


def made(tmp_path: Path) -> Place:
    place = told.place(tmp_path)
    told.write(place, told.whole())
    return place


def test_figures_by_epoch_last_ones_and_settings(tmp_path: Path) -> None:
    place = made(tmp_path)
    DvcliveFiles(place).take(told.read(place))
    stage = tmp_path / ".fettle" / "dvclive" / told.RUN / "search"
    curve = (stage / "plots/metrics/search-trial-1/val_loss.tsv").read_text().split("\n")
    assert curve == ["step\tval_loss", "1\t3.0", "2\t4.0", ""]
    figures = json.loads((stage / "metrics.json").read_text())
    assert figures["search-trial-1-2"]["final_val_loss"] == 0.25
    assert figures["stage"]["validation.accuracy"] == 0.5
    settings = YAML(typ="safe").load(stage / "params.yaml")
    assert settings["search-trial-2"]["width"] == 4
    assert settings["search-trial-2 ended"] == "diverged"
    assert settings["counted"] == {"fits": 2, "epochs": 4}
    run = YAML(typ="safe").load(stage.parent / "params.yaml")
    assert run["commit"] == told.COMMIT
    assert run["dvc.lock"] == told.LOCK
    assert run["params"]["search.space.width.choice"] == "[1, 2]"


def test_bit_by_bit_or_twice_gives_the_same_files(tmp_path: Path) -> None:
    place = made(tmp_path)
    folder = tmp_path / ".fettle" / "dvclive"
    DvcliveFiles(place).take(told.read(place))
    at_once = contents(folder)
    again = DvcliveFiles(place)
    for event in told.read(place):
        again.take([event])
    assert contents(folder) == at_once


def test_neither_git_nor_dvc_is_touched(tmp_path: Path, monkeypatch) -> None:
    # Where DVCLive itself would make a DVC repository.
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    place = made(tmp_path)
    before = contents(tmp_path)
    DvcliveFiles(place).take(told.read(place))
    new = contents(tmp_path).items() - before.items()
    assert {Path(name).parts[:2] for name, _ in new} == {(".fettle", "dvclive")}
    assert not [name for name, _ in new if name.endswith(("dvc.yaml", ".dvc", ".html", ".md"))]
