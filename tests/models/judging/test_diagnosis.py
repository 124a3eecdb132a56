import numpy as np
import pytest

from models.judging import diagnosis
from models.judging.diagnosis import Limits, Patient
from models.judging.power_law import Curve, Forecast, Gain

LIMITS = Limits(gap=0.05, noise=0.25, gain=0.1)
UNTOLD = Forecast(None, (), "one seed says nothing")
HELPFUL = Forecast(Curve(0.0, 0.1, 0.5, 1000), (Gain(2, 0.029, 0.02, 0.04),), "")
LITTLE = Forecast(Curve(0.09, 0.01, 0.5, 1000), (Gain(2, 0.003, 0.002, 0.004),), "")
EPOCHS = np.arange(1, 21)
FALL = 2 * np.exp(-EPOCHS / 3)


def lines(loss, val_loss, accuracy=None, val_accuracy=None):
    known = accuracy is not None
    return [
        {
            "epoch": at,
            "loss": float(loss[at - 1]),
            "val_loss": float(val_loss[at - 1]),
            "accuracy": accuracy if known else None,
            "val_accuracy": val_accuracy if known else None,
        }
        for at in range(1, len(loss) + 1)
    ]


def patient(fit, **changes):
    given = {
        "name": "search",
        "task": "classification",
        "curves": fit,
        "fits": [fit, fit, fit],
        "settings": {"patience": None, "width": 8, "depth": 2, "epochs": 20, "dropout": 0.0},
        "imitates": False,
        "rival": None,
        "constant": 0.1,
    }
    return Patient(**given | changes)


def verdict(fit, forecast=UNTOLD, **changes):
    return diagnosis.diagnose(patient(fit, **changes), forecast, LIMITS)


def resting(train, validation):
    """Losses that come to rest."""
    return lines(FALL + 0.1, FALL + 0.2 + 0.001 * EPOCHS, train, validation)


def test_a_good_fit():
    found = verdict(resting(0.95, 0.93))
    assert found.verdict == "good fit"
    assert found.evidence == (
        "In epoch 20, whose weights are kept, its accuracy is 95.0 % on training and 93.0 % on "
        "validation examples: a gap of 2.0 percentage points, within the limit; the curve came to "
        "rest."
    )
    assert found.next == ("What more data would gain cannot be told: one seed says nothing.",)


def test_each_seed_counts_in_the_epoch_whose_weights_it_keeps():
    """A mean by epoch over those that went on would be of no network at all."""
    short, long = resting(0.99, 0.95)[:10], resting(0.99, 0.85)
    settings = {"patience": 3}
    one = patient(long, fits=[short, long], settings=settings)
    ends = [diagnosis.best(fit) for fit in (short, long)]
    assert one.kept["val_accuracy"] == pytest.approx(sum(end["val_accuracy"] for end in ends) / 2)
    assert diagnosis.reached(one) == one.kept["val_accuracy"]
    told = diagnosis.diagnose(one, UNTOLD, LIMITS).evidence
    first, last = sorted(end["epoch"] for end in ends)
    assert f"In the epochs whose weights are kept, {first:g} to {last:g} by seed, its acc" in told


def test_what_is_worse_than_a_constant_is_not_called_better():
    for train, words in ((0.05, "no better than the 10.0 %"), (0.15, "hardly better than the")):
        found = verdict(resting(train, 0.1))
        assert found.verdict == "underfit"
        assert words in found.evidence


def test_nothing_is_advised_that_quantities_refuse():
    settings = {"patience": 3, "dropout": 0.1, "l2": 0.0, "label_smoothing": 0.0}
    for task, advised in (("classification", "l2, label_smoothing"), ("regression", "l2")):
        steps = diagnosis._less(patient(resting(0.99, 0.93), task=task, settings=settings))
        assert steps == (f"What is not used yet: {advised}, in regularize.techniques.",)


@pytest.mark.parametrize(
    ("forecast", "expected"),
    [(UNTOLD, "overfit"), (LITTLE, "overfit"), (HELPFUL, "too little data")],
)
def test_a_gap_is_overfitting_or_too_little_data(forecast, expected):
    found = verdict(resting(0.99, 0.93), forecast)
    assert found.verdict == expected
    assert "a gap of 6.0 percentage points, where 5 is the limit" in found.evidence
    together = " ".join(found.next)
    assert "Fits that stop early (patience)." in together
    assert "What is not used yet: dropout, in regularize.techniques." in together
    if forecast is HELPFUL:
        assert "2 times as many rows 2.90 (2.00 to 4.00) percentage points" in found.evidence
        assert found.next[0].startswith("Collect more data")
    # At the limit it is said, below it is not.
    assert verdict(resting(0.98, 0.9301)).verdict == "good fit"


