import json
import subprocess
import sys

import numpy as np
import pytest

from models import archive, training
from models.candidate import Candidate, Record, Trained
from models.distillation import teachers
from models.training import predict
from pipeline.errors import InputError
from tasks.ensemble import EnsembleParams, ensemble
from tests.in_series import InSeries
from tests.models import small
from tests.tasks import left

NAMES = ("baseline", "search", "regularize", "finetune")
KINDS = {"table": small.table, "pictures": small.pictures, **left.DATA}
SEEDS = {"baseline": (1, 2, 3), "search": (7, 8)}
"""One member has a seed more, and they have none in common."""
SAVED = {"baseline": 3, "search": 7}


def params(**changes):
    return EnsembleParams.model_validate_json(json.dumps({"enabled": True, "members": 3} | changes))


def off(folder, stage) -> Trained:
    return small.predecessor(folder, stage, enabled=False)


def made(folder, development, candidates, metric, **changes):
    """Of candidates by name; the others are switched off."""
    out = Candidate.at(folder / "ensemble")
    inputs = {name: candidates.get(name) or off(folder, name) for name in NAMES}
    ensemble.function(
        out=out,
        development=development,
        **inputs,
        objective=left.objective(metric),
        params=params(**changes),
        executor=InSeries(),
    )
    return out


def trained(folder, development, stage, **changes) -> Trained:
    """A candidate whose saved model was trained a little; the other seeds' predictions are this
    one's in another order."""
    place, saved = Trained(folder / stage), SAVED[stage]
    recipe = small.RECIPE.changed(changes)
    [run] = training.train_seeds(InSeries(), development, place.make(), recipe, [saved], stage)
    (place.path / f"seed-{saved}.keras").replace(place.model)
    told = [
        run.predictions if seed == saved else np.roll(run.predictions, seed, axis=0)
        for seed in SEEDS[stage]
    ]
    place.write_predictions(np.stack(told))
    place.write_record(
        small.record(stage, **changes).model_copy(
            update={
                "seeds": SEEDS[stage],
                "saved_seed": saved,
                "parameters": run.parameters,
                "multiply_adds": run.multiply_adds,
            }
        )
    )
    return place


def pair(folder, development) -> dict[str, Trained]:
    """Two that differ in what they are made of; of a table the second is many networks in one."""
    table = development.schema().kind == "table"
    other = {"architecture": "tabm", "members": 3, "numbers": "periodic"}
    return {
        "baseline": trained(folder, development, "baseline", dropout=0.2, l2=0.01),
        "search": trained(
            folder, development, "search", width=6, **(other if table else {"batch_norm": True})
        ),
    }


@pytest.mark.parametrize("data", KINDS)
def test_the_saved_model_predicts_the_mean_of_the_members_and_teaches(tmp_path, data):
    development = KINDS[data](tmp_path / "development")
    members = pair(tmp_path, development)
    before = small.contents(tmp_path / "baseline") | small.contents(tmp_path / "search")

    out = made(tmp_path, development, members, left.METRIC.get(data, "log_loss"))

    rows, target = development.validation(), development.target()
    saved = predict(archive.load(out.model.model), rows)
    each = [predict(archive.load(one.model), rows) for one in members.values()]
    assert abs(each[0] - each[1]).max() > 1e-3
    expected = np.mean(each, axis=0, dtype=np.float64)
    np.testing.assert_allclose(saved, expected, rtol=1e-4, atol=1e-5)
    # Of the seeds that every member has, the first being that of the saved models.
    told = out.model.predictions()
    one, other = (member.predictions() for member in members.values())
    np.testing.assert_allclose(told[0], saved, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told[1], (one[0].astype(float) + other[1]) / 2, rtol=1e-5)
    assert len(told) == 2
    _check_files(out, development, members)
    # What distillation takes for logits is decoded to the same.
    logits = tmp_path / "logits.npy"
    teachers.teach(teachers.Teaching(str(development.path), str(out.model.model), str(logits)))
    taught = target.decode(np.load(logits))
    whole = predict(archive.load(out.model.model), development.train())
    np.testing.assert_allclose(taught, whole, rtol=1e-4, atol=1e-5)
    assert small.contents(tmp_path / "baseline") | small.contents(tmp_path / "search") == before


def _check_files(out, development, members):
    assert [path.name for path in sorted(out.model.path.iterdir())] == left.FILES
    record = out.model.record()
    records = [member.record() for member in members.values()]
    assert record.parameters == sum(one.parameters for one in records) > 0
    assert record.multiply_adds == sum(one.multiply_adds for one in records) > 0
    from models.networks import count

    network = archive.load(out.model.model).get_layer("network")
    assert record.parameters == count.parameters(network)
    assert record.multiply_adds == count.multiply_adds(network)
    assert (record.fits, record.epochs, record.examples) == (0, 0, 0)
    assert (record.seeds, record.saved_seed) == ((), None)
    assert out.model.fits.read().columns.tolist()[:4] == ["fit", "phase", "seed", "epoch"]
    assert len(out.model.fits.read()) == len(out.curves.read()) == 0
    left.check_predictions(out, development)


