import math
from dataclasses import replace

import pytest

from metrics.objective import Objective
from models import training
from models.fitting import fit
from models.search import trials
from models.search.trials import Attempt, Outcome, running_means, thresholds
from models.training import SeedRun
from pipeline import pieces, snapshot
from pipeline.errors import InputError
from tests.in_series import InSeries
from tests.models import small

OBJECTIVE = Objective(metric="accuracy", positive=None, precision=0.9, quantile=0.5)


def test_thresholds_are_medians_of_running_means_after_a_grace():
    curves = [[4.0, 2.0, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0], [8.0, 0.0]]

    found = thresholds([running_means(curve) for curve in curves], 8)

    # Running means by epoch: 4, 3, 2, 2 and then 2; 1; 8, 4 and then 4.
    assert found == (math.inf, math.inf, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert thresholds([running_means(curve) for curve in curves], 4) == (math.inf, 3.0, 2.0, 2.0)


def test_without_earlier_trials_there_are_none():
    assert thresholds([], 8) == ()


@pytest.mark.parametrize(
    ("status", "lasting"), [("completed", True), ("failed", True), ("memory", False)]
)
def test_what_memory_did_not_suffice_for_is_tried_again(status, lasting):
    assert Outcome(status, "", None).lasting == lasting


def attempt(development, minutes, epochs=3):
    settings = small.settings(epochs=epochs)
    place = str(development.path)
    return Attempt(
        place, None, small.SPEC, settings, 1, "trial", None, 1.0, (), OBJECTIVE, minutes=minutes
    )


def test_what_the_clock_cut_short_is_scored_and_never_recalled(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "closure", lambda module, root: ["code.py"])
    monkeypatch.setattr(pieces, "RUNTIME", ())
    (tmp_path / "code.py").write_text("as it is")
    code = snapshot.Snapshot({"code.py": snapshot._content(tmp_path / "code.py")})
    development = small.table(tmp_path / "development")
    recalled: list[str] = []

    def tried(minutes):
        executor = pieces.Remembering(InSeries(), code, tmp_path, recalled.append)
        item = attempt(development, minutes)
        return executor.map(trials.attempt, [item], [item.name], keep=True)[0]

    with monkeypatch.context() as late:
        seconds = iter(range(0, 10**6, 3600))
        late.setattr(fit, "monotonic", lambda: next(seconds))
        cut = tried(1.0)
    assert (cut.status, cut.reason) == ("completed", "out of time in epoch 1")
    assert not cut.lasting
    assert not cut.run.lasting
    assert cut.run.epochs == 1

    whole = tried(1.0)
    assert recalled == []
    assert (whole.run.epochs, whole.reason, whole.lasting) == (3, "", True)
    # What no clock has cut follows from no minutes.
    assert tried(None).run.lines == tried(7.0).run.lines == whole.run.lines
    assert recalled == ["trial"] * 2


def test_a_run_is_cut_where_one_of_its_phases_was(tmp_path, monkeypatch):
    seconds = iter([0, 0, 0, 0, 0, 61])
    monkeypatch.setattr(fit, "monotonic", lambda: next(seconds, 61))
    development = small.table(tmp_path / "development")

    def twice(network, data):
        short, long = small.settings(epochs=1), small.settings(epochs=9)
        return [
            (name, training.fit_to_target(network, data, settings, 1, name, minutes=1))
            for name, settings in (("first", short), ("second", long))
        ]

    run = training.train_with(attempt(development, None), twice)
    assert len(run.lines[0]) == 1
    assert run.epochs < 10
    assert run.out_of_time


def test_a_trial_is_scored_where_it_ran_and_its_predictions_stay_there(tmp_path):
    development = small.table(tmp_path / "development")
    item = attempt(development, None)
    truth, _ = development.truth("validation")

    found = trials.attempt(item)

    run = training.train(SeedRun(item.development, None, item.spec, item.settings, 1, "seed"))
    assert found.run is not None
    assert found.run.predictions.shape == (0, 2)
    assert found.run.lines == tuple(
        tuple(replace(line, phase="trial") for line in fit) for fit in run.lines
    )
    assert found.score == (run.predictions.argmax(axis=1) == truth).mean()


def test_an_objective_that_cannot_be_told_is_the_user_s_to_change(tmp_path):
    development = small.several(tmp_path / "development", "regression")
    with pytest.raises(InputError, match="accuracy is not for regression"):
        trials.attempt(attempt(development, None))
