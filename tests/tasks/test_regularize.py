import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from models import archive
from models.budget import Budget
from models.candidate import Regularized
from models.settings import Recipe
from pipeline import pieces, snapshot
from tasks.regularize import RegularizeParams, regularize
from tests.in_series import InSeries
from tests.models import small
from tests.tasks import left
from tests.tasks.handed import Handed

SMALL = {
    "enabled": True,
    "techniques": {
        "dropout": {"dropout": 0.3},
        "decay": {"l2": 0.001},
        "normalisation": {"batch_norm": True},
        "stopping": {"epochs": 2, "patience": 1},
    },
    "ablation": False,
    "keep": "all",
    "replicates": 400,
    "level": 0.95,
    "seed": 1,
    "seeds": [1],
}
ACCURACY = left.objective("accuracy")


def params(**changes):
    return RegularizeParams.model_validate_json(json.dumps(SMALL | changes))


class Counted(InSeries):
    """Runs in series and says what it ran."""

    def __init__(self):
        self.names = []

    def map(self, function, items, names, **more):
        self.names += names
        return super().map(function, items, names, **more)


class Searching:
    """What the section `search` says, for a test."""

    def __init__(self, epochs=small.RECIPE.epochs):
        self.epochs = epochs

    def longest(self, recipe):
        return self.epochs


def costs(asked, *, search=None, budget=small.FREE):
    sections = {"recipe": small.RECIPE, "search": search or Searching(), "budget": budget}
    return regularize.cost({"regularize": asked, **sections})


def regularized(tmp_path, development, *, executor=None, objective=ACCURACY, **options):
    out = Regularized.at(tmp_path / "regularize")
    changes = options.pop("params", params())
    searched = options.pop("searched", {})
    regularize.function(
        out=out,
        development=development,
        baseline=small.predecessor(tmp_path, "baseline"),
        search=small.predecessor(tmp_path, "search", **searched),
        objective=objective,
        budget=options.pop("budget", small.FREE),
        params=changes,
        executor=executor or InSeries(),
    )
    return out


