"""What init understands, where it puts the data, and what it writes into params.yaml."""

import builtins
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

import flows.init
import flows.main
import flows.placing
from dataset.checks import expectations
from dataset.examples import GIVEN
from dataset.target import Task
from flows.deciding import Decision, decide
from flows.placing import Arrival, arriving, beside
from flows.setting import write_params
from flows.wishes import Wishes
from models.presets import WIDE_FILTERS
from pipeline.errors import InputError
from pipeline.params_file import PARAMS, read_raw
from pipeline.project import EXPECTED
from tests.conftest import SHARED

ROOT = Path(__file__).parents[2]
ROWS = 200


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / PARAMS, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project without DVC and without stages to render."""
    monkeypatch.setattr(flows.placing, "_track", lambda place: None)
    monkeypatch.setattr(flows.init, "_render", lambda: None)
    monkeypatch.setattr(flows.init, "_estimate", lambda decision: [])
    return project


def wishes(path: Path | str, **told: Any) -> Wishes:
    nothing: dict[str, Any] = {
        "target": (),
        "task": None,
        "ignore": (),
        "group": None,
        "time": (),
        "part": None,
        "pretrained": (),
        "teacher": None,
        "unlabelled": None,
        "test": None,
        "validation": None,
        "query": None,
        "weight": None,
        "missing": (),
        "allow": (),
        "size": None,
        "minutes": None,
        "yes": False,
    }
    return Wishes(path=str(path), **nothing | told)


def decided(path: Path, **told: Any) -> Decision:
    wish = wishes(path, **told)
    with arriving(wish.path, Path(), wish.test, wish.validation, wish.query) as arrival:
        return decide(arrival, wish, read_raw())


def frame(rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    x = random.normal(size=rows).round(3)
    return pd.DataFrame(
        {
            "customerID": [f"{seed}-{row * 7919 % 9973:04}-X" for row in range(rows)],
            "x": x,
            "size": random.integers(40, 90, size=rows),
            "region": "Anvers",
            "bought": np.where(x + random.normal(size=rows) > 0, "yes", "no"),
        }
    )


def written(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False)
    return path


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def arrival(path: Path | str) -> Arrival:
    with arriving(str(path), Path(), None, None, None) as found:
        return found


# Where the data come to lie.


def test_a_file_is_copied_under_its_name(alone: Path, tmp_path: Path) -> None:
    fill(tmp_path, "t.csv.gz")
    found = arrival(tmp_path / "t.csv.gz")
    assert (found.place, found.name) == (Path("data/t.csv.gz"), "t")
    assert below(alone) == ["params.yaml"]
    found.settle()
    assert below(alone) == ["data", "data/t.csv.gz", "params.yaml"]


def test_a_folder_takes_the_place_of_an_older_one(alone: Path, tmp_path: Path) -> None:
    old = fill(alone / "data/parts", "a.parquet", "gone.parquet")
    arrival(fill(tmp_path / "parts", "a.parquet", "b.parquet")).settle()
    assert below(alone / "data") == ["parts", "parts/a.parquet", "parts/b.parquet"]
    assert old.stat().st_mode & 0o055 == 0o055


def test_what_lies_in_data_stays_there(alone: Path) -> None:
    fill(alone / "data/sub/parts", "a.parquet")
    for path in ("data/sub/parts", "data/sub/parts/a.parquet"):
        found = arrival(alone / path)
        assert found.place == Path(path)
        found.settle()
    assert below(alone / "data") == ["sub", "sub/parts", "sub/parts/a.parquet"]


def test_a_folder_that_holds_the_project_is_refused(project: Path) -> None:
    for path in (".", ".."):
        with pytest.raises(InputError, match="holds this project"):
            arrival(path)
    (project / "data").mkdir()
    with pytest.raises(InputError, match="not all of it"):
        arrival("data")


def test_a_folder_never_replaces_a_file_nor_a_file_a_folder(alone: Path, tmp_path: Path) -> None:
    fill(alone / "data", "parts")
    with pytest.raises(InputError, match=r"data/parts is there, and is not what"):
        arrival(fill(tmp_path / "parts", "a.parquet")).settle()
    fill(alone / "data/t.csv", "a.parquet")
    with pytest.raises(InputError, match=r"data/t\.csv is there, and is not what"):
        arrival(fill(tmp_path, "t.csv") / "t.csv").settle()
    assert below(alone / "data") == ["parts", "t.csv", "t.csv/a.parquet"]


def test_parts_become_one_folder(alone: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "shop_train.csv", frame())
    test = written(tmp_path / "later.csv", frame(50, 2))
    with arriving(str(train), Path(), str(test), None, None) as found:
        assert found.place == Path("data/shop")
        found.settle()
    assert below(alone / "data") == ["shop", "shop/test.csv", "shop/train.csv"]
    assert (alone / "data/shop/test.csv").read_bytes() == test.read_bytes()


def test_what_is_wrong_in_a_part_is_told_of_the_users_file(project: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "shop_train.csv", frame())
    test = tmp_path / "later.csv"
    test.write_text("customerID,x\n1,2,3\n")
    with pytest.raises(InputError) as raised:
        decided(train, test=str(test), target=("bought",))
    assert str(test) in str(raised.value)
    assert "/fettle-" not in str(raised.value)
    with pytest.raises(InputError, match="there is no such file"):
        decided(train, test=str(tmp_path / "gone.csv"))


def test_files_beside_are_found_by_their_names(tmp_path: Path) -> None:
    fill(tmp_path, "a_train.csv", "a_test.csv", "a_val.csv", "b_train.csv", "c.csv", "test.csv")
    found = beside(tmp_path / "a_train.csv")
    assert {part: path.name for part, path in found.items()} == {
        "validation": "a_val.csv",
        "test": "a_test.csv",
    }
    assert beside(tmp_path / "b_train.csv") == {}
    assert beside(tmp_path / "c.csv") == {}


def test_a_query_becomes_a_file_of_its_rows(alone: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        frame().to_sql("sales", connection, index=False)
    connection.close()
    url = f"sqlite:///{tmp_path}/shop.db"
    told = wishes(url, query="SELECT x, bought FROM sales", target=("bought",))
    flows.init.init(told, Path())
    assert read_raw()["ingest"]["path"] == "data/shop.parquet"
    assert len(pd.read_parquet("data/shop.parquet")) == ROWS
    with pytest.raises(InputError, match="a database needs a query"):
        flows.init.init(wishes(url), Path())


# What is understood.


def test_a_table_is_understood_without_a_word(project: Path, tmp_path: Path) -> None:
    decision = decided(written(tmp_path / "shop.csv", frame()), yes=True)
    ingest = decision.values["ingest"]
    assert (ingest["target"], ingest["task"]) == (["bought"], "classification")
    assert ingest["ignore"] == ["customerID", "region"]
    assert decision.values["split"]["method"] == "stratified"
    said = "\n".join([*decision.head, *decision.lines])
    assert "target: bought: guessed: 'bought' in its name, two values, the last column" in said
    assert "ignored: customerID: an id: 200 different texts in 200 rows" in said
    assert below(project) == ["params.yaml"]


def test_without_a_terminal_it_stops_with_the_commands(project: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "my shop.csv", frame())
    with pytest.raises(InputError) as raised:
        decided(path, ignore=("x",))
    said = str(raised.value)
    assert "1. bought (" in said
    assert f"./fettle init '{path}' --ignore x --target bought" in said
    assert f"./fettle init '{path}' --ignore x --yes" in said
    assert raised.value.exit_code == 3


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answers typed at a terminal."""

    def type_in(*answers: str) -> None:
        remaining: Iterator[str] = iter(answers)

        def answer(prompt: str) -> str:
            try:
                return next(remaining)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(builtins, "input", answer)
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)

    return type_in


