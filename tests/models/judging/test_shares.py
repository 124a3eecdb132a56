import numpy as np
import pytest

from dataset.checks.reference import Reference
from dataset.examples import Development
from models import training
from models.fitting.curves import Line
from models.judging import shares
from models.training import Run
from tests.models import small


def test_shares_are_nested_and_have_every_class_as_all_rows_do(tmp_path):
    development = small.pictures(tmp_path / "development")
    truth, _ = development.truth("train")
    before: set[int] = set()
    for share in (0.1, 0.3, 0.5):
        chosen = shares.sampled(development, share)
        assert len(chosen) == round(share * 120)
        assert before <= set(chosen.tolist())
        assert (np.diff(chosen) > 0).all()
        before = set(chosen.tolist())
        # Drawn, not the first ones of each class.
        assert chosen.mean() == pytest.approx(119 / 2, abs=30)
        held = np.bincount(truth[chosen], minlength=10)
        assert (np.abs(held - share * np.bincount(truth)) <= 1.5).all()


def repeated(folder):
    """A table whose every third training row is there four times."""
    times = np.where(np.arange(120) % 3 == 0, 4, 1)
    examples = small.rows(120, 1).take(np.repeat(np.arange(120), times))
    development = Development(folder)
    development.write(examples, small.rows(40, 2), small.schema("number", "COLOUR"), "none")
    return development


def test_a_row_that_is_repeated_is_in_a_share_with_all_its_copies_or_not_at_all(tmp_path):
    development = repeated(tmp_path / "development")
    assert development.units("validation") is None
    np.testing.assert_array_equal(development.units("train"), development.train().rows)
    for share in (0.1, 0.5):
        rows = development.train().rows[shares.sampled(development, share)]
        distinct, counts = np.unique(rows, return_counts=True)
        assert len(distinct) == round(share * 120)
        np.testing.assert_array_equal(counts, np.where(distinct % 3 == 0, 4, 1))


def test_what_is_kept_to_tell_drift_by_has_each_row_once(tmp_path):
    development = repeated(tmp_path / "development")
    reference = Reference(tmp_path / "reference")
    reference.write(development, np.zeros((40, 2), np.float32))
    np.testing.assert_array_equal(reference.train().rows, np.arange(120))
    assert len(reference.validation()[0]) == 40


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_labels_and_quantities_are_spread_too(tmp_path, task):
    development = small.several(tmp_path / "development", task)
    truth, _ = development.truth("train")
    chosen = shares.sampled(development, 0.25)
    assert len(chosen) == 40
    if task == "multilabel":
        np.testing.assert_allclose(truth[chosen].mean(axis=0), truth.mean(axis=0), atol=0.04)
    else:
        tenths = np.quantile(truth[:, 0], np.linspace(0, 1, 11)[1:-1])
        held = np.bincount(np.searchsorted(tenths, truth[chosen, 0]), minlength=10)
        assert (np.abs(held - 4) <= 1).all()


def test_a_share_is_a_development_set_with_the_same_target(tmp_path):
    whole = small.several(tmp_path / "development", "regression")

    part = shares.write(whole, 0.25, tmp_path / "part")

    assert part.count("train") == 40
    chosen = shares.sampled(whole, 0.25)
    np.testing.assert_array_equal(part.train().rows, whole.train().rows[chosen])
    np.testing.assert_array_equal(part.validation().targets, whole.validation().targets)
    assert part.target() == whole.target()
    assert part.scaling() == whole.scaling()
    # What encoders learn is of the share alone.
    data = training.encoded(str(part.path))
    assert data.train.shape[0] == 40
    assert float(np.abs(np.asarray(data.train[:, :2]).mean(axis=0)).max()) < 1e-3


def test_a_share_is_trained_for_as_many_steps():
    settings = small.settings(epochs=20, patience=4, decay_epochs=5)
    longer = shares.lengthened(settings, 0.3)
    assert (longer.epochs, longer.patience, longer.decay_epochs) == (67, 14, 17)
    assert shares.lengthened(small.settings(epochs=5000, patience=None), 0.1).epochs == 10_000
    assert shares.lengthened(small.settings(), 0.1).patience is None


def test_what_is_learned_is_that_of_the_best_epoch():
    def run(accuracies):
        lines = tuple(
            Line(at, 0.1, 0.9, loss, accuracy, 0.01, "train", 3)
            for at, (loss, accuracy) in enumerate(zip((0.5, 0.2, 0.4), accuracies, strict=True), 1)
        )
        return Run(3, (lines,), np.zeros((2, 2), np.float32), 0.4, 1, 1, 30, False)

    row = shares.learned(run((0.7, 0.8, 0.9)), 0.1, 10)
    assert (row.epoch, row.loss, row.error, row.seed, row.examples) == (2, 0.2, 0.2, 3, 10)
    assert shares.learned(run((None, None, None)), 0.1, 10).error == 0.2
