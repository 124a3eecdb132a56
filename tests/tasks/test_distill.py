import hashlib
import json

import numpy as np
import pytest

from models import archive, determinism, encode, network
from models.candidate import Candidate, Trained
from models.settings import NetworkSpec
from pipeline.executor import InSeries
from tasks.distill import DistillParams, distill
from tests.models import small

SMALL = {
    "enabled": True,
    "width": 3,
    "depth": 1,
    "temperature": 4.0,
    "hard_weight": 0.1,
    "learning_rate": 0.01,
    "batch_size": 32,
    "epochs": 2,
    "patience": 2,
    "seeds": [1],
}


def params(**changes):
    return DistillParams.model_validate_json(json.dumps(SMALL | changes))


def candidate(folder, development, stage, right, certainty):
    """An untrained model, with predictions right for the given number of examples."""
    trained = small.predecessor(folder, stage)
    codes = development.validation().codes(development.classes())
    shown = np.where(np.arange(len(codes)) < right, codes, 1 - codes)
    probabilities = np.full((1, len(codes), 2), 1 - certainty, dtype=np.float32)
    probabilities[0, np.arange(len(codes)), shown] = certainty
    trained.write_probabilities(probabilities)
    determinism.start(1)
    encoder = encode.build(encode.learn(development.train(), development.schema()))
    built = network.build(encoder.output_shape[1:], 2, NetworkSpec.plain(8, 2), seed=1)
    archive.save(network.assemble(encoder, built), trained.model)
    return trained


def off(folder, stage) -> Trained:
    return small.predecessor(folder, stage, enabled=False)


@pytest.mark.parametrize(
    ("rights", "certainties", "teacher"),
    [((30, 35), (0.9, 0.9), "regularize"), ((35, 35), (0.9, 0.8), "baseline")],
)
def test_the_best_candidate_teaches_and_stays_as_it_is(tmp_path, rights, certainties, teacher):
    development = small.table(tmp_path / "development")
    first = candidate(tmp_path, development, "baseline", rights[0], certainties[0])
    second = candidate(tmp_path, development, "regularize", rights[1], certainties[1])
    before = hashlib.sha256(first.model.read_bytes() + second.model.read_bytes()).hexdigest()
    out = Candidate.at(tmp_path / "distill")

    distill.function(
        out=out,
        development=development,
        baseline=first,
        search=off(tmp_path, "search"),
        regularize=second,
        finetune=off(tmp_path, "finetune"),
        params=params(),
        executor=InSeries(),
    )

    record = out.model.record()
    assert record.settings["teacher"] == teacher
    assert record.fits == distill.cost(params()).fits == 1
    assert out.model.fits.read()["phase"].unique().tolist() == ["distil"]
    after = hashlib.sha256(first.model.read_bytes() + second.model.read_bytes()).hexdigest()
    assert before == after
    assert sorted(path.name for path in out.model.path.iterdir()) == [
        "fits.csv",
        "model.keras",
        "predictions.npz",
        "record.json",
    ]


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = Candidate.at(tmp_path / "distill")

    distill.function(
        out=out,
        development=None,
        baseline=None,
        search=None,
        regularize=None,
        finetune=None,
        params=params(enabled=False),
        executor=InSeries(),
    )

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert distill.cost(params(enabled=False)).fits == 0
