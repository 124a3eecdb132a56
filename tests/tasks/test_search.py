import json

import numpy as np
import pytest
from pydantic import ValidationError

from models import training
from models.candidate import Searched
from pipeline.errors import FettleError
from pipeline.executor import InSeries
from tasks.search import SearchParams, search
from tests.models import small

SMALL = {
    "enabled": True,
    "method": "random",
    "trials": 5,
    "learning_rate": [0.001, 0.1],
    "width": [4, 8],
    "depth": [1],
    "batch_size": [32, 64],
    "epochs": 2,
    "patience": 1,
    "seed": 1,
    "seeds": [1],
}
VARIED = ["learning_rate", "width", "depth", "batch_size"]
COLUMNS = [
    "trial",
    *VARIED,
    "accuracy",
    "log_loss",
    "epochs",
    "examples",
    "parameters",
    "status",
]


def params(**changes):
    return SearchParams.model_validate_json(json.dumps(SMALL | changes))


def searched(folder, development, *, executor=None, **changes):
    out = Searched.at(folder)
    search.function(
        out=out,
        development=development,
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
    assert np.isnan(trials["accuracy"][1])
    best = trials.sort_values(["accuracy", "log_loss"], ascending=[False, True]).iloc[0]
    record = out.model.record()
    assert {name: record.settings[name] for name in VARIED} == best[VARIED].to_dict()
    assert record.fits == 6
    assert record.epochs == trials["epochs"].sum() + len(out.curves.read())
    assert out.model.fits.read()["phase"].unique().tolist() == ["trial", "train"]
    assert [path.name for path in sorted(out.model.path.iterdir())] == [
        "fits.csv",
        "model.keras",
        "predictions.npz",
        "record.json",
    ]


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
        {"seed": 0},
        {"trials": 0},
    ],
)
def test_params_are_checked(change):
    with pytest.raises(ValidationError):
        params(**change)
