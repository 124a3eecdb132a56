import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from dataset import folding, folds
from dataset.examples import Development
from models import training
from models.budget import Budget
from models.candidate import Searched
from models.fitting import finder
from models.fitting.curves import Line
from models.fitting.finder import Found
from models.search import folded as on_folds
from models.search.rounds import brackets
from models.search.space import Dimension
from models.search.trials import Attempt, Outcome, scored, thresholds
from pipeline import pieces
from pipeline.errors import FettleError, InputError
from pipeline.runners.processes import ProcessPool
from tasks import search_rates, search_rounds
from tasks.search import SearchParams, search
from tests.conftest import ROOT
from tests.in_series import InSeries
from tests.models import small
from tests.tasks import left

SMALL = {
    "enabled": True,
    "method": "random",
    "factor": 3,
    "round": 4,
    "budget": {"trials": 5, "epochs": None, "minutes": None},
    "space": {
        "learning_rate": {"float": [0.001, 0.1], "log": True},
        "width": {"choice": [4, 8]},
        "batch_size": {"choice": [32, 64]},
        "text": {"choice": ["pool", "convolution"]},
    },
    "set": {"patience": 1},
    "validation": "holdout",
    "finder": False,
    "share": 1.0,
    "hopeless": False,
    "retrain": 1,
    "seed": 1,
    "seeds": [1],
}
VARIED = ["learning_rate", "width", "batch_size"]
FIGURES = ["score", "spread", "loss", "epochs", "examples", "parameters"]
ENDS = ["seed", "status", "reason"]


def params(**changes):
    return SearchParams.model_validate_json(json.dumps(SMALL | changes))


def budget(**changes):
    return SMALL["budget"] | changes


def searched(
    folder,
    development,
    *,
    executor=None,
    metric="accuracy",
    recipe=None,
    shared=small.FREE,
    **changes,
):
    out = Searched.at(folder)
    search.function(
        out=out,
        development=development,
        objective=left.objective(metric),
        recipe=small.RECIPE.changed(recipe or {}),
        budget=shared,
        params=params(**changes),
        executor=executor or InSeries(),
    )
    return out


def curve(item, losses):
    phase = "train" if item.folder else "trial"
    return tuple(
        Line(place, loss, 0.5, loss, 0.5, item.settings.learning_rate, phase, item.seed)
        for place, loss in enumerate(losses, 1)
    )


RATES = {"choice": [0.01, 0.02]}


class Recorded:
    """Trains nothing, but says what it was asked and gives what a test says of an item.

    right: the share of the validation examples that its predictions are right on; loss; lost: how
    a trial ended otherwise.
    """

    def __init__(self, *, right=lambda item: 0.5, loss=lambda item: 0.5, **lost):
        self.sizes = []
        self.items = []
        self.right, self.loss, self.lost = right, loss, lost

    def map(self, function, items, names, *, keep=False):
        assert keep == all(item.folder is None for item in items)
        self.sizes.append(len(items))
        self.items.extend(items)
        return [self.result(item) for item in items]

    def result(self, item):
        lost = self.lost.get(item.name.replace(" ", "_").removeprefix("search_"))
        if item.folder is not None:
            folder = Path(item.folder)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"seed-{item.seed}.keras").write_text(item.name)
            return self.run(item, diverged=lost is not None)
        if lost in ("failed", "memory"):
            return Outcome(lost, "for a test", None)
        run = self.run(item, diverged=lost is not None)
        return scored(item, lost or "completed", "for a test" if lost else "", run)

    def run(self, item, *, diverged):
        truth, _ = Development(Path(item.development)).truth("validation")
        told = np.where(np.arange(len(truth)) < self.right(item) * len(truth), truth, 1 - truth)
        return training.Run(
            item.seed,
            (curve(item, [self.loss(item)] * item.settings.epochs),),
            np.eye(2, dtype=np.float32)[told],
            self.loss(item),
            10,
            20,
            item.settings.epochs * 120,
            diverged,
        )


class Real(Recorded):
    """Trains."""

    def __init__(self):
        super().__init__()
        self.results = []

    def map(self, function, items, names, *, keep=False):
        self.sizes.append(len(items))
        self.items.extend(items)
        results = [function(item) for item in items]
        self.results.extend(results)
        return results


