import json

import pytest

from models import archive
from models.candidate import Candidate
from pipeline.executor import InSeries
from tasks.regularize import RegularizeParams, regularize
from tests.models import small
from tests.tasks import left

SMALL = {
    "enabled": True,
    "techniques": {
        "dropout": {"dropout": 0.3},
        "decay": {"l2": 0.001},
        "normalisation": {"batch_norm": True},
        "stopping": {"epochs": 2, "patience": 1},
    },
    "seeds": [1],
}


def params(**changes):
    return RegularizeParams.model_validate_json(json.dumps(SMALL | changes))


@pytest.mark.parametrize(("searched", "width"), [(True, 6), (False, 4)])
def test_the_latest_settings_are_regularised(tmp_path, searched, width):
    out = Candidate.at(tmp_path / "regularize")

    regularize.function(
        out=out,
        development=small.table(tmp_path / "development"),
        baseline=small.predecessor(tmp_path, "baseline"),
        search=small.predecessor(
            tmp_path,
            "search",
            enabled=searched,
            spec=small.spec(width=6, depth=1, text="pool", embedding=4),
        ),
        params=params(),
        executor=InSeries(),
    )

    settings = out.model.record().settings
    assert settings["width"] == width
    assert settings["learning_rate"] == small.SETTINGS.learning_rate
    network = archive.load(out.model.model).get_layer("network")
    assert network.get_layer("dropout_0").rate == 0.3
    assert network.get_layer("norm_0")
    assert network.get_layer("dense_0").kernel_regularizer.l2 == pytest.approx(0.001)
    assert ("search" if searched else "baseline") in out.model.record().summary


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_data_is_regularised(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")
    out = Candidate.at(tmp_path / "regularize")

    regularize.function(
        out=out,
        development=development,
        baseline=small.predecessor(tmp_path, "baseline"),
        search=small.predecessor(
            tmp_path, "search", spec=small.spec(width=4, depth=1, text="convolution", embedding=5)
        ),
        params=params(dropout=0.1, epochs=6, patience=5),
        executor=InSeries(),
    )

    left.check(out, development)
    settings = out.model.record().settings
    assert (settings["text"], settings["embedding"]) == ("convolution", 5)


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = Candidate.at(tmp_path / "regularize")

    regularize.function(
        out=out,
        development=None,
        baseline=None,
        search=None,
        params=params(enabled=False),
        executor=InSeries(),
    )

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert out.curves.read().columns.tolist()[0] == "epoch"
    assert regularize.cost(params(enabled=False)).fits == 0
