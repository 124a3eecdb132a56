"""`fettle drift` on logs that `fettle predict --log` wrote, and on a user's own."""

import fcntl
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dataset.arrivals import Arrivals, Known
from dataset.checks.reference import Reference, looked_at, looks
from dataset.examples import PICTURE, Column, Development, Examples, Schema
from dataset.tables import read
from dataset.target import Target
from flows import champion, drift, predict, predict_log
from metrics.objective import Objective
from metrics.threshold import Decision
from models.judging.evaluation import Chosen
from pipeline.errors import ExitCode, InputError
from tests.flows.nights import Nights, rows
from tests.models import small

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """One run for all tests here, which write nothing but logs."""
    with pytest.MonkeyPatch.context() as patch:
        made = Nights.begin(tmp_path_factory.mktemp("drift") / "project")
        patch.chdir(made.root)
        made.run(weight=2.0, count=1500)
        yield made


@pytest.fixture
def nights(project: Nights, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.chdir(project.root)
    return project


def use(nights: Nights, name: str, shift: float = 0.0, *, truth: bool = True) -> Path:
    """Predict other rows of the same kind, logged; twice, as two days would be."""
    log = nights.root / name
    for seed in (5, 6):
        examples, _ = rows(300, seed=seed)
        table = pd.DataFrame(examples.features)
        table["x"] += np.float32(shift)
        if truth:
            table["y"] = examples.targets
        table.to_csv("new.csv", index=False)
        predict.predict(Path("new.csv"), nights.root / "out.csv", log=log)
    return log


def test_what_predict_logged_of_the_same_has_not_drifted(nights: Nights, capsys: Any) -> None:
    log = use(nights, "same.csv")
    table = pd.read_csv(log)
    assert len(table) == 600
    assert list(table.columns) == [
        "fettle time",
        "fettle model",
        "x",
        "colour",
        "y",
        "prediction",
        "probability no",
        "probability yes",
    ]
    assert (
        table["x"].astype(np.float32).tolist()[:300] == rows(300, seed=5)[0].features["x"].tolist()
    )
    capsys.readouterr()
    assert drift.drift(log) == ExitCode.OK
    said = capsys.readouterr().out
    right = (table["prediction"] == table["y"]).mean()
    assert f"accuracy on 600 rows whose truth is known: {100 * right:.1f} % (95 %" in said
    assert "no drift in 600 rows" in said


def test_what_has_drifted_is_said_and_is_the_exit_code(nights: Nights, capsys: Any) -> None:
    log = use(nights, "moved.csv", shift=1.5)
    out = nights.root / "found.json"
    assert drift.drift(log, out) == ExitCode.DRIFTED == 5
    said = capsys.readouterr().out
    assert "error: drift:x: 'x' is spread otherwise than in training" in said
    found = json.loads(out.read_text())
    assert found["drifted"]
    assert found["rows"] == 600
    errors = {one["name"] for one in found["findings"] if one["severity"] == "error"}
    # The truth did not move: the model says yes too often.
    assert {"drift:x", "output:prediction", "worse:accuracy"} <= errors
    assert not errors & {"target_drift:y", "drift:colour", "missing:x"}
    assert "that is proven worse" in said


def test_only_the_last_rows_count_where_that_is_asked(nights: Nights, capsys: Any) -> None:
    log = use(nights, "turned.csv", shift=3.0, truth=False)
    before = use(nights, "turned.csv", truth=False)
    assert before == log
    assert drift.drift(log) == ExitCode.DRIFTED
    assert drift.drift(log, last=600) == ExitCode.OK
    assert "no drift in 600 rows" in capsys.readouterr().out


def test_a_log_that_grows_meanwhile_is_read_as_it_was(nights: Nights, monkeypatch: Any) -> None:
    log = use(nights, "growing.csv")
    lines = log.read_text().splitlines(keepends=True)
    whole = read.read_raw_table

    def grown(path: Path) -> Any:
        found = whole(path)
        with path.open("a") as file:
            file.writelines(lines[1:101])
        return found

    monkeypatch.setattr(read, "read_raw_table", grown)
    assert drift.look(nights.root, log).rows == 600
    assert drift.look(nights.root, log, last=50).rows == 50


def test_a_row_under_way_is_waited_for(nights: Nights) -> None:
    log = use(nights, "written.csv")
    *lines, last = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines))
    with ThreadPoolExecutor() as threads, log.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(last[:30])
        file.flush()
        looked = threads.submit(drift.look, nights.root, log)
        wait([looked], timeout=2)
        file.write(last[30:])
        file.close()
        assert looked.result().rows == 600


