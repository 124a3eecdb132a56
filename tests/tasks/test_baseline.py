import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import log_loss

from dataset.examples import Development, Examples
from metrics import scores
from models import archive
from models.budget import Budget
from models.candidate import Baseline
from models.training import Run, predict
from pipeline.errors import FettleError
from tasks.baseline import BaselineParams, baseline
from tests.in_series import InSeries
from tests.models import small
from tests.tasks import left
from tests.tasks.handed import Handed


def params(**changes):
    return BaselineParams.model_validate_json(json.dumps({"seeds": [1, 2], "shares": []} | changes))


class Spawned:
    """Two processes of its own, as a door supplies them."""

    def map(self, function, items, names, **more):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            return list(pool.map(function, items))


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    return small.pictures(tmp_path_factory.mktemp("development"))


@pytest.fixture(scope="module")
def out(development, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("baseline"), development)


def trained(
    folder, development, *, executor=None, shares=(), seeds=(1, 2), budget=small.FREE, **changes
):
    """changes: to the recipe."""
    out = Baseline.at(folder)
    baseline.function(
        out=out,
        development=development,
        recipe=small.RECIPE.changed(changes),
        budget=budget,
        params=params(seeds=seeds, shares=shares),
        executor=executor or InSeries(),
    )
    return out


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_data_leaves_what_belongs_to_it(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")

    out = trained(tmp_path / "baseline", development, epochs=8, seeds=[1, 2])

    left.check(out, development)
    measured = out.yardsticks.read()
    constant = "mean" if data in ("regression", "logarithms") else "majority"
    assert list(measured) == [constant, "linear"]
    truth, weights = development.truth("train")
    if data == "texts":
        expected = np.bincount(truth) / len(truth)
    else:
        expected = np.average(truth, axis=0, weights=weights)
    np.testing.assert_allclose(measured[constant], np.tile(expected, (60, 1)), rtol=1e-5)
    assert measured["linear"].shape == out.model.predictions().shape[1:]


def test_a_network_learns_what_texts_say(tmp_path):
    development = small.texts(tmp_path / "development")

    out = trained(
        tmp_path / "baseline", development, epochs=30, learning_rate=0.03, width=8, seeds=[1]
    )

    assert out.metrics.read()["validation"]["accuracy"] > 0.9


def test_pictures_leave_what_belongs_to_them(out, development):
    left.check(out, development)


def test_the_record_counts_what_was_done(out):
    record = out.model.record()

    assert (record.fits, record.epochs, record.examples) == (2, 4, 4 * 120)
    assert record.parameters == (3 * 3 * 4 + 4) + (4 * 4 * 4 * 10 + 10)
    assert record.multiply_adds == 8 * 8 * 9 * 4 + 4 * 4 * 4 * 10
    assert record.settings["width"] == 4
    assert record.settings["batch_size"] == 32
    cost = baseline.cost({"baseline": params(), "recipe": small.RECIPE, "budget": small.FREE})
    assert (cost.fits, cost.epochs) == (record.fits, record.epochs)


def test_the_saved_model_is_the_seed_with_the_lowest_loss(out, development):
    record = out.model.record()
    codes, _ = development.truth("validation")
    losses = [scores.log_losses(seed, codes).mean() for seed in out.model.predictions()]

    predicted = predict(archive.load(out.model.model), development.validation())

    place = int(np.argmin(losses))
    assert record.saved_seed == record.seeds[place]
    assert abs(losses[0] - losses[1]) > 1e-3
    np.testing.assert_allclose(predicted, out.model.predictions()[place], atol=1e-6)


def test_curves_are_the_means_of_the_fits(out):
    fits, curves = out.model.fits.read(), out.curves.read()

    assert fits["fit"].tolist() == [1, 1, 2, 2]
    assert fits["epoch"].tolist() == [1, 2, 1, 2]
    assert set(fits["phase"]) == {"train"}
    assert curves["epoch"].tolist() == [1, 2]
    means = fits.groupby("epoch")["val_loss"].mean()
    np.testing.assert_allclose(curves["val_loss"], means, atol=1e-6)


def test_yardsticks_are_the_shares_and_a_linear_model(out, development):
    measured = out.yardsticks.read()
    codes, _ = development.truth("validation")

    shares = pd.Series(development.train().targets).value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(measured["majority"], np.tile(shares, (40, 1)), rtol=1e-6)
    assert (measured["linear"].argmax(axis=1) == codes).mean() > 0.8


def rare(folder, *, balanced):
    """A class that one row in eight has; what tells it from the other is unsure."""
    development = Development(folder)
    development.write(
        _rare(320, 1),
        _rare(160, 2),
        small.schema("number"),
        "none",
        balanced=balanced,
    )
    return development


def _rare(count, seed):
    generator = np.random.default_rng(seed)
    is_rare = np.arange(count) % 8 == 0
    number = (is_rare + generator.normal(size=count)).astype(np.float32)
    labels = np.where(is_rare, "rare", "usual").astype(object)
    return Examples({"number": number}, labels, np.arange(count))


def test_class_weights_change_the_fit_and_weigh_its_validation_loss(tmp_path):
    found = {}
    for balanced in (False, True):
        development = rare(tmp_path / f"development {balanced}", balanced=balanced)
        out = trained(tmp_path / f"baseline {balanced}", development, epochs=10, seeds=[1])
        left.check(out, development)
        [told], (codes, _) = out.model.predictions(), development.truth("validation")
        found[balanced] = told[:, 0].mean()
        weights = np.where(codes == 0, 8 / 2, 8 / 14) if balanced else None
        expected = log_loss(codes, told, sample_weight=weights)
        loss = out.metrics.read()["validation"]["loss"]
        assert loss == pytest.approx(expected, rel=1e-4)
        assert loss == pytest.approx(out.model.fits.read()["val_loss"].iloc[-1], rel=1e-4)

    # One example in eight is rare; with weights both classes count alike.
    assert found[False] == pytest.approx(1 / 8, abs=0.1)
    assert found[True] == pytest.approx(1 / 2, abs=0.15)


@pytest.mark.doors
def test_other_processes_give_the_same_bytes(out, development, tmp_path):
    other = trained(tmp_path / "baseline", development, executor=Spawned())

    assert small.contents(other.model.path.parent) == small.contents(out.model.path.parent)


class Diverging:
    """Runs in series; the fits with seed 2 diverge."""

    def map(self, function, items, names, **more):
        results = InSeries().map(function, items, names)
        return [
            replace(result, diverged=True)
            if isinstance(result, Run) and result.seed == 2
            else result
            for result in results
        ]


def test_a_fit_that_diverges_says_what_to_lower(development, tmp_path):
    with pytest.raises(FettleError, match=r"seed 2 diverged in epoch 1.*learning_rate 0\.01"):
        trained(tmp_path, development, executor=Diverging(), epochs=1)


def test_shares_of_the_rows_tell_how_it_learns(development, tmp_path):
    out = trained(tmp_path, development, shares=[0.2, 0.5], epochs=8, width=16, learning_rate=0.02)

    left.check(out, development)
    learning, fits = out.learning.read(), out.model.fits.read()
    assert learning["examples"].drop_duplicates().tolist() == [24, 60, 120]
    assert learning["seed"].tolist() == [1, 2] * 3
    errors = learning.groupby("examples")["error"].mean()
    assert errors[24] > errors[120] + 0.1
    # The shares are trained for as many steps, and counted.
    assert fits.groupby("phase")["epoch"].max().to_dict() == {
        "20 % of the rows": 40,
        "50 % of the rows": 16,
        "train": 8,
    }
    asked = {
        "baseline": params(shares=[0.2, 0.5]),
        "recipe": small.RECIPE.changed({"epochs": 8}),
        "budget": small.FREE,
    }
    cost, record = baseline.cost(asked), out.model.record()
    assert (record.fits, record.epochs) == (cost.fits, cost.epochs) == (6, 2 * (40 + 16 + 8))
    assert record.examples == 2 * 8 * 3 * 120
    own = fits[(fits["phase"] == "train") & (fits["seed"] == 2)]
    row = learning[(learning["share"] == 1) & (learning["seed"] == 2)].iloc[0]
    assert row["error"] == pytest.approx(
        1 - own.loc[own["val_loss"].idxmin(), "val_accuracy"], abs=1e-6
    )
    # The network itself is what it is without.
    alone = trained(tmp_path / "alone", development, epochs=8, width=16, learning_rate=0.02)
    assert alone.model.model.read_bytes() == out.model.model.read_bytes()
    assert alone.learning.read().empty
    assert alone.learning.read().columns[0] == "share"


@pytest.mark.parametrize("epochs", [3, 6, 50, 140, 1000])
def test_all_fits_together_keep_to_the_budget(tmp_path, epochs):
    handed, budget = Handed(), Budget(epochs=epochs, minutes=12)
    development = small.table(tmp_path / "development")

    out = trained(
        tmp_path / "baseline",
        development,
        executor=handed,
        shares=[0.1, 0.5],
        budget=budget,
        epochs=10,
    )

    record = out.model.record()
    asked = {"baseline": params(shares=[0.1, 0.5]), "recipe": small.RECIPE.changed({"epochs": 10})}
    cost = baseline.cost(asked | {"budget": budget})
    assert (record.fits, cost.fits) == (6, 6)
    assert record.epochs <= cost.epochs <= max(epochs, 6)
    assert handed.minutes == {2}
    lengths = [handed.epochs[f"baseline {part}seed 1"][0] for part in ("10 % ", "50 % ", "")]
    assert (
        lengths
        == {
            3: [1, 1, 1],
            6: [1, 1, 1],
            # Of 100, 20 and 10 epochs, so that all are still trained for about as many steps.
            50: [18, 4, 2],
            140: [53, 11, 5],
            1000: [100, 20, 10],
        }[epochs]
    )
    assert record.settings["epochs"] == lengths[-1]
    assert f"trained for {lengths[-1]} epochs" in record.summary


def test_what_the_clock_may_change_is_in_the_plan():
    assert baseline.caution({"budget": small.FREE}) is None
    assert "clock" in baseline.caution({"budget": Budget(epochs=None, minutes=5)})


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [0]},
        {"shares": [0.3, 0.1]},
        {"shares": [0.3, 0.3]},
        {"shares": [1.0]},
        {"shares": [0]},
        {"unknown": 1},
    ],
)
def test_params_are_checked(change):
    with pytest.raises(ValidationError):
        params(**change)
