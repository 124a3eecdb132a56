import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from metrics import threshold
from metrics.threshold import Decision
from tests.metrics.test_objective import CLASSES, LABELS, QUANTITY, THREE, made_up, objective

TUNABLE = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "macro_f1": lambda truth, answers: reference.f1_score(
        truth, answers, average="macro", zero_division=0
    ),
}


def skewed(n=200, seed=0):
    """Probabilities of the second of two classes that are all too low."""
    random = np.random.default_rng(seed)
    truth = (random.random(n) < 0.3).astype(np.int32)
    given = np.clip(0.25 + 0.2 * truth + random.normal(0, 0.1, n), 0.01, 0.99).round(2)
    return np.stack([1 - given, given], axis=1).astype(np.float32), truth


def best_by_trying(predictions, truth, score):
    tried = np.unique(np.concatenate([[-1.0], predictions]))
    return max(score(truth, (predictions > at).astype(int)) for at in tried)


@pytest.mark.parametrize("metric", TUNABLE)
@pytest.mark.parametrize("positive", ["ill", "sound"])
def test_the_threshold_is_the_best_of_all(metric, positive):
    predictions, truth = skewed()
    place = CLASSES.names.index(positive)
    asked = objective(metric, positive=positive)
    decision, tuned = threshold.choose("tuned", CLASSES, asked, predictions, truth, None)
    score = TUNABLE[metric]
    best = best_by_trying(predictions[:, place], (truth == place).astype(int), score)
    assert tuned.tuned == pytest.approx(best)
    assert score(truth, decision.answers(predictions)) == pytest.approx(best)
    assert tuned.half == pytest.approx(score(truth, predictions.argmax(axis=1)))
    assert tuned.tuned > tuned.half
    assert decision.thresholds == tuned.thresholds


def test_recall_at_precision_takes_the_threshold_that_attains_it():
    predictions, truth = skewed()
    asked = objective("recall_at_precision", precision=0.8)
    decision, tuned = threshold.choose("tuned", CLASSES, asked, predictions, truth, None)
    answers = decision.answers(predictions)
    assert reference.precision_score(truth, answers) >= 0.8
    assert reference.recall_score(truth, answers) == pytest.approx(tuned.tuned)
    assert tuned.tuned == pytest.approx(asked.metric_for(CLASSES).score(predictions, truth, None))
    never = objective("recall_at_precision", precision=1.0)
    flat = np.full_like(predictions, 0.3)
    decision, tuned = threshold.choose("tuned", CLASSES, never, flat, truth, None)
    assert (decision.thresholds, tuned.tuned) == ((0.5,), 0.0)


def test_the_threshold_of_a_precision_that_half_does_not_attain_is_worth_nothing_at_half():
    given = np.array([0.9, 0.8, 0.6, 0.1])
    predictions = np.stack([1 - given, given], axis=1)
    truth = np.array([1, 1, 0, 0])
    asked = objective("recall_at_precision", precision=0.9)
    decision, tuned = threshold.choose("tuned", CLASSES, asked, predictions, truth, None)
    assert (tuned.half, tuned.tuned) == (0.0, 1.0)
    assert decision.thresholds == pytest.approx((0.7,))


@pytest.mark.parametrize("metric", ["recall", "precision", "auc", "log_loss"])
def test_other_objectives_stay_at_half(metric):
    predictions, truth = skewed()
    _, tuned = threshold.choose("tuned", CLASSES, objective(metric), predictions, truth, None)
    assert tuned.thresholds == (0.5,)
    assert tuned.half == tuned.tuned


def test_half_is_half_when_asked_and_when_it_is_as_good():
    predictions, truth = skewed()
    asked = objective("accuracy")
    _, tuned = threshold.choose("half", CLASSES, asked, predictions, truth, None)
    assert tuned.thresholds == (0.5,)
    clear = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    _, tuned = threshold.choose("tuned", CLASSES, asked, clear, np.array([0, 0, 1]), None)
    assert tuned.thresholds == (0.5,)
    # Nearest to 0.5 of equally good ones, on either side.
    high = np.array([[0.3, 0.7], [0.1, 0.9]])
    _, tuned = threshold.choose("tuned", CLASSES, asked, high, np.array([0, 1]), None)
    assert tuned.thresholds == pytest.approx((0.8,))