def test_rows_of_two_who_append_do_not_mix(tmp_path: Path) -> None:
    columns = (Column(name="a", type="numeric"),)
    schema = Schema(kind="table", task="regression", targets=("v",), columns=columns, shape=())
    target = Target(task="regression", names=("v",), quantities=(), class_weights=())
    decision = Decision(task="regression", positive=None, thresholds=())
    path = tmp_path / "logs" / "log.csv"

    def append(number: int) -> None:
        given = new({"a": np.full(20_000, number, dtype=np.float32)}, None)
        said = np.full((20_000, 1), number, dtype=np.float32)
        predict_log.append(path, given, schema, target, (decision, said), model="m", time="now")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(append, range(8)))
    table = pd.read_csv(path)
    # One header, though nobody found a file; and each one's rows together.
    assert len(table) == 8 * 20_000
    assert (table["a"] == table["prediction v"]).all()
    assert int((table["a"].diff() != 0).sum()) == 8


def test_a_users_own_table_of_inputs_will_do(nights: Nights, capsys: Any) -> None:
    examples, _ = rows(200, seed=9)
    table = pd.DataFrame(examples.features)
    table["colour"] = ["green" if place % 4 == 0 else "red" for place in range(200)]
    assert drift.drift(nights.log(table)) == ExitCode.DRIFTED
    said = capsys.readouterr().out
    assert "error: unseen:colour: 'colour' has categories that training never met, in 50 of" in said
    assert "rows have predictions of another model than the one in use, or of none" in said
    with pytest.raises(InputError, match="there is no column 'colour'"):
        drift.drift(nights.log(table.drop(columns="colour")))


def test_predictions_of_another_model_count_as_inputs_alone(nights: Nights, capsys: Any) -> None:
    log = use(nights, "other.csv")
    table = pd.read_csv(log)
    table["fettle model"] = "another"
    table["prediction"] = "yes"
    assert drift.drift(nights.log(table)) == ExitCode.OK
    assert "600 of 600 rows have predictions of another model" in capsys.readouterr().out
    table["fettle model"] = pd.read_csv(log)["fettle model"]
    table["probability yes"] = "much"
    with pytest.raises(InputError, match=r"column 'probability yes', row 1: 'much' is no number"):
        drift.drift(nights.log(table))


def test_what_cannot_be_appended_is_refused_before_it_is(nights: Nights) -> None:
    log = use(nights, "torn.csv")
    whole = log.read_bytes()
    log.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="its last line is not whole"):
        use(nights, "torn.csv")
    assert log.read_bytes() == whole[:-1]
    log.write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="its columns are not those of this model's inputs"):
        use(nights, "torn.csv")
    assert log.read_text() == "x,y\n1,2\n"


def test_a_champion_is_held_against_its_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    nights = Nights.begin(tmp_path / "project")
    monkeypatch.chdir(nights.root)
    with pytest.raises(InputError, match="There is no model yet"):
        drift.drift(Path("log.csv"))
    nights.run(weight=2.0)
    champion.challenge(nights.root)
    moved, schema = rows(600)
    moved.features["x"] = moved.features["x"] + np.float32(3)  # type: ignore[operator]
    nights.run(weight=-2.0, given=(moved, schema))
    assert (
        Chosen(predict.CHOSEN).model.read_bytes()
        != Chosen(Path("artifacts/champion")).model.read_bytes()
    )
    examples, _ = rows(300, seed=5)
    pd.DataFrame(examples.features).to_csv("new.csv", index=False)
    predict.predict(Path("new.csv"), Path("out.csv"), log=Path("log.csv"), champion=True)
    assert drift.drift(Path("log.csv")) == ExitCode.OK
    assert "no drift in 300 rows" in capsys.readouterr().out


# Other kinds of data ------------------------------------------------------------------------------


def test_of_pictures_brightness_and_contrast_are_looked_at(tmp_path: Path) -> None:
    development = small.pictures(tmp_path / "development")
    reference = Reference(tmp_path / "reference")
    count = development.count("validation")
    said = np.full((count, 10), 0.1, dtype=np.float32)
    reference.write(development, said)
    train, (validation, kept) = reference.train(), reference.validation()
    pictures = development.train().features[PICTURE].astype(np.float64)
    assert list(train.features) == ["brightness", "contrast"]
    flat = pictures.reshape(len(pictures), -1)
    assert train.features["brightness"] == pytest.approx(flat.mean(axis=1), rel=1e-6)
    assert train.features["contrast"] == pytest.approx(flat.std(axis=1), rel=1e-6)
    assert validation.targets.tolist() == development.validation().targets.tolist()
    assert kept.tolist() == said.tolist()


