import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.budget import Budget
from models.candidate import Finetuned
from pipeline.artifacts import Source
from pipeline.errors import InputError
from tasks.finetune import FinetuneParams, finetune
from tests.in_series import InSeries
from tests.models import small
from tests.tasks import left
from tests.tasks.handed import Handed

SMALL = {
    "enabled": True,
    "sources": ["fonts"],
    "pretrained": None,
    "pictures": 200,
    "swap": 0.2,
    "source_epochs": 2,
    "head": {"pooling": "average", "hidden": 0, "dropout": 0.0},
    "frozen_epochs": 1,
    "epochs": 2,
    "unfreeze": "all",
    "learning_rate_factor": 0.1,
    "layer_decay": 1.0,
    "patience": 1,
    "shares": [],
    "replicates": 200,
    "level": 0.95,
    "seed": 1,
    "seeds": [1],
}
NORMAL = {"batch_norm": True, "dropout": 0.1}


def params(**changes):
    return FinetuneParams.model_validate_json(json.dumps(SMALL | changes))


def tuned(
    folder,
    development,
    *,
    budget=small.FREE,
    executor=None,
    given=Path(),
    metric="accuracy",
    **changes,
):
    out = Finetuned.at(folder / "finetune")
    finetune.function(
        out=out,
        development=development,
        baseline=small.predecessor(folder, "baseline"),
        search=small.predecessor(folder, "search", enabled=False),
        regularize=small.predecessor(folder, "regularize", **NORMAL),
        pretrained=Source(given),
        objective=left.objective(metric),
        budget=budget,
        params=params(**changes),
        executor=executor or InSeries(),
    )
    return out


@pytest.mark.parametrize(
    ("make", "source"),
    [(small.pictures, "fonts"), (small.pictures, "rotated"), (small.table, "masked")],
)
def test_a_source_task_then_two_phases(tmp_path, make, source):
    development = make(tmp_path / "development")

    out = tuned(tmp_path, development, sources=[source])

    fits = out.model.fits.read()
    assert fits["phase"].unique().tolist() == ["source", "frozen", "unfrozen"]
    assert fits["fit"].unique().tolist() == [1, 2, 3]
    target = fits[fits["phase"] != "source"]
    assert target["epoch"].tolist() == list(range(1, len(target) + 1))
    rates = fits.groupby("phase")["learning_rate"].first()
    assert rates["unfrozen"] == pytest.approx(0.1 * rates["frozen"])
    assert fits[fits["phase"] == "source"]["accuracy"].isna().all() == (source == "masked")
    record = out.model.record()
    assert record.fits == 3
    assert record.epochs == len(fits)
    seen = {"fonts": 200, "rotated": 200, "masked": 120}[source]
    assert record.examples == 2 * seen + len(target) * 120
    assert "regularize" in record.summary
    left.check(out, development)


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_table_is_its_own_source(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")

    out = tuned(
        tmp_path,
        development,
        metric=left.METRIC[data],
        sources=["masked"],
        frozen_epochs=2,
        epochs=4,
        patience=4,
    )

    left.check(out, development)
    assert "putting right 20% of the values" in out.model.record().summary


@pytest.mark.parametrize(
    ("make", "source", "advice"),
    [
        (small.pictures, "masked", "from masked, but the data are pictures: put fonts or rotated"),
        (small.table, "fonts", "from fonts, but the data are a table: put masked there"),
        (small.table, "rotated", "from rotated, but the data are a table: put masked there"),
        (
            small.coloured,
            "fonts",
            "fonts, but the data are pictures in colour: put rotated or denoised there",
        ),
    ],
)
def test_a_source_for_the_other_kind_is_refused(tmp_path, make, source, advice):
    with pytest.raises(InputError, match=advice):
        tuned(tmp_path, make(tmp_path / "development"), sources=[source])


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = tuned(tmp_path, None, enabled=False)

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}