@pytest.mark.doors
def test_two_processes_write_the_same_bytes(tmp_path):
    development = small.table(tmp_path / "development")
    members = pair(tmp_path, development)
    script = (
        "import sys; from models.judging import ensembling\n"
        "development, folder, path = sys.argv[1:4]\n"
        "members = tuple((name, f'{folder}/{name}/model.keras') for name in sys.argv[4:])\n"
        "ensembling.join(ensembling.Joining(development, members, path))\n"
    )
    out = made(tmp_path, development, members, "log_loss")
    order = out.model.record().settings["mean_of"].split(", ")
    elsewhere = tmp_path / "elsewhere.keras"

    arguments = [str(development.path), str(tmp_path), str(elsewhere), *order]
    subprocess.run([sys.executable, "-B", "-c", script, *arguments], check=True)

    assert elsewhere.read_bytes() == out.model.model.read_bytes()


def told(folder, development, stage, predictions) -> Trained:
    """A candidate that said something of the validation examples, and has no model."""
    trained = small.predecessor(folder, stage)
    trained.write_predictions(predictions[np.newaxis])
    return trained


class Asked:
    """Joins nothing, and remembers what was to be joined."""

    items: list = []

    def map(self, function, items, names, *, keep=False):
        self.items += items
        return [None for _ in items]


@pytest.mark.parametrize(
    ("metric", "members", "expected"),
    [
        # Lower is better: 1, 2 and 3 beside the truth.
        ("rmse", 2, "search, baseline"),
        ("rmse", 3, "search, baseline, finetune"),
        ("rmse", 4, "search, baseline, finetune"),
    ],
)
def test_the_best_by_the_objective_are_its_members(tmp_path, metric, members, expected):
    development = small.several(tmp_path / "development", "regression")
    truth, _ = development.truth("validation")
    candidates = {
        name: told(tmp_path, development, name, truth + shift)
        for name, shift in (("baseline", 2), ("search", 1), ("finetune", 3))
    }
    executor = Asked()
    out = Candidate.at(tmp_path / "ensemble")

    ensemble.function(
        out=out,
        development=development,
        **candidates,
        regularize=off(tmp_path, "regularize"),
        objective=left.objective(metric),
        params=params(members=members),
        executor=executor,
    )

    record = out.model.record()
    assert record.settings["mean_of"] == expected
    assert ", ".join(name for name, _ in executor.items[-1].members) == expected
    shifts = {"search": 1, "baseline": 2, "finetune": 3}
    mean = np.mean([shifts[name] for name in expected.split(", ")])
    np.testing.assert_allclose(out.model.predictions()[0], truth + mean, rtol=1e-5)


def test_of_higher_better_objectives_the_highest_and_of_equal_ones_the_first(tmp_path):
    development = small.table(tmp_path / "development")
    codes, _ = development.truth("validation")
    candidates = {
        name: told(
            tmp_path,
            development,
            name,
            np.eye(2, dtype=np.float32)[np.where(np.arange(len(codes)) < right, codes, 1 - codes)],
        )
        for name, right in (("baseline", 20), ("search", 30), ("regularize", 30), ("finetune", 25))
    }
    out = Candidate.at(tmp_path / "ensemble")

    ensemble.function(
        out=out,
        development=development,
        **candidates,
        objective=left.objective("accuracy"),
        params=params(members=3),
        executor=Asked(),
    )

    assert out.model.record().settings["mean_of"] == "search, regularize, finetune"


def test_one_member_is_refused(tmp_path):
    development = small.table(tmp_path / "development")
    codes, _ = development.truth("validation")
    alone = told(tmp_path, development, "baseline", np.eye(2, dtype=np.float32)[codes])

    with pytest.raises(InputError, match="only baseline is switched on") as raised:
        made(tmp_path, development, {"baseline": alone}, "accuracy")

    assert "switch on search, regularize or finetune" in str(raised.value)
    assert "set ensemble.enabled to false" in str(raised.value)
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        params(members=1)


def test_switched_off_it_still_writes_its_outputs(tmp_path):
    out = Candidate.at(tmp_path / "ensemble")

    ensemble.function(
        out=out,
        development=None,
        baseline=None,
        search=None,
        regularize=None,
        finetune=None,
        objective=None,
        params=params(enabled=False),
        executor=InSeries(),
    )

    assert out.model.record() == Record(
        stage="ensemble",
        enabled=False,
        summary="Switched off by ensemble.enabled in params.yaml.",
        settings={},
        seeds=(),
        saved_seed=None,
        parameters=0,
        multiply_adds=0,
        fits=0,
        epochs=0,
        examples=0,
    )
    assert out.metrics.read() == {}
    assert ensemble.cost({"ensemble": params()}).fits == 0