def test_of_many_rows_some_are_kept_spread_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataset.checks.reference.SAMPLE", 30)
    monkeypatch.setattr("dataset.examples.BLOCK_ROWS", 16)
    development = Development(tmp_path / "development")
    many, schema = rows(200)
    development.write(many, many, schema, "none")
    reference = Reference(tmp_path / "reference")
    said = np.arange(200, dtype=np.float32)[:, None]
    reference.write(development, said)
    places = np.linspace(0, 199, 30).astype(int).tolist()
    assert reference.train().rows.tolist() == places
    validation, kept = reference.validation()
    assert validation.rows.tolist() == places == kept[:, 0].tolist()


def new(features: dict[str, Any], known: Known | None, what: str = "row") -> Arrivals:
    count = len(next(iter(features.values())))
    return Arrivals(features, what, list(range(1, count + 1)), known, [])


def test_labels_quantities_times_and_pictures_are_logged(tmp_path: Path) -> None:
    columns = (Column(name='a, "b"', type="numeric"), Column(name="t", type="time"))
    schema = Schema(kind="table", task="multilabel", targets=("p", "q"), columns=columns, shape=())
    target = Target(task="multilabel", names=("p", "q"), quantities=(), class_weights=())
    decision = Decision(task="multilabel", positive=None, thresholds=(0.5, 0.2))
    given = new(
        {'a, "b"': np.float32([0.1, np.nan]), "t": np.array([20_000.5, np.nan])},
        Known(np.array([1]), np.float32([[1, 0]])),
    )
    path = tmp_path / "log.csv"
    said = np.float32([[0.9, 0.1], [0.4, 0.3]])
    for _ in range(2):
        predict_log.append(
            path, given, schema, target, (decision, said), model="m", time="2026-01-01"
        )
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert len(table) == 4
    assert table.iloc[3].to_dict() == table.iloc[1].to_dict()
    assert table.iloc[0].to_dict() == {
        "fettle time": "2026-01-01",
        "fettle model": "m",
        'a, "b"': "0.1",
        "t": "2024-10-04T12:00:00.000000",
        "p": "",
        "q": "",
        "prediction p": "1",
        "prediction q": "0",
        "probability p": "0.9",
        "probability q": "0.1",
    }
    assert table.iloc[1][["t", "p", "q", "prediction q"]].tolist() == ["", "1", "0", "1"]
    shape = (2, 2, 1)
    schema = Schema(kind="pictures", task="regression", targets=("v",), columns=(), shape=shape)
    target = Target(task="regression", names=("v",), quantities=(), class_weights=())
    decision = Decision(task="regression", positive=None, thresholds=())
    given = new({PICTURE: np.ones((1, *shape), dtype=np.uint8)}, None, "picture")
    path = tmp_path / "pictures.csv"
    said = np.float32([[2.5]])
    predict_log.append(path, given, schema, target, (decision, said), model="m", time="now")
    assert path.read_text() == (
        "fettle time,fettle model,picture,brightness,contrast,v,prediction v\n"
        "now,m,1,1.0,0.0,,2.5\n"
    )


def test_a_column_that_is_called_like_a_prediction_is_refused(tmp_path: Path) -> None:
    columns = (Column(name="prediction v", type="numeric"),)
    schema = Schema(kind="table", task="regression", targets=("v",), columns=columns, shape=())
    target = Target(task="regression", names=("v",), quantities=(), class_weights=())
    decision = Decision(task="regression", positive=None, thresholds=())
    given = new({"prediction v": np.float32([1])}, None)
    with pytest.raises(InputError, match="the data have a column 'prediction v'"):
        predict_log.append(
            tmp_path / "log.csv",
            given,
            schema,
            target,
            (decision, np.float32([[2]])),
            model="m",
            time="",
        )
    assert not (tmp_path / "log.csv").exists()


def test_tables_are_looked_at_as_they_are() -> None:
    examples, schema = rows(5)
    assert looked_at(schema) == schema
    assert looks(examples) is examples
    assert isinstance(looks(examples), Examples)


def test_each_row_counts_once_on_both_sides() -> None:
    """A log has no weights: held against weighted rows it would always look worse."""
    target = Target(task="regression", names=("v",), quantities=(), class_weights=())
    decision = Decision(task="regression", positive=None, thresholds=())
    truth, said = np.zeros((200, 1), np.float32), np.ones((200, 1), np.float32)
    said[100:] = 9
    heavy = np.where(np.arange(200) < 100, 100.0, 0.01).astype(np.float32)
    validation = Examples({}, truth, np.arange(200), heavy)
    told = drift._Truth(said, truth, 0)
    settings: Any = SimpleNamespace(
        objective=Objective(metric="mae", positive=None, precision=0.5, quantile=0.5),
        champion=SimpleNamespace(replicates=200, level=0.95, seed=1, margin=0.0),
    )
    notes, found = drift._worse(told, validation, said, (target, decision), settings)
    assert found == []
    assert notes[0].endswith("on validation 5.000 v")
