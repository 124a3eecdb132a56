"""`fettle study batch-size`: what is measured, what is said, and what is left alone."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset.examples import Development
from flows import study
from flows.main import main
from flows.study import Tried, Wish
from metrics.objective import Objective
from models.fitting import batch_size
from models.fitting.batch_size import MIB, Pace
from pipeline.errors import EnvironmentFault, InputError
from tests.in_series import InSeries
from tests.models import small

OBJECTIVE = Objective(metric="accuracy", positive=None, precision=0.9, quantile=0.5)


pytestmark = pytest.mark.usefixtures("studied")


def files() -> dict[str, bytes]:
    return small.contents(Path.cwd())


def made(workers: int = 1, **changes: Any) -> study.Study:
    development = Development(study.DEVELOPMENT)
    measure = OBJECTIVE.metric_for(development.target())
    recipe = small.RECIPE.changed(changes)
    return study.Study(development, recipe, measure, 120, workers, (1, 2))


@pytest.mark.doors
def test_sizes_are_timed_and_rates_tried_in_processes_of_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few rates, which this process lays out; all else is as users have it.
    monkeypatch.setattr(batch_size, "FACTORS", (0.5, 1.0))
    before = files()

    study.study_batch_size(Wish((32, 64), None, 4, (1, 2)))

    said = capsys.readouterr().out
    assert "Throughput on 120 training examples" in said
    assert "Learning rates for batches of 32: 4 epochs" in said
    assert "Small, middle and large batches" in said
    after = files()
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {str(study.WRITTEN)}
    told = json.loads(after[str(study.WRITTEN)])
    assert [row["batch_size"] for row in told["throughput"]] == [32, 64]
    assert all(row["examples_per_second"] > 0 for row in told["throughput"])
    assert all(row["peak_memory_bytes"] > 100 * MIB for row in told["throughput"])
    assert told["largest_gaining"] in (32, 64, None)
    assert [row["learning_rate"] for row in told["learning_rates"]] == [0.005, 0.01]
    assert [(row["band"], row["batch_size"]) for row in told["bands"]] == [
        ("small", 32),
        ("middle", 64),
    ]
    for row in [*told["learning_rates"], *told["bands"]]:
        assert all(len(row[name]) == 2 for name in ("losses", "last", "scores", "best_epochs"))
    # The same fit is in both lists, and trained once.
    [same] = [row for row in told["learning_rates"] if row["learning_rate"] == 0.01]
    assert same == {name: value for name, value in told["bands"][0].items() if name != "band"}


def test_fits_have_the_size_the_rate_and_the_seed_they_are_told_as() -> None:
    items: list[Any] = []

    class Watching(InSeries):
        def map(self, function: Any, items_: Any, names: Any) -> Any:
            items.extend(items_)
            return super().map(function, items_, names)

    own = made(patience=1)

    first, second = own.tried(Watching(), [(16, 0.01), (64, 1e-5)])

    seen = [(it.settings.batch_size, it.settings.learning_rate, it.seed) for it in items]
    assert seen == [(16, 0.01, 1), (16, 0.01, 2), (64, 1e-5, 1), (64, 1e-5, 2)]
    assert all(item.settings.patience is None and item.folder is None for item in items)
    assert (first.size, second.rate) == (16, 1e-5)
    assert first.losses[0] != first.losses[1]
    # So small a rate learns nothing in two epochs.
    assert first.loss < second.loss
    assert second.epochs == (2, 2)
    assert all(0 <= score <= 1 for score in first.scores)


def test_a_size_that_its_process_dies_of_ends_the_timing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Pool(InSeries):
        def __init__(self, workers: int) -> None:
            assert workers == 1

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def map(self, function: Any, items: Any, names: Any) -> Any:
            if items[0].size >= 64:
                raise EnvironmentFault("killed from outside")
            return [Pace(items[0].size, (1.0,), 1)]

    monkeypatch.setattr(study, "ProcessPool", Pool)
    monkeypatch.setattr(study.log, "propagate", True)
    with caplog.at_level(logging.INFO, "fettle"):
        found = study._paces(made(), (64, 16, 32, 128))

    assert [pace.size for pace in found] == [16, 32]
    assert "batch size 64: its process was ended" in caplog.text
    with pytest.raises(EnvironmentFault, match="process with 64 examples"):
        study._paces(made(), (64, 128))


def tried(size: int, rate: float, *losses: float) -> Tried:
    count = len(losses)
    return Tried(size, rate, losses, (3,) * count, losses, (0.5,) * count, (0.01,) * count)


def test_what_is_best_is_said_and_what_diverged_is_not() -> None:
    own = made()
    found = [
        tried(32, 0.005, 0.5, 0.7),
        tried(32, 0.01, 0.4, 0.6),
        tried(32, 0.02, 0.1, float("inf")),
    ]

    lines = list(study._rates(found, 32, own))

    assert lines[-1] == "The best: 0.01."
    assert "0.5000 (0.4000 to 0.6000)" in lines[3]
    assert "<- in params.yaml" in lines[3]
    assert "diverged" in lines[4]
    assert "beyond" in list(study._rates(found[:2], 32, own))[-1]
    assert "diverged" in list(study._rates(found[2:], 32, own))[-1]
    assert study._plain(found[2])["losses"] == [0.1, None]


def test_the_choice_counts_all_workers_and_names_what_to_do() -> None:
    measured = [Pace(32, (100.0, 120.0), 10 * MIB), Pace(64, (200.0, 220.0), 30 * MIB)]
    own = made(workers=2)

    lines = list(study._throughput(measured, measured[1], 60 * MIB, own))

    assert "110" in lines[2]
    assert "<- in params.yaml" in lines[2]
    assert "recipe.batch_size: 64" in lines[-1]
    assert "--retune 64" in lines[-1]
    none = list(study._throughput(measured, None, 10 * MIB, own))
    assert none[-1].startswith("None fits: 2 at a time (run.workers), 10 MiB")
    kept = list(study._throughput(measured, measured[0], 60 * MIB, own))
    assert kept[-1].endswith("32.")
    assert not any("idle" in line for line in lines)
    unsteady = [Pace(32, (100.0, 200.0), MIB), measured[1]]
    said = list(study._throughput(unsteady, measured[1], 60 * MIB, own))
    assert any(line.startswith("Speeds with batches of 32 vary") for line in said)


def test_without_parts_there_is_nothing_to_study(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "DEVELOPMENT", Path("artifacts/elsewhere"))

    assert main(["study", "batch-size"]) == 3

    assert "./fettle run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sizes", "16", "500"], "--sizes: 500 was given, but there are 120 training examples"),
        (["--retune", "121"], "--retune: 121 was given"),
        (["--seeds", "1", "1"], "--seeds: 1 1 was given"),
    ],
)
def test_what_cannot_be_studied_is_said(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "batch-size", *arguments]) == 3

    assert told in capsys.readouterr().err


def test_a_recipe_for_other_data_is_said_before_anything_is_timed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = Path("params.yaml").read_text()
    assert "noise: 0.0" in text
    Path("params.yaml").write_text(text.replace("noise: 0.0", "noise: 0.1"))

    assert main(["study", "batch-size"]) == 3

    assert "noise is 0.1, but it is for a table" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--sizes", "0"], ["--epochs", "x"], ["--seeds", "-1"]])
def test_numbers_that_are_none_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["study", "batch-size", *arguments])

    assert "is no whole number from 1 to" in capsys.readouterr().err


def test_a_batch_size_larger_than_the_data_is_said() -> None:
    own = replace(made(), rows=20)

    with pytest.raises(InputError, match=r"recipe\.batch_size: 32 was given"):
        study._require([own.recipe.batch_size], own.rows, "recipe.batch_size")


def test_the_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    assert "study" in capsys.readouterr().out
