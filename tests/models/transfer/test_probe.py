import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from metrics.intervals import Bootstrap
from models import archive, training
from models.fitting import determinism
from models.transfer import bases, probe
from models.transfer.probe import Probed, ProbeRun, Probes
from pipeline.errors import InputError
from tests.models import small
from tests.tasks import left

BOOTSTRAP = Bootstrap(200, 0.95, 1)


def asked(development, base, *, untrained=False):
    return ProbeRun(str(development.path), str(base), untrained, 1, "probe")


def kept(folder, entry, features):
    """A base in a file."""
    path = folder / "base.keras"
    archive.save(keras.Model(entry, features, name=bases.BASE), path)
    return path


def plain(folder, width):
    """A base that gives what it takes."""
    determinism.start(1)
    entry = keras.Input((width,), name="input")
    return kept(folder, entry, keras.layers.Activation("linear")(entry))


def test_a_linear_model_is_fitted_to_all_other_folds(tmp_path):
    development = small.table(tmp_path / "development")
    data = training.encoded(str(development.path))

    told = probe.probe(asked(development, plain(tmp_path, data.shape[0])))

    assert (told.features, told.parameters, told.multiply_adds) == (data.shape[0], 0, 0)
    folds = probe._folds(probe._keys(data.train), data.train_codes.astype(np.int64))
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(120))
    for train, held in folds:
        mean, scale = data.train[train].mean(axis=0), data.train[train].std(axis=0)
        standard = (data.train - mean) / np.where(scale > 0, scale, 1)
        model = LogisticRegression(max_iter=2000).fit(standard[train], data.train_codes[train])
        expected = model.predict_proba(standard[held])
        np.testing.assert_allclose(told.predictions[held], expected, atol=1e-4)


def test_quantities_are_told_in_their_units(tmp_path):
    development = small.several(tmp_path / "development", "regression")
    data = training.encoded(str(development.path))

    told = probe.probe(asked(development, plain(tmp_path, data.shape[0])))

    truth, importance = data.train_truth, data.train_weights
    inside = Ridge().fit(data.train, truth, sample_weight=importance).predict(data.train)
    error, least = (np.abs(one - truth)[:, 0].mean() for one in (told.predictions, inside))
    assert least <= error < 1.5 * least


def test_maps_are_probed_by_their_means(tmp_path):
    development = small.pictures(tmp_path / "development")
    determinism.start(1)
    entry = keras.Input((8, 8, 1), name="input")
    flat = keras.layers.Concatenate()([entry, entry])
    mean = keras.layers.GlobalAveragePooling2D()(flat)

    of_map = probe.probe(asked(development, kept(tmp_path, entry, flat)))

    assert of_map.features == 2
    of_mean = probe.probe(asked(development, kept(tmp_path, entry, mean)))
    np.testing.assert_allclose(of_map.predictions, of_mean.predictions, atol=1e-5)


def test_copies_are_in_one_fold():
    rows = np.repeat(np.arange(30, dtype=np.float32), 3)[:, np.newaxis]
    for train, held in probe._folds(probe._keys(rows), np.zeros(90, np.int64)):
        assert not set(rows[train, 0]) & set(rows[held, 0])
    with pytest.raises(InputError, match="4 are distinct"):
        probe._folds(probe._keys(rows[:12]), np.zeros(12, np.int64))


@pytest.mark.parametrize("groups", [12, 3])
def test_a_group_is_in_one_fold(groups):
    """Else what tells one patient from the next would look like what tells sick from well."""
    units = (np.arange(120) % groups).astype(np.uint64)
    rows = np.arange(120, dtype=np.float32)[:, np.newaxis]
    parts = probe._folds(probe._keys(rows), np.zeros(120, np.int64), units)
    assert len(parts) == min(groups, probe.FOLDS)
    for train, held in parts:
        assert not set(units[train]) & set(units[held])
    # One group alone can be kept together nowhere.
    parts = probe._folds(probe._keys(rows), np.zeros(120, np.int64), units * 0)
    assert len(parts) == probe.FOLDS


def test_untrained_is_the_same_network_with_other_weights(tmp_path):
    development = small.table(tmp_path / "development")
    width = training.encoded(str(development.path)).shape[0]
    determinism.start(1)
    entry = keras.Input((width,), name="input")
    base = kept(tmp_path, entry, keras.layers.Dense(3)(entry))

    trained, fresh, again = (
        probe.probe(asked(development, base, untrained=untrained))
        for untrained in (False, True, True)
    )

    assert fresh.parameters == trained.parameters == 3 * (width + 1)
    assert not np.array_equal(fresh.predictions, trained.predictions)
    np.testing.assert_array_equal(fresh.predictions, again.predictions)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_best_source_is_chosen_by_the_objective(tmp_path, metric):
    development = small.table(tmp_path / "development")
    truth, _ = development.truth("train")
    measure = left.objective(metric).metric_for(development.target())
    probes = Probes(development, measure, BOOTSTRAP)
    sure = np.eye(2, dtype=np.float32)[truth] * 0.8 + 0.1
    lost = np.full_like(sure, np.nan)
    bad, good, unknown = (Probed(told, 4, 10, 20) for told in (sure[:, ::-1], sure, lost))

    assert probes.best([bad, good, good]) == 1
    row = probes.row("masked", "plain", good, chosen=True)
    assert row.score == (1.0 if metric == "accuracy" else pytest.approx(-np.log(0.9), rel=1e-4))
    assert row.low <= row.score <= row.high
    assert (row.source, row.network, row.chosen) == ("masked", "plain", True)
    assert list(probe.table([row]).columns) == [
        *("source", "network", "features", "score", "low", "high"),
        *("parameters", "multiply_adds", "chosen"),
    ]
    assert probes.best([unknown, bad]) == 1