def test_the_cost_counts_the_source_and_both_phases():
    cost = finetune.cost({"finetune": params(seeds=[1, 2, 3]), "budget": small.FREE})

    assert (cost.fits, cost.epochs) == (1 + 2 * 3, 2 + 3 * (1 + 2))
    off = {"finetune": params(enabled=False), "budget": small.FREE}
    assert finetune.cost(off).fits == 0


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [
        (3, [1, 1, 1]),
        (5, [1, 1, 1]),
        # Of 20, 5 and 30 epochs: 85 beyond the first ones are asked for, 25 are left.
        (30, [6, 2, 9]),
        (1000, [20, 5, 30]),
    ],
)
def test_the_source_and_both_phases_keep_to_the_budget(tmp_path, epochs, lengths):
    handed, budget = Handed(), Budget(epochs=epochs, minutes=10)
    asked = {"sources": ["masked"], "source_epochs": 20, "frozen_epochs": 5, "epochs": 30}

    out = tuned(
        tmp_path,
        small.table(tmp_path / "development"),
        budget=budget,
        executor=handed,
        seeds=[1, 2],
        **asked,
    )

    record = out.model.record()
    cost = finetune.cost({"finetune": params(seeds=[1, 2], **asked), "budget": budget})
    assert record.fits == cost.fits == 5
    assert record.epochs <= cost.epochs <= max(epochs, 5)
    source, frozen, unfrozen = lengths
    assert handed.epochs == {
        "finetune source masked": [source],
        "finetune seed 1": [frozen, unfrozen],
        "finetune seed 2": [frozen, unfrozen],
    }
    # Of each phase by itself.
    assert handed.minutes == {2}
    assert record.settings["epochs"] == unfrozen
    assert f"{frozen} epochs with the base frozen, up to {unfrozen} without" in record.summary


def test_the_clock_ends_every_phase(tmp_path, monkeypatch):
    from models.fitting import fit

    seconds = iter(range(0, 10**7, 3600))
    monkeypatch.setattr(fit, "monotonic", lambda: next(seconds))
    development = small.table(tmp_path / "development")
    asked = {"sources": ["masked"], "source_epochs": 9, "frozen_epochs": 9, "epochs": 9}

    out = tuned(tmp_path, development, budget=Budget(epochs=None, minutes=1), **asked)

    fits = out.model.fits.read()
    assert fits["phase"].tolist() == ["source", "frozen", "unfrozen"]
    left.check(out, development)


def test_what_the_clock_may_change_is_in_the_plan():
    timed = Budget(epochs=None, minutes=5)
    assert "clock" in finetune.caution({"finetune": params(), "budget": timed})
    assert finetune.caution({"finetune": params(enabled=False), "budget": timed}) is None


IMAGES = {"network": "MobileNetV2", "options": {"alpha": 0.35}, "weights": "small.weights.h5"}
PHASES = {"frozen_epochs": 4, "epochs": 6}


def test_of_several_sources_the_best_is_tuned_and_the_summary_says_why(tmp_path):
    development = small.pictures(tmp_path / "development")

    out = tuned(tmp_path, development, sources=["rotated", "fonts"], pictures=300, patience=2)

    rows = out.probe.read()
    assert rows["source"].tolist() == ["rotated", "fonts", "untrained"]
    assert rows["network"].nunique() == 1
    assert rows["chosen"].sum() == 1
    assert not rows["chosen"].iloc[-1]
    best = rows.loc[rows["score"].iloc[:2].idxmax()]
    assert best["chosen"]
    assert (rows["low"] <= rows["score"]).all()
    record = out.model.record()
    assert record.settings["source"] == best["source"]
    why = f"Of 2 sources it has the best features, by a linear model on them: {best['score']:.4g}"
    assert why in record.summary
    assert f"untrained {rows['score'].iloc[-1]:.4g}." in record.summary
    assert record.fits == 4
    left.check(out, development)


