import numpy as np
import pytest

from metrics.intervals import Bootstrap, Sample
from metrics.readings import Reading
from models.candidate import Record
from models.judging.ledger import Entrant, Judge, Limits
from pipeline.errors import InputError

SHARE = Reading(title="accuracy", sign=1, share=True, unit="")
PRICE = Reading(title="mean absolute error", sign=-1, share=False, unit="price")


FREE = Limits(parameters=None, multiply_adds=None)
CHOSEN = (
    " Chosen step by step: what is dearer has to be proven better, what is cheaper to lose no more "
    "than the tolerance (evaluate.choice: smallest)."
)


def record(cost):
    return Record(
        stage="any",
        enabled=True,
        summary="",
        settings={},
        seeds=(1,),
        saved_seed=1,
        parameters=10 * cost,
        multiply_adds=cost,
        fits=1,
        epochs=1,
        examples=1,
    )


def entrant(name, value, cost=None, spread=0.0):
    draws = value + spread * np.linspace(-1, 1, 101)
    return Entrant(name, record(cost) if cost else None, Sample(np.array(value), draws), 0.5)


def walk(reading, values, tolerance=0.01, trials=None, limits=None):
    """Two yardsticks and networks, each a value, a cost and half the width of its draws."""
    rule = "limit" if limits else "smallest"
    judge = Judge(
        Bootstrap(100, 0.95, 1), reading, reading, trials, tolerance, rule, limits or FREE
    )
    constant, linear, *networks = values
    return judge.walk(
        [entrant("constant", constant), entrant("linear", linear)],
        [entrant(f"n{at}", *network) for at, network in enumerate(networks)],
    )


def judge(reading=SHARE):
    return Judge(Bootstrap(100, 0.95, 1), reading, reading, None, 0.01, "smallest", FREE)


@pytest.mark.parametrize(
    ("reading", "without", "student", "spread", "words"),
    [
        (SHARE, 0.90, 0.92, 0.0, "+2.00 percentage points (95 % interval +2.00 to +2.00): proven."),
        (SHARE, 0.90, 0.92, 0.1, "+2.00 percentage points (95 % interval -7.50 to +11.50): not"),
        (SHARE, 0.92, 0.90, 0.0, "-2.00 percentage points (95 % interval -2.00 to -2.00): it did"),
        # Of an error less is better.
        (PRICE, 4.0, 3.0, 0.0, "-1.000 price (95 % interval -1.000 to -1.000): proven."),
        (PRICE, 3.0, 4.0, 0.0, "+1.000 price (95 % interval +1.000 to +1.000): it did harm."),
    ],
)
def test_what_a_teacher_gave_is_told_with_its_interval(reading, without, student, spread, words):
    taught = entrant("distill", student, 10, spread)
    row = judge(reading).untaught(entrant("distill without its teacher", without, 10), taught)
    assert row.decision == "compared"
    assert row.reason.startswith(f"What the teacher gave: {words}")
    # The row is about the control: what it is above the student.
    assert row.reference == "distill"
    assert row.difference == pytest.approx(without - student)
    assert row.score == without


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (0.89, "-1.00 percentage points (95 % interval -1.00 to -1.00): a loss is proven"),
        (0.90, "+0.00 percentage points (95 % interval +0.00 to +0.00): no loss is proven"),
    ],
)
def test_what_8_bits_lose_and_save_is_told(after, words):
    row = judge().in_8_bits(
        entrant("distill in 8 bits", after, 10), entrant("distill", 0.90, 10), 4344, 16_000
    )
    assert row.decision == "compared"
    assert row.reason == (
        f"The saved network of distill in 8 bits, compared with that one alone: {words}; "
        "4,344 bytes instead of 16,000, 27 %."
    )


def test_lower_is_better_where_the_sign_says_so():
    rows = walk(PRICE, [9.0, 5.0, (4.0, 10), (3.0, 10), (3.5, 10)])
    assert [row.decision for row in rows] == [
        "yardstick",
        "yardstick",
        "kept",
        "chosen",
        "left out",
    ]
    assert "its gain over the linear model is proven: -1.000 price" in rows[2].reason
    assert rows[3].reason == (
        "Gain over n0 proven: -1.000 price (95 % interval -1.000 to -1.000), "
        "at the same 10 multiply-adds an example." + CHOSEN
    )
    assert rows[4].reason.startswith("Worse than n1: +0.5000 price")
    assert (rows[3].difference, rows[3].difference_low, rows[3].score) == (-1.0, -1.0, 3.0)
    # The same figures, were more better.
    rows = walk(SHARE, [0.9, 0.5, (0.4, 10), (0.3, 10), (0.35, 10)])
    assert [row.decision for row in rows[2:]] == ["chosen", "left out", "left out"]
    assert "worse than the linear model" in rows[2].reason


def test_the_interval_that_decides_is_the_gain_s():
    # Draws of the error from 2.4 to 4.4: its gain is not proven, though its mean is better.
    rows = walk(PRICE, [9.0, 5.0, (4.0, 10), (3.4, 10, 1.0)])
    assert rows[3].decision == "left out"
    assert "Gain over n0 not proven: -0.6000 price (95 % interval -1.550 to +0.3500)" in (
        rows[3].reason
    )