def number(item):
    """Of a trial, by its name."""
    return int(item.name.split()[2])


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    return small.table(tmp_path_factory.mktemp("development"))


def test_trials_are_asked_in_rounds_and_the_best_is_retrained(development, tmp_path):
    out = searched(tmp_path, development)

    trials = out.trials.read()
    assert trials.columns.tolist() == ["trial", *VARIED, *FIGURES, *ENDS]
    assert trials["trial"].tolist() == [1, 2, 3, 4, 5]
    assert trials["status"].tolist() == ["completed"] * 5
    assert trials[["spread", "reason"]].isna().all(axis=None)
    best = trials.sort_values(["score", "loss"], ascending=[False, True]).iloc[0]
    assert chosen(out, best["trial"])
    record = out.model.record()
    assert record.fits == 6
    assert record.epochs == trials["epochs"].sum() + len(out.curves.read())
    assert out.model.fits.read()["phase"].unique().tolist() == ["trial", "train"]
    left.check(out, development)


@pytest.mark.parametrize(("size", "rounds"), [(1, [1] * 5), (2, [2, 2, 1]), (50, [5])])
def test_as_many_are_tried_at_once_as_a_round_has(development, tmp_path, size, rounds):
    executor = Recorded()

    searched(tmp_path, development, executor=executor, round=size)

    assert executor.sizes == [*rounds, 1]


def test_a_gaussian_process_begins_after_a_round_and_no_sooner_than_it_can(monkeypatch):
    from models.search import tuning

    asked = []
    monkeypatch.setitem(
        tuning._ORACLES, "bayesian", lambda **options: asked.append(options) or Asked()
    )

    class Asked:
        verbose = 1

    for first in (1, 4, 50):
        tuning.Oracle("bayesian", {}, 1, higher=True, factor=3, epochs=1, first=first)

    assert [options["num_initial_points"] for options in asked] == [4, 4, 50]


@pytest.mark.parametrize("data", left.DATA)
def test_every_kind_of_data_is_searched_by_its_objective(tmp_path, data):
    development = left.DATA[data](tmp_path / "development")

    out = searched(
        tmp_path / "search", development, metric=left.METRIC[data], budget=budget(trials=1)
    )

    left.check(out, development)
    assert out.trials.read()["score"].notna().all()


class Scripted:
    """Trains the first trial alone; all others are said to have come out alike but for `told`."""

    def __init__(self, told):
        self.told = iter(told)
        self.outcome = None

    def map(self, function, items, names, *, keep=False):
        return [
            self._trial(function, item) if isinstance(item, Attempt) else function(item)
            for item in items
        ]

    def _trial(self, function, item):
        self.outcome = self.outcome or function(item)
        told = next(self.told)
        run = replace(self.outcome.run, **told)
        if "predictions" in told:
            return scored(item, self.outcome.status, self.outcome.reason, run)
        return replace(self.outcome, run=run)


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

    out = searched(tmp_path / "search", development, executor=Scripted(told), metric=metric)

    cost = 0.5 if metric == "pinball" else 1
    np.testing.assert_allclose(out.trials.read()["score"], cost * distances, rtol=1e-3)
    assert chosen(out, 3)


def test_a_tie_is_broken_by_the_loss(development, tmp_path):
    told = [{"loss": loss} for loss in (0.5, 0.4, 0.3, 0.2, 0.6)]

    out = searched(tmp_path, development, executor=Scripted(told))

    assert out.trials.read()["score"].nunique() == 1
    assert chosen(out, 4)


def test_what_reads_texts_is_varied_only_where_there_are_texts(development, tmp_path):
    readers = {"space": SMALL["space"] | {"text": {"choice": ["convolution", "pool"]}}}
    texts = small.texts(tmp_path / "texts")

    varied, plain = (
        searched(tmp_path / name, data, executor=Scripted([{}] * 5), **readers).trials.read()
        for name, data in (("varied", texts), ("plain", development))
    )

    assert set(varied["text"]) == {"convolution", "pool"}
    assert "text" not in plain


CONDITIONAL = {
    "optimizer": {"choice": ["adam", "momentum"]},
    "momentum": {"choice": [0.5, 0.9], "when": {"optimizer": ["momentum"]}},
}


