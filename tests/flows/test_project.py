"""The whole pipeline on small data, from a user's file to predictions, through both doors."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.conftest import ROOT, Checkout, copy_code, kill_group, make_repository
from tests.pipeline.test_doors import cached
from tests.tasks.candidates import STORY

pytestmark = pytest.mark.doors

STAGES = ["ingest", "split", *STORY, "evaluate", "report"]
SMALL: dict[str, dict[str, Any]] = {
    "recipe": {"epochs": 3},
    "baseline": {"seeds": [1]},
    "search": {
        "seeds": [1],
        "budget": {"trials": 2, "epochs": None, "minutes": None},
        "set": {"epochs": 2, "patience": 4},
        "retrain": 1,
    },
    "regularize": {
        "seeds": [1],
        "techniques": {
            "dropout": {"dropout": 0.2},
            "weight_decay": {"l2": 0.0001},
            "normalisation": {"batch_norm": True},
            "early_stopping": {"epochs": 3, "patience": 6},
        },
    },
    "finetune": {
        "seeds": [1],
        "pictures": 300,
        "source_epochs": 2,
        "frozen_epochs": 1,
        "epochs": 4,
    },
    "ensemble": {"enabled": True},
    "distill": {"seeds": [1], "student": {"width": 8, "embedding": 8, "epochs": 3, "patience": 10}},
    "evaluate": {"replicates": 200},
}
"""The real configuration, shrunk: the same stages with as little training as they allow."""


def shrink(checkout: Checkout) -> None:
    yaml = YAML()
    path = checkout.root / "params.yaml"
    content = yaml.load(path)
    for section, values in SMALL.items():
        content[section] |= values
    yaml.dump(content, path)


def write_table(path: Path, rows: int = 240) -> None:
    random = np.random.default_rng(5)
    x, y = random.normal(size=(2, rows))
    place = random.choice(["Bern", "<b>Rom</b>", "?"], size=rows)
    label = np.where(x + (place == "Bern") + 0.3 * random.normal(size=rows) > 0.5, "yes", "no")
    lines = [f"{a:.3f},{b:.3f},{c},{d}" for a, b, c, d in zip(x, y, place, label, strict=True)]
    path.write_text("\n".join(["x,y,place,bought", *lines]) + "\n")


def write_flats(path: Path, rows: int = 240) -> None:
    """Rents: a quantity that follows from a number, from a word in a text and from a date."""
    random = np.random.default_rng(6)
    rooms = random.integers(1, 7, rows)
    garden = random.random(rows) < 0.5
    days = random.permutation(np.arange(rows) * 3)
    words = ["bright", "quiet", "near", "the", "station", "and", "shops", "with", "view", "old"]
    texts = [
        " ".join([*random.choice(words, 7), "a garden" if has else "no balcony"]) for has in garden
    ]
    rent = 400 + 250 * rooms + 300 * garden + 0.2 * days + random.normal(0, 20, rows)
    dates = pd.Timestamp("2021-01-01") + pd.to_timedelta(days, unit="D")
    pd.DataFrame(
        {
            "rooms": rooms,
            "area": (rooms * 18 + random.normal(0, 6, rows)).round(1),
            "described": texts,
            "listed": dates.strftime("%Y-%m-%d"),
            "rent": rent.round(2),
        }
    ).to_csv(path, index=False)


def write_pictures(folder: Path, each: int = 40) -> None:
    """Noisy stripes of 16x16, across or down, in a folder for each class."""
    random = np.random.default_rng(7)
    for name in ("across", "down"):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            phase, period = random.integers(0, 4), random.integers(3, 6)
            stripes = np.tile((np.arange(16) + phase) % period < 2, (16, 1)) * 150.0
            shown = stripes.T if name == "across" else stripes
            values = (shown + random.uniform(0, 80, (16, 16))).astype(np.uint8)
            Image.fromarray(values).save(folder / name / f"{number}.png")


def finished(own: Checkout, classes: int) -> dict[str, Any]:
    """Checks what every run leaves; returns the choice."""
    page = (own.root / "artifacts/report/index.html").read_text()
    assert "<svg" in page
    choice: dict[str, Any] = json.loads(
        (own.root / "artifacts/evaluate/chosen/choice.json").read_text()
    )
    ledger = pd.read_csv(own.root / "artifacts/evaluate/ledger.csv")
    assert ledger[ledger["decision"] == "chosen"]["candidate"].tolist() == [choice["candidate"]]
    model = own.root / "artifacts" / choice["candidate"] / "model/model.keras"
    assert model.read_bytes() == (own.root / "artifacts/evaluate/chosen/model.keras").read_bytes()
    told = np.load(own.root / f"artifacts/{choice['candidate']}/model/predictions.npz")
    assert told["predictions"].shape[2] == classes
    assert "up to date" in own.dvc("status")
    return choice


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project itself, with little training, committed."""
    root = tmp_path_factory.mktemp("project") / "project"
    copy_code(root)
    for name in ("tasks", "dataset", "metrics", "models"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", root)
    shrink(Checkout(root))
    make_repository(Checkout(root))
    return root


@pytest.fixture
def project(tmp_path: Path, template: Path, prefect_server: str) -> Callable[[str], Checkout]:
    def make(name: str) -> Checkout:
        shutil.copytree(template, tmp_path / name, symlinks=True)
        return Checkout(tmp_path / name, prefect_server)

    return make


def test_digits_end_with_the_same_lock_by_either_door_after_a_kill_on_one_core(
    project: Callable[[str], Checkout],
) -> None:
    one, other = project("one"), project("other")
    one.dvc("repro")
    run = other.start("./fettle", "run")
    try:
        other.wait_for("artifacts/split/summary.json", 120)
        os.kill(run.pid, signal.SIGKILL)
    finally:
        kill_group(run)
    other.replace("params.yaml", "workers: 2", "workers: 1")
    told = other.run("taskset", "--cpu-list", "0", "./fettle", "run")
    assert "search" in told
    assert "InitializeLog" not in told
    assert one.lock == other.lock
    assert cached(one.fettle("run"), "current", STAGES) == STAGES
    page = (one.root / "artifacts/report/index.html").read_text()
    assert "<svg" in page
    assert (one.root / "artifacts/report/timing.html").is_file()


def test_a_table_of_ones_own_from_init_to_predictions(
    project: Callable[[str], Checkout], tmp_path: Path
) -> None:
    own = project("own")
    write_table(tmp_path / "shop.csv")
    said = own.fettle("init", str(tmp_path / "shop.csv"), "--target", "bought")
    assert "classes: no" in said
    assert "categorical columns (1): place" in said
    assert (own.root / "data/shop.csv.dvc").is_file()
    output = own.fettle("run")
    assert "accuracy on the holdout (" in output
    finished(own, 2)
    assert "<b>Rom" not in (own.root / "artifacts/report/index.html").read_text()

    said = own.fettle("predict", str(tmp_path / "shop.csv"), "--out", str(tmp_path / "out.csv"))
    assert "accuracy on 240 rows with a target" in said
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "row,prediction,probability no,probability yes"
    assert len(lines) == 241

    own.replace("data/shop.csv", "Bern", "Bonn")
    assert "data/shop.csv" in own.dvc("status")
    assert "because file data/shop.csv changed" in own.fettle("plan")


def test_quantities_with_texts_and_dates_from_init_to_predictions(
    project: Callable[[str], Checkout], tmp_path: Path
) -> None:
    own = project("own")
    write_flats(tmp_path / "flats.csv")
    said = own.fettle("init", str(tmp_path / "flats.csv"), "--target", "rent", "--yes")
    assert "rent: " in said
    assert "text columns (1): described" in said
    assert "time columns (1): listed" in said
    output = own.fettle("run")
    assert "root mean squared error on the holdout (" in output
    finished(own, 1)

    new = pd.read_csv(tmp_path / "flats.csv")
    new.to_csv(tmp_path / "new.csv", index=False)
    said = own.fettle("predict", str(tmp_path / "new.csv"), "--out", str(tmp_path / "out.csv"))
    assert "root mean squared error on 240 rows with a target: " in said
    told = pd.read_csv(tmp_path / "out.csv")
    assert told.columns.tolist() == ["row", "prediction rent"]
    # In the unit of the rents, and better than their mean.
    errors = told["prediction rent"] - new["rent"]
    assert errors.std() < new["rent"].std()
    assert abs(errors.mean()) < new["rent"].std()


def test_a_folder_of_pictures_from_init_to_predictions(
    project: Callable[[str], Checkout], tmp_path: Path
) -> None:
    own = project("own")
    write_pictures(tmp_path / "stripes")
    said = own.fettle("init", str(tmp_path / "stripes"), "--yes")
    assert "classes: across 40 (50.0%), down 40 (50.0%)" in said
    output = own.fettle("run")
    assert "accuracy on the holdout (" in output
    finished(own, 2)

    own.fettle("predict", str(tmp_path / "stripes"), "--out", str(tmp_path / "out.csv"))
    told = pd.read_csv(tmp_path / "out.csv")
    assert told.columns.tolist() == [
        "picture",
        "prediction",
        "probability across",
        "probability down",
    ]
    assert len(told) == 80
    right = told["picture"].str.startswith("across") == (told["prediction"] == "across")
    assert right.mean() > 0.8


def test_a_folder_of_parts_is_tracked_as_one(
    project: Callable[[str], Checkout], tmp_path: Path
) -> None:
    own = project("own")
    write_table(tmp_path / "shop.csv")
    table, parts = pd.read_csv(tmp_path / "shop.csv"), tmp_path / "shop"
    parts.mkdir()
    table[:100].to_parquet(parts / "a.parquet")
    table[100:].to_parquet(parts / "b.parquet")
    assert "data/shop: 240 rows" in own.fettle("init", str(parts), "--target", "bought")
    assert (own.root / "data/shop.dvc").is_file()
    own.dvc("repro", "ingest")
    assert "up to date" in own.dvc("status", "ingest")
    shutil.copy(parts / "a.parquet", own.root / "data/shop/c.parquet")
    assert "because" in own.fettle("plan")
    assert "data/shop" in own.dvc("status", "ingest")


def test_what_init_cannot_use_changes_nothing(
    project: Callable[[str], Checkout], tmp_path: Path
) -> None:
    own = project("own")
    write_table(tmp_path / "shop.csv")
    message = own.fettle("init", str(tmp_path / "shop.csv"), "--target", "bougt", expect=3)
    assert "did you mean 'bought'?" in message
    own.fettle("init", str(tmp_path / "shap.csv"), "--target", "bought", expect=3)
    own.fettle("predict", str(tmp_path / "shop.csv"), expect=3)
    assert own.git("status", "--short") == ""
    own.replace("params.yaml", "metric: accuracy", "metric: rmse")
    for command in ("plan", "run"):
        assert "rmse is not for classification" in own.fettle(command, expect=3)


def test_a_rare_class_is_named_and_nothing_is_kept(
    project: Callable[[str], Checkout], tmp_path: Path
) -> None:
    own = project("own")
    write_table(tmp_path / "shop.csv")
    with (tmp_path / "shop.csv").open("a") as table:
        table.write("1.0,2.0,Bern,perhaps\n")
    own.fettle("init", str(tmp_path / "shop.csv"), "--target", "bought")
    message = own.fettle("run", expect=3)
    assert "class 'perhaps' has 1 of 241 examples" in message
    assert "class 'perhaps' has 1 of 241 examples" in own.dvc("repro", expect=255)
    assert not (own.root / "artifacts/split/development").exists()