def test_on_a_terminal_it_asks(
    project: Path, tmp_path: Path, typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "shop.csv", frame())
    typed("")
    assert decided(path).values["ingest"]["target"] == ["bought"]
    typed("9", "what?", "x")
    assert decided(path).values["ingest"]["target"] == ["x"]
    assert "Give a number from 1 to" in capsys.readouterr().out
    typed()
    with pytest.raises(InputError, match="Nothing is changed"):
        decided(path)


def test_a_wrong_name_is_met_with_the_nearest(project: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "shop.csv", frame())
    for told in ({"target": ("bougt",)}, {"ignore": ("bougt",)}, {"weight": "bougt"}):
        with pytest.raises(InputError, match="did you mean 'bought'"):
            decided(path, **told)
    with pytest.raises(InputError, match="--size is for pictures"):
        decided(path, target=("bought",), size=(8, 8))


def test_groups_and_times_are_proposed_and_not_taken(project: Path, tmp_path: Path) -> None:
    table = frame()
    table.insert(0, "patient", [row // 10 for row in range(ROWS)])
    table.insert(0, "day", [f"2026-{1 + row // 28:02}-{1 + row % 28:02}" for row in range(ROWS)])
    path = written(tmp_path / "visits.csv", table)
    decision = decided(path, yes=True)
    split = decision.values["split"]
    assert (split["method"], split["group"], split["time"]) == ("stratified", None, [])
    assert "patient" in decision.values["ingest"]["ignore"]
    hints = "\n".join(decision.hints)
    assert "--group patient" in hints
    assert "--time day" in hints
    split = decided(path, yes=True, group="patient", time=("day",)).values["split"]
    assert (split["method"], split["group"], split["time"]) == ("time", "patient", ["day"])


def test_zeros_that_are_none_become_missing_with_yes(project: Path, tmp_path: Path) -> None:
    table = frame()
    table.loc[::20, "size"] = 0
    path = written(tmp_path / "shop.csv", table)
    decision = decided(path, yes=True)
    assert decision.values["ingest"]["missing_in"] == {"size": ["0"]}
    assert np.isnan(decision.read.examples.features["size"][::20]).all()
    asked = decided(path, target=("bought",))
    assert asked.values["ingest"]["missing_in"] == {}
    assert any(hint.endswith("--target bought --missing size=0") for hint in asked.hints)
    told = decided(path, target=("bought",), missing=(("size", "0"),))
    assert told.values["ingest"]["missing_in"] == {"size": ["0"]}


def test_a_large_sentinel_is_only_asked_about(project: Path, tmp_path: Path) -> None:
    table = frame()
    table.loc[::20, "size"] = 99999
    decision = decided(written(tmp_path / "shop.csv", table), yes=True)
    assert decision.values["ingest"]["missing_in"] == {}
    assert any("--missing size=99999" in hint for hint in decision.hints)


def test_a_leak_is_left_out_with_yes_and_loudly(project: Path, tmp_path: Path) -> None:
    table = frame()
    table.insert(1, "receipt", np.where(table["bought"] == "yes", "paid", "none"))
    path = written(tmp_path / "shop.csv", table)
    decision = decided(path, yes=True)
    assert "receipt" in decision.values["ingest"]["ignore"]
    assert any(line.startswith("LEFT OUT: receipt: ") for line in decision.lines)
    asked = decided(path, target=("bought",))
    assert "receipt" not in asked.values["ingest"]["ignore"]
    assert "./fettle run will stop" in asked.hints[0]
    allowed = decided(path, yes=True, allow=("leak:receipt", "overlap"))
    assert "receipt" not in allowed.values["ingest"]["ignore"]
    assert allowed.values["ingest"]["allow"] == ["leak:receipt"]
    assert allowed.values["split"]["allow"] == ["overlap"]


def test_given_parts_are_kept_and_rare_classes_counted_in_training(
    project: Path, tmp_path: Path
) -> None:
    train, test = frame(ROWS, 1), frame(100, 2)
    train["bought"] = ["yes" if row % 10 == 0 else "no" for row in range(ROWS)]
    test["bought"] = "yes"
    path = written(tmp_path / "shop_train.csv", train)
    decision = decided(path, test=str(written(tmp_path / "t.csv", test)), yes=True)
    assert decision.values["split"]["method"] == "given"
    assert decision.read.aside[GIVEN].tolist().count("test") == 100
    assert decision.values["objective"]["metric"] == "balanced_accuracy"
    assert decision.values["split"]["balance"] == "weights"


def test_a_column_of_parts_is_taken_with_yes(project: Path, tmp_path: Path) -> None:
    table = frame()
    table["set"] = ["test" if row % 4 == 0 else "train" for row in range(ROWS)]
    path = written(tmp_path / "shop.csv", table)
    decision = decided(path, yes=True)
    assert (
        decision.values["split"] | {"method": "column", "part": "set"} == decision.values["split"]
    )
    asked = decided(path, target=("bought",))
    assert asked.values["split"]["part"] is None
    assert any("--part set" in hint for hint in asked.hints)
    assert "set" in asked.values["ingest"]["ignore"]


def test_quantities_and_labels(project: Path, tmp_path: Path) -> None:
    table = frame()
    table["price"] = np.exp(2 * np.random.default_rng(3).normal(size=ROWS)).round(4)
    table["a"], table["b"] = [row % 2 for row in range(ROWS)], [row % 3 // 2 for row in range(ROWS)]
    path = written(tmp_path / "shop.csv", table)
    price = decided(path, target=("price",)).values
    assert price["ingest"]["task"] == "regression"
    assert (price["objective"]["metric"], price["split"]["transform"]) == ("rmse", "log")
    labels = decided(path, target=("a", "b")).values
    assert labels["ingest"]["task"] == "multilabel"
    assert labels["objective"]["metric"] == "macro_f1"


def test_pictures_in_folders(project: Path, tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(1)
    for part, count in (("train", 12), ("test", 4)):
        for name in ("ants", "bees"):
            folder = tmp_path / "insects" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, size=(9, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    decision = decided(tmp_path / "insects", size=(6, 6))
    ingest = decision.values["ingest"]
    assert (ingest["kind"], ingest["size"], ingest["target"]) == ("pictures", [6, 6], ["class"])
    assert decision.values["split"]["method"] == "given"
    assert decision.values["finetune"]["sources"] == ["rotated"]
    assert decision.head[0] == "kind: pictures of 6x6, in colour: a folder of them"
    with pytest.raises(InputError, match="--group names a column"):
        decided(tmp_path / "insects", group="x")


def test_a_list_of_pictures_brings_them_along(alone: Path, tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(1)
    home = tmp_path / "insects"
    (home / "far" / "off").mkdir(parents=True)
    rows = ["path,kind,weather"]
    for number in range(12):
        pixels = random.integers(0, 255, size=(6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(home / "far" / "off" / f"{number}.png")
        rows.append(f"far/off/{number}.png,{'ant' if number % 2 else 'bee'},fine")
    fill(home, "private.txt")
    (home / "list.csv").write_text("\n".join(rows) + "\n")
    flows.init.init(wishes(home / "list.csv", target=("kind",)), Path())
    ingest = read_raw()["ingest"]
    assert (ingest["path"], ingest["picture"]) == ("data/list/list.csv", "path")
    assert ingest["target"] == ["kind"]
    there = below(alone / "data/list")
    assert "far/off/11.png" in there
    assert "private.txt" not in there
    flows.init.init(wishes("data/list/list.csv", target=("kind",)), Path())
    shutil.copy(home / "list.csv", alone / "data")
    shutil.copytree(home / "far", alone / "data" / "far")
    with pytest.raises(InputError, match="a folder of their own: data/list/"):
        flows.init.init(wishes("data/list.csv", target=("kind",)), Path())


def test_what_cannot_be_learned_from_changes_nothing(alone: Path, tmp_path: Path) -> None:
    table = frame()
    table["bought"] = "yes"
    before = PARAMS.read_text()
    for path in (written(tmp_path / "shop.csv", table), tmp_path / "gone.csv"):
        with pytest.raises(InputError):
            flows.init.init(wishes(path, target=("bought",)), Path())
    assert PARAMS.read_text() == before
    assert below(alone) == ["params.yaml"]


def test_contradicting_wishes_and_wrong_params_are_told(alone: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "shop.csv", frame())
    before = PARAMS.read_text()
    for more in (
        {"weight": "bought"},
        {"weight": "bough"},
        {"ignore": ("bought",)},
        {"group": "bought"},
        {"weight": "bought", "target": ("x",), "ignore": ("bought",)},
    ):
        with pytest.raises(InputError, match=r"'bought'"):
            flows.init.init(wishes(path, **{"target": ("bought",)} | more), Path())
    PARAMS.write_text(before.replace("patience: 4", "patience: four"))
    with pytest.raises(InputError, match=r'params\.yaml: search\.set: patience: "four" was given'):
        flows.init.init(wishes(path, target=("bought",)), Path())
    assert below(alone) == ["params.yaml"]


# What is written.


def test_init_sets_everything_and_says_so(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "shop.csv", frame())
    flows.init.init(wishes(path, yes=True), Path())
    said = capsys.readouterr().out
    assert "data/shop.csv: 200 rows, tracked by DVC" in said
    assert "classes: no" in said
    assert "numeric columns (2): x, size" in said
    raw = read_raw()
    assert raw["ingest"]["path"] == "data/shop.csv"
    assert raw["finetune"]["sources"] == ["masked"]
    assert "# cells that hold nothing" in PARAMS.read_text()
    expected = expectations.read(EXPECTED)
    assert expected is not None
    assert list(expected.columns) == ["x", "size", "customerID", "region"]
    assert Path("data/shop.csv").read_bytes() == path.read_bytes()


def pictures(path: Path, count: int) -> str:
    random = np.random.default_rng(1)
    labels = np.arange(count) % 4
    np.savez(path, x=random.integers(0, 256, (count, 32, 32), np.uint8), y=labels)
    return str(path)


def numbers(path: Path, count: int) -> str:
    random = np.random.default_rng(1)
    table = pd.DataFrame(random.normal(size=(count, 3)), columns=["a", "b", "c"])
    written(path, table.assign(label=np.where(table["a"] > 0, "yes", "no")))
    return str(path)


@pytest.mark.parametrize("minutes", [None, 9.0])
def test_the_same_command_sets_the_same_however_often(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], minutes: float | None
) -> None:
    for path in (pictures(tmp_path / "p.npz", 6000), numbers(tmp_path / "n.csv", 6000)):
        set_, said = [], []
        for _ in range(3):
            flows.init.init(wishes(path, minutes=minutes, yes=True), Path())
            set_.append(PARAMS.read_text())
            said.append(capsys.readouterr().out.replace("training: as before", ""))
        # The first of them takes back what was set for the data before.
        assert set_[1] == set_[0]
        assert set_[2] == set_[0]
        assert said[2] == said[1]


def test_what_was_set_for_other_data_is_taken_back(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many, few = numbers(tmp_path / "many.csv", 6000), numbers(tmp_path / "few.csv", 300)
    flows.init.init(wishes(few, yes=True), Path())
    small = read_raw()
    flows.init.init(wishes(many, yes=True), Path())
    large = read_raw()
    # Techniques follow one another: one that was left out comes back to its place.
    assert "normalisation" in small["regularize"]["techniques"]
    assert "normalisation" not in large["regularize"]["techniques"]
    capsys.readouterr()
    flows.init.init(wishes(few, yes=True), Path())
    assert json.dumps(read_raw()) == json.dumps(small)
    said = capsys.readouterr().out
    [line] = [line for line in said.splitlines() if line.startswith("training: as before")]
    assert "recipe.number_bins" in line
    assert "regularize.techniques.normalisation" in line


def test_what_the_user_has_changed_since_is_the_users(alone: Path, tmp_path: Path) -> None:
    few = numbers(tmp_path / "few.csv", 300)
    flows.init.init(wishes(numbers(tmp_path / "many.csv", 6000), yes=True), Path())
    text = PARAMS.read_text()
    mine = text.replace("many_in_one:", "twin: {dropout: 0.3}\n    many_in_one:")
    assert "number_bins: 48" in mine
    assert mine != text
    PARAMS.write_text(mine.replace("number_bins: 48", "number_bins: 24"))
    flows.init.init(wishes(few, yes=True), Path())
    raw = read_raw()
    assert raw["recipe"]["number_bins"] == 24
    assert raw["regularize"]["techniques"]["twin"] == {"dropout": 0.3}
    assert "many_in_one" not in raw["regularize"]["techniques"]
    # Where nothing is known of an init, it is as if there had been none.
    before = PARAMS.read_text()
    for strange in ("", "[", "\udcff"):
        Path(".fettle/init.json").write_text(strange, errors="surrogateescape")
        flows.init.init(wishes(few, yes=True), Path())
        assert PARAMS.read_text() == before


def test_more_minutes_are_spent_on_more_training(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "pictures.npz")
    random = np.random.default_rng(1)
    labels = np.arange(6000) % 4
    np.savez(path, x=random.integers(0, 256, (6000, 28, 28), np.uint8), y=labels)
    trained, untouched = {}, PARAMS.read_text()
    for minutes in (0.01, 9.0, 60.0):
        PARAMS.write_text(untouched)
        flows.init.init(wishes(path, minutes=minutes, yes=True), Path())
        raw = read_raw()
        trained[minutes] = raw["recipe"]["epochs"]
        widest = max(raw["search"]["space"]["width"]["choice"])
        # What fits into no time gets the least there is, and that is a first look.
        assert (widest == WIDE_FILTERS) == (minutes > 1)
        said = (
            "nothing fits into 0.01 minutes" if minutes < 1 else f"for {minutes:g} minutes, values"
        )
        assert said in capsys.readouterr().out
    assert sorted(trained.values()) == list(trained.values())
    assert len(set(trained.values())) == 3


def test_parts_of_a_table_too_large_for_memory_are_seen(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataset.tables.stream.IN_MEMORY_CELLS", 10)
    folder = tmp_path / "large"
    folder.mkdir()
    for part in ("train", "test"):
        frame().to_parquet(folder / f"{part}.parquet")
    flows.init.init(wishes(folder, target=("bought",)), Path())
    assert read_raw()["split"]["method"] == "given"


def test_a_group_is_not_promised_to_stay_together_over_time(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "shop.csv", frame().assign(day=range(ROWS), who=["a", "b"] * 100))
    flows.init.init(wishes(path, target=("bought",), time=("day",), group="who"), Path())
    said = capsys.readouterr().out
    assert "stay together" not in said
    assert "where it tears values of 'who' apart" in said


def test_a_password_is_not_said_again() -> None:
    told = wishes("postgresql://ann:secret@db.example/shop", query="SELECT 1")
    assert "secret" not in told.again()
    assert "postgresql://ann:***@db.example/shop" in told.again()


def test_what_was_told_of_columns_is_kept_for_the_same_data_only(
    alone: Path, tmp_path: Path
) -> None:
    path = written(tmp_path / "shop.csv", frame())
    flows.init.init(wishes(path, yes=True, missing=(("x", "7"),)), Path())
    write_params({"ingest": {"types": {"size": "categorical"}}})
    flows.init.init(wishes("data/shop.csv", yes=True), Path())
    ingest = read_raw()["ingest"]
    assert (ingest["types"], ingest["missing_in"]) == ({"size": "categorical"}, {"x": ["7"]})
    flows.init.init(wishes(written(tmp_path / "other.csv", frame()), yes=True), Path())
    ingest = read_raw()["ingest"]
    assert (ingest["types"], ingest["missing_in"]) == ({}, {})


def test_params_yaml_stays_readable_however_often_it_is_written(project: Path) -> None:
    before, text = read_raw(), PARAMS.read_text()
    names = ["day", "hour: of it", "minute  #", *(f"column {number}, long" for number in range(50))]
    values = {"ignore": names, "missing_in": {"a: b": ["0", "-9"]}, "weight": "w"}
    for _ in range(2):
        write_params({"ingest": values, "split": {"time": names}})
        assert read_raw()["ingest"] == before["ingest"] | values
        assert read_raw()["split"]["time"] == names
    nothing = {key: before["ingest"][key] for key in values}
    write_params({"ingest": nothing, "split": {"time": []}})
    assert read_raw() == before
    assert [line.split() for line in PARAMS.read_text().splitlines()] == [
        line.split() for line in text.splitlines()
    ]


def test_the_command_can_be_said_again() -> None:
    told = wishes(
        "a b.csv",
        target=("y",),
        time=("d", "h"),
        missing=(("g=h", "0"),),
        size=(3, 4),
        minutes=7.5,
        yes=True,
    )
    assert told.again("--group", "it's") == (
        "./fettle init 'a b.csv' --target y --time d --time h --missing g=h=0 --minutes 7.5 "
        "--size 3 4 --yes "
        """--group 'it'"'"'s'"""
    )


def test_the_parser_knows_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert get_args(Task) == flows.main.TASKS
    assert flows.main.main(["init", "a.csv", "--missing", "glucose"]) == 3
    assert "give COLUMN=VALUE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        flows.main.main(["init", "a.csv", "--size", "0", "4"])
    for wrong in ("0", "-3", "soon", "nan", "inf"):
        with pytest.raises(SystemExit):
            flows.main.main(["init", "a.csv", "--minutes", wrong])
    with pytest.raises(SystemExit):
        flows.main.main(["init", "a.csv", "--time", "a", "--part", "b"])


REAL: dict[str, dict[str, Any]] = {
    "tabular/pima_diabetes.csv": {
        "target": ["outcome"],
        "missing_in": {
            name: ["0"]
            for name in ("glucose", "blood_pressure", "skin_thickness", "insulin", "bmi")
        },
    },
    "tabular/titanic.csv": {"target": ["Survived"], "ignore": ["PassengerId", "Ticket"]},
    "text/sms_spam.csv": {"target": ["label"], "ignore": []},
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_understood(name: str, project: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    ingest = decided(SHARED / name, yes=True).values["ingest"]
    assert ingest | REAL[name] == ingest


@pytest.mark.parametrize(
    ("finetune", "told"),
    [
        ({"enabled": True, "sources": ["rotated"]}, ""),
        (
            {"enabled": True, "sources": ["rotated", {"data": "birds", "target": None}]},
            ", if birds is no larger than these data",
        ),
        ({"enabled": False, "sources": [{"data": "birds", "target": None}]}, ""),
    ],
)
def test_the_estimate_says_what_it_supposes_of_other_data(
    finetune: dict[str, object], told: str
) -> None:
    assert flows.init._taken_as_large({"finetune": finetune}) == told


@pytest.mark.parametrize(("method", "told"), [("stratified", ["'c' has 1 row,"]), ("time", [])])
def test_a_class_that_cannot_be_in_every_part_is_hinted_at(method: str, told: list[str]) -> None:
    decision: Any = SimpleNamespace(
        values={"split": {"method": method}},
        read=SimpleNamespace(profile={"classes": {"a": 50, "b": 3, "c": 1}}),
    )
    found = flows.init._too_rare(decision)
    assert len(found) == len(told)
    assert all(words in line for words, line in zip(told, found, strict=True))


def test_of_many_rare_classes_a_few_are_named() -> None:
    classes = {f"class {number}": 1 for number in range(400)}
    decision: Any = SimpleNamespace(
        values={"split": {"method": "stratified"}},
        read=SimpleNamespace(profile={"classes": classes}),
    )
    *named, last = flows.init._too_rare(decision)
    assert len(named) == flows.init.NAMED
    assert last == "so it is with 395 more classes"


def test_classes_that_differ_by_case_alone_are_hinted_at(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame()
    table["bought"] = np.where(
        np.arange(ROWS) % 4 == 0, table["bought"].str.upper(), table["bought"]
    )
    path = written(tmp_path / "shop.csv", table)
    flows.init.init(wishes(path, target=("bought",), yes=True), Path())
    said = capsys.readouterr().out
    [no, yes] = [line for line in said.splitlines() if "differ by case or blanks alone" in line]
    assert ("'no'" in no, "'NO'" in no, "'yes'" in yes, "'YES'" in yes) == (True,) * 4
    flows.init.init(wishes(written(tmp_path / "two.csv", frame()), yes=True), Path())
    assert "differ by case" not in capsys.readouterr().out


def test_a_column_of_parts_that_names_none_is_refused(project: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "shop.csv", frame())
    with pytest.raises(
        InputError, match="--part 'region': 'Anvers' names no part; known are train"
    ):
        decided(path, target=("bought",), part="region")