def test_a_setting_whose_condition_does_not_hold_has_the_recipe_s_value(development, tmp_path):
    executor = Recorded()

    out = searched(
        tmp_path,
        development,
        executor=executor,
        method="grid",
        space=CONDITIONAL,
        budget=budget(trials=None),
        recipe={"momentum": 0.7},
    )

    trials = out.trials.read()
    assert trials["optimizer"].tolist() == ["adam", "momentum", "momentum"]
    assert trials["momentum"].isna().tolist() == [True, False, False]
    used = [item.settings.momentum for item in executor.items[:3]]
    assert used == [0.7, 0.5, 0.9]


def test_the_best_by_several_seeds_wins_and_not_the_luckiest(development, tmp_path):
    """Trial 2 scores best, trial 4 next; trained again 4 is better on the mean over the seeds."""
    scores = {1: 0.5, 2: 0.95, 3: 0.25, 4: 0.9, 5: 0.0}
    again = {(2, 1): 0.975, (2, 2): 0.5, (4, 1): 0.875, (4, 2): 0.875}

    def right(item):
        return again[number(item), item.seed] if item.folder else scores[number(item)]

    executor = Recorded(right=right)

    out = searched(tmp_path, development, executor=executor, retrain=2, seeds=[1, 2])

    assert executor.sizes == [4, 1, 4]
    assert chosen(out, 4)
    record = out.model.record()
    assert record.summary.startswith(
        "Trial 4 of 5 by random, the best of 2 that were retrained with 2 seeds each: learning rate"
    )
    assert record.fits == 5 + 4
    fits = out.model.fits.read()
    assert fits["phase"].unique().tolist() == ["trial", "finalist", "train"]
    assert record.epochs == len(fits)
    truth, _ = development.truth("validation")
    assert (out.model.predictions().argmax(axis=2) == truth).mean(axis=1).tolist() == [0.875] * 2
    assert out.model.model.read_text() == "search trial 4 seed 1"
    names = sorted(path.name for path in out.model.path.iterdir())
    assert names == ["fits.csv", "model.keras", "predictions.npz", "record.json"]


def test_a_finalist_that_diverges_does_not_win(development, tmp_path):
    executor = Recorded(right=lambda item: 0.1 * number(item), trial_5_seed_1="diverged")

    out = searched(tmp_path, development, executor=executor, retrain=2)

    assert chosen(out, 4)


def test_trials_that_come_to_nothing_are_recorded_and_do_not_end_the_search(development, tmp_path):
    executor = Recorded(trial_1="failed", trial_3="memory", trial_5="diverged")

    out = searched(tmp_path, development, executor=executor, method="bayesian")

    trials = out.trials.read()
    assert trials["status"].tolist() == ["failed", "completed", "memory", "completed", "diverged"]
    assert trials["reason"].notna().tolist() == [True, False, True, False, True]
    assert trials["epochs"][0] == trials["examples"][0] == 0
    assert np.isnan(trials["parameters"][0])
    assert trials["score"].notna().sum() == 2


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("no <Layer at 0x7f12ab>\nand more"), "failed", "ValueError: no <Layer at 0x…>"),
        (InputError("resnet is for pictures"), "failed", "resnet is for pictures"),
        (MemoryError("9 GB"), "memory", "MemoryError: 9 GB"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), "memory", "ResourceExhausted"),
    ],
)
def test_an_error_is_a_trial_s_reason(development, tmp_path, monkeypatch, error, status, reason):
    plain = training.train_on

    def train_on(data, item, fit):
        if item.folder is None and item.spec.width == 8:
            raise error
        return plain(data, item, fit)

    monkeypatch.setattr(training, "train_on", train_on)

    out = searched(
        tmp_path,
        development,
        method="grid",
        space={"width": SMALL["space"]["width"]},
        budget=budget(trials=None),
        recipe={"epochs": 1},
    )

    trials = out.trials.read()
    assert trials["status"].tolist() == ["completed", status]
    assert trials["reason"][1].startswith(reason)


