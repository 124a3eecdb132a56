import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from models import archive, scores
from models.candidate import Baseline
from models.training import Run, predict
from pipeline.errors import FettleError
from pipeline.executor import InSeries
from tasks.baseline import BaselineParams, baseline
from tests.models import small

PLAIN = {
    "width": 4,
    "depth": 1,
    "learning_rate": 0.01,
    "batch_size": 32,
    "epochs": 2,
    "seeds": [1, 2],
}


def params(**changes):
    return BaselineParams.model_validate_json(json.dumps(PLAIN | changes))


class Spawned:
    """Two processes of its own, as a door supplies them."""

    def map(self, function, items, names):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            return list(pool.map(function, items))


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    return small.pictures(tmp_path_factory.mktemp("development"))


@pytest.fixture(scope="module")
def out(development, tmp_path_factory):
    written = Baseline.at(tmp_path_factory.mktemp("baseline"))
    baseline.function(out=written, development=development, params=params(), executor=InSeries())
    return written


def test_the_folder_holds_what_is_documented_and_no_more(out):
    assert [path.name for path in sorted(out.model.path.iterdir())] == [
        "fits.csv",
        "model.keras",
        "predictions.npz",
        "record.json",
    ]


def test_the_record_counts_what_was_done(out):
    record = out.model.record()

    assert (record.fits, record.epochs, record.examples) == (2, 4, 4 * 120)
    assert record.parameters == (3 * 3 * 4 + 4) + (4 * 4 * 4 * 10 + 10)
    assert record.multiply_adds == 8 * 8 * 9 * 4 + 4 * 4 * 4 * 10
    assert record.settings["width"] == 4
    assert record.settings["batch_size"] == 32
    cost = baseline.cost(params())
    assert (cost.fits, cost.epochs) == (record.fits, record.epochs)


def test_metrics_are_means_over_the_seeds(out, development):
    codes = development.validation().codes(development.classes())
    seeds = out.model.probabilities()

    assert seeds.shape == (2, 40, 10)
    np.testing.assert_allclose(seeds.sum(axis=2), 1, atol=1e-6)
    expected = np.mean([scores.accuracy(seed, codes) for seed in seeds])
    assert out.metrics.read()["validation"]["accuracy"] == pytest.approx(expected)


def test_the_saved_model_is_the_seed_with_the_lowest_loss(out, development):
    record = out.model.record()
    codes = development.validation().codes(development.classes())
    losses = [scores.log_loss(seed, codes) for seed in out.model.probabilities()]

    predicted = predict(archive.load(out.model.model), development.validation())

    place = int(np.argmin(losses))
    assert record.saved_seed == record.seeds[place]
    np.testing.assert_allclose(predicted, out.model.probabilities()[place], atol=1e-6)


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
    codes = development.validation().codes(development.classes())

    shares = pd.Series(development.train().labels).value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(measured["majority"], np.tile(shares, (40, 1)), rtol=1e-6)
    assert scores.accuracy(measured["linear"], codes) > 0.8


@pytest.mark.doors
def test_other_processes_give_the_same_bytes(out, development, tmp_path):
    other = Baseline.at(tmp_path / "baseline")

    baseline.function(out=other, development=development, params=params(), executor=Spawned())

    assert small.contents(other.model.path.parent) == small.contents(out.model.path.parent)


class Diverging:
    """Runs in series; the fits with seed 2 diverge."""

    def map(self, function, items, names):
        results = InSeries().map(function, items, names)
        return [
            replace(result, diverged=True)
            if isinstance(result, Run) and result.seed == 2
            else result
            for result in results
        ]


def test_a_fit_that_diverges_says_what_to_lower(development, tmp_path):
    with pytest.raises(FettleError, match=r"seed 2 diverged in epoch 1.*learning_rate 0\.01"):
        baseline.function(
            out=Baseline.at(tmp_path),
            development=development,
            params=params(epochs=1),
            executor=Diverging(),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"epochs": 1.5},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [0]},
        {"learning_rate": 0},
        {"unknown": 1},
    ],
)
def test_params_are_checked(change):
    with pytest.raises(ValidationError):
        params(**change)
