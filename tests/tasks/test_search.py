import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from models import training
from models.candidate import Searched
from pipeline.errors import FettleError, InputError
from pipeline.executor import InSeries
from tasks.search import SearchParams, search
from tests.models import small
from tests.tasks import left

SMALL = {
    "enabled": True,
    "method": "random",
    "trials": 5,
    "space": {
        "learning_rate": {"float": [0.001, 0.1], "log": True},
        "width": {"choice": [4, 8]},
        "depth": {"choice": [1]},
        "batch_size": {"choice": [32, 64]},
        "text": {"choice": ["pool"]},
    },
    "set": {"patience": 1},
    "seed": 1,
    "seeds": [1],
}
VARIED = ["learning_rate", "width", "depth", "batch_size", "text"]
COLUMNS = [
    "trial",
    *VARIED,
    "score",
    "loss",
    "epochs",
    "examples",
    "parameters",
    "status",
]


def params(**changes):
    return SearchParams.model_validate_json(json.dumps(SMALL | changes))


def searched(folder, development, *, executor=None, metric="accuracy", **changes):
    out = Searched.at(folder)
    search.function(
        out=out,
        development=development,
        objective=left.objective(metric),
        recipe=small.RECIPE,
        params=params(**changes),
        executor=executor or InSeries(),
    )
    return out


class Recorded:
    """Runs in series, and says how many pieces came at once; may make some diverge."""

    def __init__(self, diverging=()):
        self.sizes = []
        self.names = []
        self.diverging = diverging

    def map(self, function, items, names):
        self.sizes.append(len(items))
        self.names.extend(names)
        results = []
        for item, name in zip(items, names, strict=True):
            result = function(item)
            if name in self.diverging:
                result = training.Run(**{**vars(result), "diverged": True})
            results.append(result)
        return results


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    return small.table(tmp_path_factory.mktemp("development"))


def test_trials_are_asked_in_rounds_and_the_best_is_retrained(development, tmp_path):
    executor = Recorded(diverging=["search trial 2"])

    out = searched(tmp_path, development, executor=executor)

    assert executor.sizes == [4, 1, 1]
    trials = out.trials.read()
    assert trials.columns.tolist() == COLUMNS
    assert trials["trial"].tolist() == [1, 2, 3, 4, 5]
    assert trials["status"].tolist() == ["completed", "diverged", *["completed"] * 3]
    assert np.isnan(trials["score"][1])
    best = trials.sort_values(["score", "loss"], ascending=[False, True]).iloc[0]
    assert chosen(out, best["trial"])
    record = out.model.record()
    assert record.fits == 6
    assert record.epochs == trials["epochs"].sum() + len(out.curves.read())
    assert out.model.fits.read()["phase"].unique().tolist() == ["trial", "train"]
    left.check(out, development)


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_data_is_searched_by_its_objective(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")

    out = searched(tmp_path / "search", development, metric=left.METRIC[data], trials=2)

    left.check(out, development)
    assert out.trials.read()["score"].notna().all()


class Scripted:
    """Trains the first trial alone; all others are said to have come out alike but for `told`."""

    def __init__(self, told):
        self.told = iter(told)
        self.run = None

    def map(self, function, items, names):
        return [
            self._trial(function, item) if name.startswith("search trial") else function(item)
            for item, name in zip(items, names, strict=True)
        ]

    def _trial(self, function, item):
        self.run = self.run or function(item)
        return replace(self.run, **next(self.told))


def chosen(out, trial):
    """Whether the settings retrained are that trial's."""
    settings = out.model.record().settings
    values = out.trials.read().set_index("trial").loc[trial]
    return {name: settings[name] for name in VARIED} == values[VARIED].to_dict()


@pytest.mark.parametrize("metric", ["rmse", "mae", "pinball"])
def test_of_a_lower_better_objective_the_lowest_is_retrained(tmp_path, metric):
    development = small.several(tmp_path / "development", "regression")
    truth, _ = development.truth("validation")
    distances = np.array([0.04, 0.02, 0.01, 0.03, 0.05])
    told = [{"predictions": (truth + distance).astype(np.float32)} for distance in distances]

    out = searched(
        tmp_path / "search", development, executor=Scripted(told), metric=metric, epochs=1
    )

    cost = 0.5 if metric == "pinball" else 1
    np.testing.assert_allclose(out.trials.read()["score"], cost * distances, rtol=1e-3)
    assert chosen(out, 3)


def test_a_tie_is_broken_by_the_loss(development, tmp_path):
    told = [{"loss": loss} for loss in (0.5, 0.4, 0.3, 0.2, 0.6)]

    out = searched(tmp_path, development, executor=Scripted(told), epochs=1)

    assert out.trials.read()["score"].nunique() == 1
    assert chosen(out, 4)


def test_what_reads_texts_is_varied_only_where_there_are_texts(development, tmp_path):
    readers = {"text": ["convolution", "pool", "transformer"], "trials": 12, "epochs": 1}
    texts = small.texts(tmp_path / "texts")

    varied, plain = (
        searched(tmp_path / name, data, executor=Scripted([{}] * 12), **readers).trials.read()
        for name, data in (("varied", texts), ("plain", development))
    )

    assert set(varied["text"]) == set(readers["text"])
    assert set(plain["text"]) == {"convolution"}


def test_an_objective_of_another_task_is_refused_before_anything_is_trained(tmp_path):
    development = small.several(tmp_path / "development", "regression")

    with pytest.raises(InputError, match="accuracy is not for regression"):
        searched(tmp_path / "search", development, executor=Recorded(), metric="accuracy")


def test_where_every_trial_diverges_it_says_what_to_lower(development, tmp_path):
    executor = Recorded(diverging=["search trial 1"])

    with pytest.raises(FettleError, match=r"all 1 trials diverged; lower search\.learning_rate"):
        searched(tmp_path, development, executor=executor, trials=1)


def test_switched_off_it_still_writes_its_outputs(development, tmp_path):
    out = searched(tmp_path, development, enabled=False)

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert out.trials.read().columns.tolist() == COLUMNS
    assert out.curves.read().empty
    assert search.cost(params(enabled=False)).fits == 0


def test_the_cost_counts_trials_and_retrainings():
    cost = search.cost(params(seeds=[1, 2, 3]))

    assert (cost.fits, cost.epochs) == (8, 16)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": [0.1, 0.001]},
        {"learning_rate": [0.1]},
        {"width": []},
        {"method": "guess"},
        {"text": []},
        {"text": ["pool", "read"]},
        {"seed": 0},
        {"trials": 0},
    ],
)
def test_params_are_checked(change):
    with pytest.raises(ValidationError):
        params(**change)