def test_a_full_disk_says_nothing_of_a_trial(development, tmp_path, monkeypatch):
    def train_on(data, item, fit):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(training, "train_on", train_on)

    with pytest.raises(OSError, match="no space"):
        searched(tmp_path, development)


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_where_every_trial_comes_to_nothing_it_says_what_to_change(development, tmp_path, status):
    executor = Recorded(trial_1=status)

    with pytest.raises(FettleError, match=f"all 1 trials came to nothing; the first {status}: for"):
        searched(tmp_path, development, executor=executor, budget=budget(trials=1))


def test_an_objective_of_another_task_is_refused_before_anything_is_trained(tmp_path):
    development = small.several(tmp_path / "development", "regression")

    with pytest.raises(InputError, match="accuracy is not for regression"):
        searched(tmp_path / "search", development, executor=Recorded(), metric="accuracy")


def test_a_space_of_which_nothing_fits_the_data_is_refused(development, tmp_path):
    with pytest.raises(InputError, match="none of its settings means anything for these data"):
        searched(tmp_path, development, space={"rotation": {"float": [0, 10]}})


def test_no_round_begins_once_the_epochs_are_spent(development, tmp_path):
    out = searched(tmp_path, development, executor=Recorded(), budget=budget(trials=50, epochs=9))

    # Rounds of four trials of two epochs.
    assert out.trials.read()["epochs"].tolist() == [2] * 8


def clock(monotonic):
    """A clock of the search's own: other threads of the process look at the real one."""
    return SimpleNamespace(monotonic=monotonic)


def test_no_round_begins_once_the_minutes_are_over(development, tmp_path, monkeypatch):
    passed = iter([0, 59, 119, 121])
    monkeypatch.setattr(search_rounds, "time", clock(lambda: next(passed)))

    out = searched(tmp_path, development, executor=Recorded(), budget=budget(trials=50, minutes=2))

    assert len(out.trials.read()) == 8


def test_hyperband_trains_the_promoted_anew_from_their_seed(development, tmp_path):
    executor = Recorded()

    out = searched(
        tmp_path,
        development,
        executor=executor,
        method="hyperband",
        budget=budget(trials=None),
        recipe={"epochs": 3, "schedule": "cosine"},
        set={},
        space={"learning_rate": SMALL["space"]["learning_rate"]},
    )

    trials = out.trials.read()
    lengths = [item.settings.epochs for item in executor.items[:-1]]
    assert lengths == [
        length for one in brackets(3, 3) for many, length in one for _ in range(many)
    ]
    assert lengths == [1, 1, 1, 3, 3, 3]
    assert trials["epochs"].tolist() == lengths
    assert trials["learning_rate"][3] in set(trials["learning_rate"][:3])
    same = trials[trials["learning_rate"] == trials["learning_rate"][3]]
    assert same["seed"].nunique() == 1
    assert executor.items[-1].settings.epochs == 3


def test_hopeless_trials_are_stopped_by_those_of_earlier_rounds(development, tmp_path):
    rates = {"learning_rate": {"choice": [0.01, 0.02, 0.03, 0.04, 1e-6]}}
    settings = {"space": rates, "hopeless": True, "recipe": {"epochs": 8}, "set": {}}
    executor = Recorded(loss=lambda item: item.settings.learning_rate)

    faked = searched(
        tmp_path / "faked",
        development,
        executor=executor,
        method="grid",
        budget=budget(trials=None),
        **settings,
    )

    assert faked.trials.read()["status"].tolist() == ["completed"] * 5
    assert [item.stops for item in executor.items[:4]] == [()] * 4
    assert (
        executor.items[4].stops
        == thresholds([[rate] * 8 for rate in (1, 2, 3, 4)], 8)[:2] + (0.025,) * 6
    )

    real = searched(
        tmp_path / "real", development, method="grid", budget=budget(trials=None), **settings
    )

    trials = real.trials.read()
    assert trials["status"].tolist() == ["completed"] * 4 + ["stopped"]
    assert trials["epochs"].tolist() == [8] * 4 + [3]
    assert trials["reason"][4] == "worse than most before in epoch 3"
    assert trials["score"].notna().all()


def folded(folder, seed=1):
    """Three folds of a table's 160 rows."""
    development = small.table(folder)
    rows = np.arange(160)
    train, validation = development.train(), development.validation()
    development.write(
        replace(train, rows=rows[:120]),
        replace(validation, rows=rows[120:]),
        development.schema(),
        "none",
    )
    keys = np.stack([rows, rows], axis=1).astype(np.uint64)[:, 0]
    dealt = folds.deal(keys, np.zeros(160, dtype=np.int64), 3, seed)
    folding.write([dealt], rows, development.path / "folds.parquet")
    return development