def test_labels_have_a_threshold_each():
    random = np.random.default_rng(0)
    truth = (random.random((300, 3)) < 0.4).astype(np.float32)
    shift = np.array([-0.2, 0.0, 0.25])
    given = np.clip(0.5 + shift + 0.3 * (truth - 0.5) + random.normal(0, 0.1, (300, 3)), 0, 1)
    for metric, score in (
        ("accuracy", reference.accuracy_score),
        ("macro_f1", lambda *both: reference.f1_score(*both, zero_division=0)),
    ):
        decision, tuned = threshold.choose("tuned", LABELS, objective(metric), given, truth, None)
        best = [best_by_trying(given[:, at], truth[:, at], score) for at in range(3)]
        assert tuned.tuned == pytest.approx(np.mean(best))
        assert decision.thresholds[0] < 0.5 < decision.thresholds[2]
        assert decision.answers(given).shape == (300, 3)


def test_nothing_lies_below_nought_and_neighbours_are_told_apart():
    given = np.array([0.0, 0.0, 0.6])
    sure = np.stack([1 - given, given], axis=1)
    _, tuned = threshold.choose(
        "tuned", CLASSES, objective("accuracy"), sure, np.array([1, 1, 1]), None
    )
    assert tuned.thresholds == (0.5,)
    steps = [np.float32(0.3)]
    for _ in range(2):
        steps.append(np.nextafter(steps[-1], np.float32(1)))
    for below in (0, 1):
        given = np.array(steps[below : below + 2])
        close = np.stack([1 - given, given], axis=1)
        decision, tuned = threshold.choose(
            "tuned", CLASSES, objective("accuracy"), close, np.array([0, 1]), None
        )
        assert tuned.tuned == 1.0
        assert decision.answers(close).tolist() == [0, 1]


def test_importance_moves_the_threshold():
    given = np.array([0.2, 0.4, 0.6, 0.8])
    predictions, truth = np.stack([1 - given, given], axis=1), np.array([0, 1, 0, 1])
    for heavy, expected in ((1, 0.3), (2, 0.7)):
        importance = np.ones(4, dtype=np.float32)
        importance[heavy] = 5
        _, tuned = threshold.choose(
            "tuned", CLASSES, objective("accuracy"), predictions, truth, importance
        )
        assert tuned.thresholds == pytest.approx((expected,))
        assert tuned.tuned == pytest.approx(7 / 8)


def test_more_classes_and_quantities_have_none():
    for target in (THREE, QUANTITY):
        predictions, truth = made_up(target)
        metric = "accuracy" if target is THREE else "rmse"
        decision, tuned = threshold.choose(
            "tuned", target, objective(metric), predictions, truth, None
        )
        assert tuned is None
        assert decision.thresholds == ()
        answers = decision.answers(predictions)
        expected = predictions.argmax(axis=1) if target is THREE else predictions
        assert (answers == expected).all()
        assert Decision.model_validate_json(decision.model_dump_json()) == decision


def test_a_decision_reaches_the_figures_that_are_about_decisions():
    predictions, truth = skewed()
    decision = Decision(task="classification", positive=1, thresholds=(0.35,))
    answers = predictions[:, 1].astype(np.float64) > 0.35
    weights = np.ones((1, len(truth)))
    for metric, expected in (
        ("accuracy", reference.accuracy_score(truth, answers)),
        ("recall", reference.recall_score(truth, answers)),
        ("auc", reference.roc_auc_score(truth, predictions[:, 1])),
    ):
        figure = decision.measured(objective(metric).metric_for(CLASSES))
        assert figure(predictions, truth, weights) == pytest.approx([expected]), metric


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 30),
    seed=st.integers(0, 10_000),
    metric=st.sampled_from([*TUNABLE, "recall_at_precision"]),
    digits=st.integers(0, 3),
)
def test_tuning_never_costs_on_the_examples_it_saw(n, seed, metric, digits):
    random = np.random.default_rng(seed)
    given = random.random(n).round(digits).astype(np.float32)
    truth = random.integers(0, 2, n)
    truth[0] = 1
    predictions = np.stack([1 - given, given], axis=1)
    _, tuned = threshold.choose("tuned", CLASSES, objective(metric), predictions, truth, None)
    assert tuned.tuned >= tuned.half - 1e-12
    assert 0 <= tuned.thresholds[0] <= 1