@pytest.mark.parametrize(
    ("reading", "before", "after", "decision", "words"),
    [
        (SHARE, 0.9, 0.895, "chosen", "at most 0.50 percentage points of accuracy, where 1.00"),
        (SHARE, 0.9, 0.885, "left out", "may lose 1.50 percentage points of accuracy, where 1.00"),
        # A hundredth of the incumbent's 400 is 4.
        (PRICE, 400.0, 403.0, "chosen", "at most 3.000 price of mean absolute error, where 4.000"),
        (PRICE, 400.0, 405.0, "left out", "may lose 5.000 price of mean absolute error, where"),
        (PRICE, 400.0, 399.0, "chosen", "Gain over n0 proven"),
    ],
)
def test_a_cheaper_one_may_lose_the_tolerance(reading, before, after, decision, words):
    worst = 0.1 if reading is SHARE else 900.0
    row = walk(reading, [worst, worst, (before, 100), (after, 10)])[-1]
    assert row.decision == decision
    assert words in row.reason


def test_small_losses_do_not_add_up():
    """Each is within the tolerance of the one before, the third not of the best."""
    rows = walk(SHARE, [0.5, 0.6, (0.975, 1000), (0.967, 100), (0.959, 10), (0.966, 9)])
    assert [row.decision for row in rows[2:]] == ["kept", "kept", "left out", "chosen"]
    assert "but may lose 1.60 percentage points of accuracy to n0, the best before it" in (
        rows[4].reason
    )
    assert rows[4].reference == "n1"
    # What is proven better than the one in use is the best only where it is.
    rows = walk(SHARE, [0.5, 0.6, (0.975, 1000), (0.967, 100), (0.970, 500), (0.962, 10)])
    assert [row.decision for row in rows[2:]] == ["kept", "kept", "chosen", "left out"]


def test_all_right_is_no_certainty_where_it_is_a_share_of_trials():
    row = walk(SHARE, [0.5, 0.5, (1.0, 10)], trials=36)[-1]
    assert row.score_low == pytest.approx(0.9026, abs=1e-4)
    assert walk(SHARE, [0.5, 0.5, (1.0, 10)])[-1].score_low == 1.0


def test_large_and_small_units_keep_their_digits():
    row = walk(PRICE, [9e6, 5e6, (1234567.891, 10)])[-1]
    assert row.score == 1234568.0
    row = walk(PRICE, [9e-6, 5e-6, (1.234567891e-6, 10)])[-1]
    assert row.score == pytest.approx(1.234568e-6, rel=1e-9)


def test_what_no_draw_could_measure_is_not_known():
    judge = Judge(Bootstrap(100, 0.95, 1), SHARE, SHARE, None, 0.01, "smallest", FREE)
    lost = Entrant("n1", record(5), Sample(np.array(0.9), np.full(101, np.nan)), 0.5)
    rows = judge.walk(
        [entrant("constant", 0.5), entrant("linear", 0.6)], [entrant("n0", 0.9, 10), lost]
    )
    assert rows[-1].decision == "left out"
    assert rows[-1].difference_low is None
    assert "not known to not known" in rows[-1].reason


def limits(**changes):
    return FREE.model_copy(update=changes)


def test_under_a_limit_the_best_is_chosen_whether_or_not_that_is_proven():
    # The second is better by less than its draws differ by; the smallest would be the first.
    values = [0.5, 0.5, (0.80, 10), (0.81, 20, 0.05), (0.90, 500)]
    rows = walk(SHARE, values, limits=limits(multiply_adds=100))
    assert [row.decision for row in rows[2:]] == ["kept", "chosen", "left out"]
    assert rows[3].reason == (
        "Gain over n0 not proven: +1.00 percentage points (95 % interval -3.75 to +5.75), at 20 "
        "multiply-adds an example against 10. Chosen as the best within the limits "
        "(evaluate.choice: limit)."
    )
    assert rows[4].reason.endswith(
        "Not to be chosen: 500 multiply-adds an example, where 100 are the limit."
    )
    assert rows[4].reference == "n1"
    # Without the rule nothing of that.
    assert [row.decision for row in walk(SHARE, values)[2:]] == ["kept", "left out", "chosen"]
    assert walk(SHARE, values)[4].reason.endswith(CHOSEN)


def test_the_first_network_may_be_beyond_the_limit():
    values = [0.5, 0.5, (0.9, 50), (0.7, 40), (0.8, 10), (0.8, 5), (0.79, 1)]
    rows = walk(SHARE, values, limits=limits(parameters=100))
    assert [row.decision for row in rows[2:]] == [
        "left out",
        "left out",
        "kept",
        "chosen",
        "left out",
    ]
    assert "Not to be chosen: 500 parameters, where 100 are the limit." in rows[2].reason
    assert rows[4].reason.startswith("The first within the limits. Worse than n0: -10.00")
    # As good, and cheaper.
    assert rows[5].reason.startswith("No gain over n2: +0.00")


def test_lower_is_better_under_a_limit_too():
    rows = walk(PRICE, [9, 9, (5, 10), (4, 10), (4.5, 10)], limits=limits(parameters=100))
    assert [row.decision for row in rows[2:]] == ["kept", "chosen", "left out"]


def test_without_a_candidate_within_the_limits_it_is_said_what_they_cost():
    both = limits(parameters=60, multiply_adds=7)
    with pytest.raises(InputError) as raised:
        walk(SHARE, [0.5, 0.5, (0.9, 10), (0.8, 7)], limits=both)
    assert str(raised.value).splitlines() == [
        "params.yaml: evaluate.limits: parameters: 60, multiply_adds: 7: no candidate is within "
        "it.",
        "n0 has 100 parameters and 10 multiply-adds an example; n1 has 70 parameters and 7 "
        "multiply-adds an example.",
        "Raise the limit, make the candidates smaller (distill.student, recipe), or let "
        "evaluate.choice be smallest.",
    ]