def test_folds_are_disjoint_and_a_score_is_their_mean(tmp_path):
    development = folded(tmp_path / "development")
    executor = Real()

    out = searched(
        tmp_path / "search",
        development,
        executor=executor,
        validation="folds",
        budget=budget(trials=2),
    )

    assert executor.sizes == [6, 1]
    assert [(item.fold, item.name[-6:]) for item in executor.items[:6]] == [
        (fold, f"fold {fold + 1}") for fold in (0, 0, 1, 1, 2, 2)
    ]
    every = np.concatenate([held for _, held in development.folds()])
    assert sorted(every.tolist()) == list(range(160))
    trials = out.trials.read()
    truth = np.concatenate([development.truth(part)[0] for part in ("train", "validation")])
    for place in (0, 1):
        scores = []
        for item, outcome, (trained, held) in zip(
            executor.items[place:6:2], executor.results[place:6:2], development.folds(), strict=True
        ):
            data = on_folds.encoded(item.development, item.fold, 1.0)
            again = training.train_on(
                data, item, lambda own, data, item=item: training.fit_plainly(own, data, item)
            )
            right = again.predictions.argmax(axis=1) == truth[held]
            scores.append(float(right.mean()))
            assert outcome.run.examples == outcome.run.epochs * len(trained)
        assert trials["score"][place] == pytest.approx(fmean(scores))
        assert trials["spread"][place] == pytest.approx(stdev(scores), rel=1e-3)
    record = out.model.record()
    assert record.fits == 7
    assert trials["epochs"].sum() + len(out.curves.read()) == record.epochs


def test_folds_that_split_did_not_make_are_asked_for(development, tmp_path):
    with pytest.raises(InputError, match=r"Set split\.folds"):
        searched(tmp_path, development, validation="folds")


def test_trials_see_a_share_and_retrainings_everything(development, tmp_path):
    out = searched(tmp_path, development, share=0.25, set={"patience": None})

    assert out.trials.read()["examples"].tolist() == [2 * 30] * 5
    assert out.model.record().examples == 5 * 2 * 30 + 2 * 120


def test_two_workers_change_nothing(development, tmp_path):
    settings = {"method": "bayesian", "hopeless": True, "recipe": {"epochs": 3}, "set": {}}

    searched(tmp_path / "one", development, **settings)
    with ProcessPool(2) as pool:
        searched(tmp_path / "two", development, executor=pool, **settings)

    assert small.contents(tmp_path / "one") == small.contents(tmp_path / "two")


def test_the_range_test_is_kept_like_a_trial(development, tmp_path):
    item = training.SeedRun(str(development.path), None, small.SPEC, small.SETTINGS, 1, "test")
    found = finder.find(item)

    pieces.write(found, tmp_path / "found.npz")

    assert pieces.read(tmp_path / "found.npz", finder.Found) == found


def test_switched_off_it_still_writes_its_outputs(development, tmp_path):
    out = searched(tmp_path, development, enabled=False)

    assert out.model.record().enabled is False
    assert out.metrics.read() == {}
    assert out.trials.read().columns.tolist() == ["trial", *SMALL["space"], *FIGURES, *ENDS]
    assert out.curves.read().empty
    assert cost(enabled=False).fits == 0


def cost(*, shared=small.FREE, recipe=None, folds=0, repeats=1, **changes):
    split = SimpleNamespace(folds=folds, repeats=repeats)
    varied = small.RECIPE.changed(recipe or {})
    sections = {"recipe": varied, "split": split, "budget": shared}
    return search.cost({"search": params(**changes), **sections})


def test_the_cost_counts_trials_and_retrainings():
    assert (cost(seeds=[1, 2, 3]).fits, cost(seeds=[1, 2, 3]).epochs) == (8, 16)
    assert cost(seeds=[1, 2, 3], retrain=2).fits == 11
    assert cost(seeds=[1, 2, 3], retrain=9).fits == 5 + 15
    assert cost(set={"epochs": 7}).epochs == 42
    assert cost(budget=budget(epochs=1)).epochs == 1 + 4 * 2 + 2
    assert cost(space={"epochs": {"int": [2, 9], "log": True}}).epochs == 6 * 9


