import json
from pathlib import Path

import pytest

from models.budget import Budget
from models.candidate import Finetuned
from pipeline.artifacts import Source
from pipeline.errors import InputError
from pipeline.executor import InSeries
from tasks.finetune import FinetuneParams, finetune
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
NORMALISED = small.spec(**NORMAL)


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
        (small.coloured, "fonts", "fonts, but the data are pictures in colour: put rotated there"),
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
    from models import fit

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