def test_the_epoch_that_counts_is_the_one_whose_weights_are_kept():
    # Learned by heart after epoch 10; early stopping goes back there.
    rising = np.where(EPOCHS > 10, 0.25 + 0.05 * (EPOCHS - 10), FALL + 0.2)
    fit = lines(FALL + 0.1, rising, 0.0, 0.0)
    for line in fit:
        line["accuracy"] = 0.9 if line["epoch"] <= 10 else 1.0
        line["val_accuracy"] = 0.88 if line["epoch"] <= 10 else 0.8
    assert verdict(fit).verdict == "overfit"
    assert "In epoch 20, whose weights" in verdict(fit).evidence
    stopped = verdict(fit, settings={"patience": 10})
    assert stopped.verdict == "good fit"
    assert "In epoch 10, whose weights" in stopped.evidence


def test_what_was_still_getting_better_is_underfit():
    steady = 2 - 0.05 * EPOCHS
    found = verdict(lines(steady, steady, 0.9, 0.9))
    assert found.verdict == "underfit"
    assert "of 3 of 3 seeds was lowest in the last epoch, 20, and still falling" in found.evidence
    assert found.next[0] == "More epochs than 20, or a higher learning_rate."
    # Lowest in the last epoch, but at rest.
    assert verdict(lines(FALL + 0.1, FALL + 0.2, 0.95, 0.93)).verdict == "good fit"
    # One seed of three is not most of them.
    rest = resting(0.95, 0.93)
    one = patient(rest, fits=[lines(steady, steady, 0.9, 0.9), rest, rest])
    assert diagnosis.diagnose(one, UNTOLD, LIMITS).verdict == "good fit"


def test_training_worse_than_others_validate_is_underfit():
    found = verdict(resting(0.80, 0.79), rival=0.90)
    assert found.verdict == "underfit"
    assert "accuracy is 80.0 %, while another candidate has 90.0 % on validation" in found.evidence
    assert verdict(resting(0.86, 0.86), rival=0.90).verdict == "good fit"


def test_training_hardly_better_than_a_constant_answer_is_underfit():
    found = verdict(resting(0.15, 0.14))
    assert found.verdict == "underfit"
    assert "hardly better than the 10.0 % of a constant answer" in found.evidence
    # Where one class is common, small differences are much.
    assert verdict(resting(0.99, 0.99), constant=0.98).verdict == "good fit"
    assert verdict(resting(0.981, 0.981), constant=0.98).verdict == "underfit"


def test_a_loss_that_jumps_is_unstable():
    random = np.random.default_rng(1)
    jumps = 0.5 * (1 + random.choice([-0.5, 0.5], size=20))
    jumps[0] = 2
    found = verdict(lines(FALL + 0.1, jumps, 0.95, 0.93))
    assert found.verdict == "unstable"
    assert "where 25 % is the limit" in found.evidence
    found = verdict(lines(FALL + 0.1, jumps, 0.95, 0.93), settings={"learning_rate": 0.1})
    assert found.next == ("A lower learning_rate than 0.1.",)
    # Jumps of a loss that is next to nothing do not count.
    assert verdict(lines(FALL + 0.1, np.where(EPOCHS == 1, 2, jumps * 0.01), 0.9, 0.9)).verdict == (
        "good fit"
    )


def test_a_loss_that_rises_again_diverges():
    # Down to 0.5 and up beyond where it was.
    away = np.where(EPOCHS < 8, 2.3 - 0.25 * EPOCHS, 0.3 * (EPOCHS - 6))
    found = verdict(lines(away, FALL + 0.2, 0.5, 0.5))
    assert found.verdict == "unstable"
    assert "rose to 4.20 from 0.550 in epoch 7: the fit diverges" in found.evidence


def test_quantities_have_losses_in_place_of_accuracies():
    fit = lines(FALL + 0.1, FALL + 0.2 + 0.001 * EPOCHS)
    many = {"task": "regression", "constant": 1.0}
    found = verdict(fit, **many)
    assert found.verdict == "overfit"
    assert "a gap of 12.0 % of the target's variance, where 5 is the limit" in found.evidence
    # A student's training loss is about its teacher.
    assert verdict(fit, **many, imitates=True).verdict == "good fit"
    # Both are high: 0.95 of the variance remains.
    high = lines(0.95 + 0.01 / EPOCHS, 0.96 + 0.0001 * EPOCHS)
    assert verdict(high, **many).verdict == "underfit"
    assert verdict(lines(FALL + 0.5, FALL + 0.52 + 0.001 * EPOCHS), **many, rival=0.2).verdict == (
        "underfit"
    )


def test_without_curves_nothing_is_said():
    assert verdict([], fits=[]) is None


def test_noise_is_none_of_smooth_curves():
    assert diagnosis.noise(FALL.tolist()) < 0.05
    assert diagnosis.noise((0.1 + 0.05 * EPOCHS).tolist()) < 1e-9
    # Every other epoch 1 and 3: each lies 2 from the middle of its neighbours, of a level of 2.
    assert diagnosis.noise([1.0, 3.0] * 10) == pytest.approx(1.0)
    assert diagnosis.noise([1.0, 3.0]) == 0
