"""What a training stage has to leave, whatever the data: checked on all of its files together."""

import numpy as np
from sklearn import metrics

from metrics.objective import Objective, plain_figures
from models import archive
from models.training import predict
from tests.models import small

FILES = ["fits.csv", "model.keras", "predictions.npz", "record.json"]
DATA = {
    "regression": lambda folder: small.several(folder, "regression"),
    "logarithms": lambda folder: small.several(folder, "regression", "log"),
    "multilabel": lambda folder: small.several(folder, "multilabel"),
    "texts": small.texts,
}
"""Data sets other than the plain table and the pictures, by name."""
METRIC = {"regression": "rmse", "logarithms": "mae", "multilabel": "macro_f1", "texts": "accuracy"}
"""An objective for each."""


def objective(metric, **more):
    settings = {"positive": None, "precision": 0.9, "quantile": 0.5} | more
    return Objective(metric=metric, **settings)


def check(out, development):
    """The files are there and agree with each other and with the development set."""
    assert [path.name for path in sorted(out.model.path.iterdir())] == FILES
    record, target = out.model.record(), development.target()
    seeds = out.model.predictions()
    assert len(seeds) == len(record.seeds)
    check_predictions(out, development)
    saved = predict(archive.load(out.model.model), development.validation())
    place = record.seeds.index(record.saved_seed)
    np.testing.assert_allclose(saved, seeds[place], rtol=1e-4, atol=1e-5)
    fits = out.model.fits.read()
    assert record.fits == len(fits.groupby(["fit", "phase"]))
    assert record.epochs == len(fits)
    assert np.isfinite(fits[["loss", "val_loss"]]).all(axis=None)
    assert out.curves.read()["val_accuracy"].isna().all() == (target.task == "regression")


def check_predictions(out, development):
    """They are what the figures say that they are."""
    target, seeds = development.target(), out.model.predictions()
    truth, importance = development.truth("validation")
    assert seeds.shape[1:] == (len(truth), target.outputs)
    assert seeds.dtype == np.float32
    _check_unit(seeds, development)
    _check_metrics(out.metrics.read()["validation"], seeds, truth, importance, target)


def _check_unit(seeds, development):
    """Probabilities, or quantities in the targets' own units."""
    target = development.target()
    if target.task == "regression":
        truth, _ = development.truth("train")
        # So little training finds the middle, not the details.
        spread = np.maximum(truth.std(axis=0), 1)
        assert (np.abs(np.median(seeds, axis=1) - np.median(truth, axis=0)) < 2 * spread).all()
        return
    assert ((seeds >= 0) & (seeds <= 1)).all()
    if target.task == "classification":
        np.testing.assert_allclose(seeds.sum(axis=2), 1, atol=1e-6)


def _check_metrics(written, seeds, truth, importance, target):
    assert set(written) <= {*plain_figures(target.task), "loss"}
    name = "rmse" if target.task == "regression" else "accuracy"
    expected = np.mean([_figure(one, truth, importance, target.task) for one in seeds])
    assert written[name] == np.float32(expected) or abs(written[name] / expected - 1) < 1e-5
    losses = [_loss(one, truth, importance, target) for one in seeds]
    assert abs(written["loss"] / np.mean(losses) - 1) < 1e-3


def _figure(told, truth, importance, task):
    """By scikit-learn: accuracy, or the root mean squared error, the mean over targets."""
    if task == "classification":
        return metrics.accuracy_score(truth, told.argmax(axis=1), sample_weight=importance)
    if task == "multilabel":
        return np.average((told > 0.5) == truth, axis=0, weights=importance).mean()
    return metrics.root_mean_squared_error(truth, told, sample_weight=importance)


def _loss(told, truth, importance, target):
    """Log loss, the mean over labels; or squared error in standardised units."""
    weights = target.weights(truth, importance)
    if target.task == "classification":
        return metrics.log_loss(truth, told, sample_weight=weights, labels=range(target.outputs))
    if target.task == "multilabel":
        right = np.where(truth > 0.5, told, 1 - told)
        return np.average(-np.log(np.maximum(right, 1e-7)).mean(axis=1), weights=weights)
    errors = (target.encode(told) - target.encode(truth)) ** 2
    return np.average(errors.mean(axis=1), weights=weights)