def test_the_cost_counts_every_fold_of_every_repeat():
    assert cost(folds=3, repeats=2).fits == 6
    folds = cost(folds=3, repeats=2, validation="folds")
    assert (folds.fits, folds.epochs) == (5 * 6 + 1, 5 * 6 * 2 + 2)
    spent = cost(folds=3, repeats=2, validation="folds", budget=budget(trials=50, epochs=1))
    assert (spent.fits, spent.epochs) == (50 * 6 + 1, 1 + 4 * 6 * 2 + 2)


@pytest.mark.parametrize("epochs", [1, 5, 12, 30, 31, 200])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retrain": 2, "seeds": [1, 2, 3]},
        {"budget": budget(trials=1), "seeds": [1, 2, 3, 4]},
        {"budget": budget(trials=50)},
        {"budget": budget(trials=50, epochs=9)},
        {"method": "hyperband", "budget": budget(trials=None), "retrain": 2},
        {"space": SMALL["space"] | {"epochs": {"int": [2, 9], "log": True}}},
    ],
)
def test_a_search_keeps_to_the_budget_whatever_it_is(development, tmp_path, epochs, changes):
    executor, shared = Recorded(), Budget(epochs=epochs, minutes=None)
    asked = {"recipe": {"epochs": 6}, "set": {}} | changes

    out = searched(tmp_path, development, executor=executor, shared=shared, **asked)

    record, trials = out.model.record(), out.trials.read()
    assert record.epochs <= max(epochs, record.fits)
    assert trials["epochs"].sum() <= max(epochs // 2, 1)
    declared = cost(shared=shared, **asked)
    assert record.fits <= declared.fits
    assert record.epochs <= declared.epochs <= max(epochs, declared.fits)
    retrained = [item.settings.epochs for item in executor.items[len(trials) :]]
    assert record.settings["epochs"] in retrained


def test_trials_are_shortened_only_to_make_a_round(development, tmp_path):
    executor, shared = Recorded(), Budget(epochs=31, minutes=None)

    searched(
        tmp_path,
        development,
        executor=executor,
        shared=shared,
        retrain=2,
        recipe={"epochs": 6},
        set={},
        budget=budget(trials=50),
        seeds=[1, 2],
    )

    # 15 for trials: a round of 3 epochs each and one trial more. 16 are left for four retrainings.
    assert executor.sizes == [4, 1, 4]
    assert [item.settings.epochs for item in executor.items] == [3] * 5 + [4] * 4


def test_as_many_whole_trials_as_there_are_epochs_for(development, tmp_path):
    executor, shared = Recorded(), Budget(epochs=76, minutes=None)

    searched(
        tmp_path,
        development,
        executor=executor,
        shared=shared,
        recipe={"epochs": 6},
        set={},
        budget=budget(trials=50),
    )

    assert executor.sizes == [4, 2, 1]
    assert [item.settings.epochs for item in executor.items] == [6] * 7


def test_folds_count_in_the_budget():
    shared, recipe = Budget(epochs=60, minutes=9), small.RECIPE.changed({"epochs": 6})

    limits = search_rounds.limits_of(shared, params(), params().space, recipe, folds=3)

    # A round of four trials has twelve fits, all five fifteen.
    assert limits == search_rounds.Limits(30, 2, 4.5, 4.5 / 15)


def test_trials_have_even_shares_of_half_the_minutes_and_retrainings_what_is_left(
    development, tmp_path, monkeypatch
):
    passed = iter([0.0, 240.0])
    monkeypatch.setattr("tasks.search.monotonic", lambda: next(passed))
    monkeypatch.setattr(search_rounds, "time", clock(lambda: 0.0))
    executor, shared = Recorded(), Budget(epochs=None, minutes=10)

    searched(tmp_path, development, executor=executor, shared=shared, seeds=[1, 2])

    assert [item.minutes for item in executor.items] == [1] * 5 + [3] * 2


def test_no_round_begins_once_half_the_minutes_are_over(development, tmp_path, monkeypatch):
    passed = iter([0, 59, 119, 121])
    monkeypatch.setattr(search_rounds, "time", clock(lambda: next(passed)))
    shared, more = Budget(epochs=None, minutes=4), budget(trials=50, minutes=3)

    out = searched(tmp_path, development, executor=Recorded(), shared=shared, budget=more)

    assert len(out.trials.read()) == 8


def test_what_makes_runs_differ_is_in_the_plan():
    def caution(shared=small.FREE, **changes):
        return search.caution({"search": params(**changes), "budget": shared})

    timed = Budget(epochs=None, minutes=5)
    assert caution() is caution(validation="folds") is caution(timed, enabled=False) is None
    assert caution(budget=budget(minutes=5)).startswith("search.budget.minutes ends it")
    assert caution(timed).startswith("budget.minutes ends fits")
    assert "choose others; budget.minutes" in caution(timed, budget=budget(minutes=5))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"space": {}}, "at least 1"),
        ({"space": {"speed": {"int": [1, 2]}}}, "speed: there is no such setting"),
        ({"space": SMALL["space"], "set": {"width": 3}}, "width is both varied"),
        ({"method": "guess"}, "'grid', 'random', 'bayesian' or 'hyperband'"),
        ({"method": "grid"}, "learning_rate has no end of them: give it a step"),
        ({"method": "hyperband", "space": {"epochs": {"int": [1, 2]}}}, "leave them out"),
        ({"budget": budget(trials=None)}, "random does not end by itself"),
        ({"budget": budget(trials=0)}, "greater than or equal to 1"),
        ({"set": {"patience": "four"}}, "patience"),
        ({"finder": True, "method": "grid", "space": {"learning_rate": RATES}}, "finder gives"),
        ({"share": 0}, "greater than 0"),
        ({"retrain": 0}, "greater than or equal to 1"),
        ({"seed": 0}, "greater than 0"),
    ],
)
def test_params_are_checked(change, told):
    with pytest.raises(ValidationError, match=told):
        params(**change)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("learning_rate: {float", "learnin_rate: {float", "did you mean learning_rate"),
        ("metric: accuracy", "metric: accuracies", "objective.metric"),
    ],
)
def test_mistakes_are_told_without_tensorflow(tmp_path, old, new, told):
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from pipeline.params_file import load\nfrom tasks.search import search\n"
        f"path = Path({str(tmp_path / 'params.yaml')!r})\n"
        "types = {search.section_names()[name]: kind for name, kind in search.sections.items()}\n"
        "try:\n    load(types, path)\nexcept Exception as error:\n    print(error)\n"
        "print([name for name in ('tensorflow', 'keras', 'pandas') if name in sys.modules])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert told in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_range_test_says_where_rates_are_looked_for(tmp_path):
    out = searched(tmp_path / "search", small.table(tmp_path / "development"), finder=True)

    rates = out.rates.read()
    [suggestion] = rates["suggestion"].unique()
    assert rates["rate"].is_monotonic_increasing
    assert len(rates) > 20
    tried = out.trials.read()["learning_rate"].astype(float)
    assert tried.between(suggestion / 10, suggestion * 3).all()


def test_around_a_suggestion_and_where_there_is_none():
    space = {"learning_rate": Dimension.model_validate_json('{"float": [0.1, 0.2]}')}
    nothing = Found((), (), (), None)
    assert search_rates.around(space, nothing) == space
    [(_, found)] = search_rates.around(space, replace(nothing, suggestion=0.01)).items()
    assert found.float == pytest.approx((0.001, 0.03))
    assert found.log
    assert search_rates.around({}, replace(nothing, suggestion=0.01)) == {}
    [(_, found)] = search_rates.around(space, replace(nothing, suggestion=0.9)).items()
    assert found.float == pytest.approx((0.09, 1.0))


def test_a_range_test_needs_a_rate_that_is_varied():
    with pytest.raises(ValidationError, match="there is no learning_rate in space"):
        params(finder=True, space={"width": {"choice": [4, 8]}})


def test_what_does_not_suit_the_data_is_said_before_anything_is_trained(tmp_path):
    development = small.table(tmp_path / "development")
    with pytest.raises(InputError, match="is resnet, but the data are a table"):
        searched(tmp_path / "search", development, set={"architecture": "resnet"})