def test_transfer_is_held_against_the_same_network_from_scratch(tmp_path):
    development = small.table(tmp_path / "development")
    asked = {"sources": ["masked"], "shares": [0.25, 1.0], "seeds": [1, 2], "patience": 1}

    out = tuned(tmp_path, development, **asked)

    rows = out.worth.read().set_index(["share", "way"])
    assert rows.index.tolist() == [
        (share, way) for share in (0.25, 1.0) for way in ("scratch", "frozen", "tuned")
    ]
    assert rows["examples"].tolist() == [30] * 3 + [120] * 3
    # At the whole of the labels they are the stage's own.
    own = out.metrics.read()["validation"]
    assert rows.loc[(1.0, "tuned"), "score"] == pytest.approx(own["accuracy"], rel=1e-5)
    assert rows.loc[(1.0, "tuned"), "loss"] == pytest.approx(own["loss"], rel=1e-5)
    assert rows.loc[(1.0, "frozen"), "epochs"] == 2
    # From scratch all epochs of both phases are trained, whatever patience says.
    assert rows.loc[(1.0, "scratch"), "epochs"] == 2 * 3
    # A quarter of the rows for four times the epochs.
    assert rows.loc[(0.25, "frozen"), "epochs"] == 8
    seen = rows["examples_seen"] / rows["epochs"]
    assert (seen == rows["examples"]).all()
    differences = rows["difference"].unstack()
    scores = rows["score"].unstack()
    assert differences["scratch"].isna().all()
    for way in ("frozen", "tuned"):
        apart = scores[way] - scores["scratch"]
        assert differences[way].to_numpy() == pytest.approx(apart.to_numpy(), abs=2e-6)
    left.check(out, development)


def test_the_cost_counts_what_transfer_is_compared_with(tmp_path):
    handed = Handed()
    asked = {"sources": ["masked"], "shares": [1.0, 0.25], "seeds": [1, 2], **PHASES}

    out = tuned(tmp_path, small.table(tmp_path / "development"), executor=handed, **asked)

    assert handed.epochs == {
        "finetune source masked": [2],
        "finetune seed 1": [4, 6],
        "finetune seed 2": [4, 6],
        "finetune 25 % seed 1": [16, 24],
        "finetune 25 % seed 2": [16, 24],
        "finetune scratch 25 % seed 1": [40],
        "finetune scratch 25 % seed 2": [40],
        "finetune scratch 100 % seed 1": [10],
        "finetune scratch 100 % seed 2": [10],
    }
    settings = [item.settings for item in handed.fits if "scratch" in item.name]
    assert all(one.patience == one.epochs for one in settings)
    cost = finetune.cost({"finetune": params(**asked), "budget": small.FREE})
    record = out.model.record()
    assert (record.fits, record.epochs) == (cost.fits, cost.epochs) == (13, 2 + 2 * 100)
    rates = {item.name: item.settings.learning_rate for item in handed.fits}
    assert rates["finetune scratch 25 % seed 1"] == pytest.approx(10 * rates["finetune seed 1"])
    limited = finetune.cost({"finetune": params(**asked), "budget": Budget(epochs=50, minutes=1)})
    assert limited.epochs == 50


def test_what_needs_no_training_costs_none_and_is_refused_before_any(tmp_path):
    cost = finetune.cost({"finetune": params(sources=["fonts", IMAGES]), "budget": small.FREE})
    assert cost.fits == 3
    given, handed = tmp_path / "given", Handed()
    given.mkdir()
    pictures, table = small.pictures(tmp_path / "pictures"), small.table(tmp_path / "table")
    for development, sources, told in (
        (pictures, ["fonts", IMAGES], "there is no 'small.weights.h5' in it"),
        (pictures, ["fonts", IMAGES | {"network": "MobileNet9"}], "has no network 'MobileNet9'"),
        (table, ["masked", IMAGES], "the data are a table: put masked there"),
    ):
        with pytest.raises(InputError, match=told):
            tuned(tmp_path, development, given=given, executor=handed, sources=sources)
    assert handed.fits == []


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": []},
        {"sources": ["fonts", "fonts"]},
        {"sources": [IMAGES | {"code": "x"}]},
        {"shares": [0.0]},
        {"shares": [0.5, 0.5]},
        {"unfreeze": 0},
        {"unfreeze": "none"},
        {"learning_rate_factor": 1.5},
        {"layer_decay": 0.0},
        {"head": {"pooling": "mean", "hidden": 0, "dropout": 0.0}},
    ],
)
def test_values_that_mean_nothing_are_refused(changes):
    with pytest.raises(ValidationError):
        params(**changes)