@pytest.mark.parametrize(("searched", "width"), [(True, 6), (False, 4)])
def test_the_latest_settings_are_regularised(tmp_path, searched, width):
    out = regularized(
        tmp_path, small.table(tmp_path / "development"), searched={"enabled": searched, "width": 6}
    )

    settings = out.model.record().settings
    assert settings["width"] == width
    assert settings["learning_rate"] == small.SETTINGS.learning_rate
    network = archive.load(out.model.model).get_layer("network")
    assert network.get_layer("dropout_0").rate == 0.3
    assert network.get_layer("norm_0")
    assert network.get_layer("dense_0").kernel_regularizer.l2 == pytest.approx(0.001)
    assert ("search" if searched else "baseline") in out.model.record().summary
    assert "with dropout, decay, normalisation, stopping." in out.model.record().summary
    assert len(out.ablation.read()) == 0
    assert out.ablation.read().columns[0] == "technique"


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_data_is_regularised(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")

    out = regularized(
        tmp_path,
        development,
        searched={"text": "convolution", "embedding": 5},
        params=params(
            techniques={
                **SMALL["techniques"],
                "dropout": {"dropout": 0.1},
                "stopping": {"epochs": 6, "patience": 5},
            }
        ),
    )

    left.check(out, development)
    settings = out.model.record().settings
    assert (settings["text"], settings["embedding"]) == ("convolution", 5)


def test_an_ablation_trains_every_variant_once_and_costs_what_was_declared(tmp_path):
    development, executor = small.table(tmp_path / "development"), Counted()
    asked = params(
        ablation=True,
        techniques={"dropout": {"dropout": 0.3}, "decay": {"l2": 0.001}, "longer": {"epochs": 3}},
    )

    out = regularized(tmp_path, development, executor=executor, params=asked)

    assert executor.names == [
        f"regularize {name}seed 1"
        for name in (
            "start ",
            "with dropout ",
            "with decay ",
            "with longer ",
            "without dropout ",
            "without decay ",
            "without longer ",
            "",
        )
    ]
    record, fits = out.model.record(), out.model.fits.read()
    cost = costs(asked)
    assert (record.fits, record.epochs) == (cost.fits, cost.epochs)
    assert (cost.fits, cost.epochs) == (8, 3 * 2 + 3 + 2 * 3 + 2 + 3)
    assert fits["phase"].drop_duplicates().tolist()[-2:] == ["without longer", "train"]
    table = out.ablation.read()
    assert table["technique"].tolist() == [
        name for name in ("dropout", "decay", "longer") for _ in range(2)
    ]
    assert (table["level"] == round(1 - 0.05 / 6, 6)).all()
    # Predictions, curves and the model are those of the full set alone.
    left.check(out, development)
    assert out.curves.read()["epoch"].tolist() == [1, 2, 3]


def helpful(tmp_path):
    """One technique that a network which hardly learns needs, and one that undoes learning."""
    return small.pictures(tmp_path / "development", 240), {
        "learning": {"learning_rate": 0.01, "epochs": 12},
        "idle": {"l2": 1e-9},
        "blind": {"dropout": 0.97},
    }


def test_only_what_earned_its_place_is_kept(tmp_path):
    development, techniques = helpful(tmp_path)
    asked = params(ablation=True, keep="earned", techniques=techniques)

    out = regularized(
        tmp_path, development, params=asked, searched={"learning_rate": 1e-4, "width": 8}
    )

    table = out.ablation.read()
    decisions = dict(zip(table["technique"], table["decision"], strict=True))
    assert decisions["learning"] == "earned"
    assert decisions["idle"] == "neutral"
    assert decisions["blind"] != "earned"
    record = out.model.record()
    assert (
        record.settings
        == Recipe.of(record.settings)
        .changed({"learning_rate": 0.01, "epochs": 12, "dropout": 0.0, "l2": 0.0})
        .model_dump()
    )
    assert "with learning (gain proven); left out: idle (no gain proven), blind (" in record.summary
    cost = costs(asked)
    assert (record.fits, record.epochs) == (cost.fits, cost.epochs)
    left.check(out, development)
    # The differences are those of the runs themselves.
    added = table.set_index(["technique", "way"]).loc[("learning", "added")]
    fits = out.model.fits.read()
    last = fits.groupby(["phase", "seed"])["val_accuracy"].last().groupby("phase").mean()
    expected = last["with learning"] - last["start"]
    assert added["difference"] == pytest.approx(expected, abs=1e-4)
    assert added["low"] > 0


def test_nothing_may_have_earned_its_place(tmp_path):
    asked = params(ablation=True, keep="earned", techniques={"idle": {"l2": 1e-9}})

    out = regularized(tmp_path, small.table(tmp_path / "development"), params=asked)

    record = out.model.record()
    assert record.settings == small.RECIPE.model_dump()
    assert record.summary == (
        "The settings of search as they are; left out: idle (no gain proven)."
    )
    # Start, the one technique, and the start again, now with its model.
    assert record.fits == 3


def test_quantities_gain_downwards(tmp_path):
    development = small.several(tmp_path / "development", "regression")
    asked = params(ablation=True, techniques={"learning": {"learning_rate": 0.05, "epochs": 8}})

    out = regularized(
        tmp_path,
        development,
        objective=left.objective("rmse"),
        params=asked,
        searched={"learning_rate": 1e-4},
    )

    table = out.ablation.read()
    assert (table["difference"] < 0).all()
    assert (table["decision"] == "earned").all()
    assert table["reason"].str.contains("gains and without it the others lose: added to the").all()
    assert "with learning (gain proven)." in out.model.record().summary


def test_bytes_are_equal_on_two_runs(tmp_path):
    asked = params(ablation=True, keep="earned", techniques={"dropout": {"dropout": 0.3}})
    outs = [
        regularized(tmp_path / name, small.table(tmp_path / "development"), params=asked)
        for name in ("one", "two")
    ]
    one, two = (small.contents(out.model.path.parent) for out in outs)
    assert one == two


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = Regularized.at(tmp_path / "regularize")

    regularize.function(
        out=out,
        development=None,
        baseline=None,
        search=None,
        objective=ACCURACY,
        budget=small.FREE,
        params=params(enabled=False, ablation=True),
        executor=InSeries(),
    )

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert out.curves.read().columns.tolist()[0] == "epoch"
    assert pd.read_csv(out.ablation.path).empty
    off = params(enabled=False, ablation=True)
    assert costs(off).fits == 0


TECHNIQUES = {"dropout": {"dropout": 0.3}, "longer": {"epochs": 20}}


@pytest.mark.parametrize("keep", ["all", "earned"])
@pytest.mark.parametrize("epochs", [2, 40, 1000])
def test_all_variants_together_keep_to_the_budget(tmp_path, keep, epochs):
    handed, budget = Handed(), Budget(epochs=epochs, minutes=10)
    asked = params(ablation=True, keep=keep, techniques=TECHNIQUES, seeds=[1, 2])

    out = regularized(
        tmp_path,
        small.table(tmp_path / "development"),
        executor=handed,
        params=asked,
        searched={"epochs": 10},
        budget=budget,
    )

    record = out.model.record()
    cost = costs(asked, search=Searching(10), budget=budget)
    # Start, with and without either, all; with earned the network that is kept as well.
    fits = 8 if keep == "all" else 10
    assert record.fits == cost.fits == fits == len(handed.fits)
    assert record.epochs <= cost.epochs <= max(epochs, fits)
    assert handed.minutes == {10 / fits}
    start = handed.epochs["regularize start seed 2"]
    longer = handed.epochs["regularize with longer seed 2"]
    assert (start, longer) == {
        (2, "all"): ([1], [1]),
        (2, "earned"): ([1], [1]),
        (40, "all"): ([3], [6]),
        (40, "earned"): ([2], [4]),
        (1000, "all"): ([10], [20]),
        (1000, "earned"): ([10], [20]),
    }[epochs, keep]
    # Nothing earns its place where all come out alike, so it is the start once more.
    own = handed.epochs["regularize seed 2"]
    assert own == (longer if keep == "all" else start)
    assert record.settings["epochs"] == own[0]


def test_the_cost_counts_the_epochs_that_search_may_hand_on():
    asked = params(ablation=True, techniques={"dropout": {"dropout": 0.3}})

    assert costs(asked).epochs == 2 * 2
    assert costs(asked, search=Searching(9)).epochs == 2 * 9
    assert regularize.section_names() == {
        "objective": "objective",
        "budget": "budget",
        "params": "regularize",
    }


def test_what_the_clock_may_change_is_in_the_plan():
    timed = Budget(epochs=None, minutes=5)
    assert "clock" in regularize.caution({"regularize": params(), "budget": timed})
    assert regularize.caution({"regularize": params(), "budget": small.FREE}) is None
    assert regularize.caution({"regularize": params(enabled=False), "budget": timed}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "earned"}, "earned needs ablation: true"),
        ({"ablation": True, "replicates": 300}, "300 resamplings can prove nothing among 8"),
        ({"keep": "some"}, "keep"),
        ({"level": 1.0}, "level"),
        ({"techniques": {}}, "techniques"),
    ],
)
def test_params_are_checked(changes, message):
    with pytest.raises(ValidationError, match=message):
        params(**changes)
    assert np.isfinite(params(ablation=True, keep="earned").level)


def test_one_technique_more_costs_its_own_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pieces, "closure", lambda module, root: ["code.py"])
    monkeypatch.setattr(pieces, "RUNTIME", ())
    (tmp_path / "code.py").write_text("as it is")
    code = snapshot.Snapshot({"code.py": snapshot._content(tmp_path / "code.py")})
    development = small.table(tmp_path / "development")
    techniques = {"dropout": {"dropout": 0.3}}
    recalled: list[str] = []

    for more in ({}, {"decay": {"l2": 0.001}}):
        regularized(
            tmp_path,
            development,
            params=params(ablation=True, techniques={**techniques, **more}),
            executor=pieces.Remembering(InSeries(), code, tmp_path, recalled.append),
        )

    # The first time the one technique is the full set, whose model is kept instead.
    assert recalled == ["regularize start seed 1"]
