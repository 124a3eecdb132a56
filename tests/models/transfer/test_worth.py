import numpy as np
import pytest

from metrics.intervals import Bootstrap
from models.fitting.curves import Line
from models.training import Run
from models.transfer import worth
from models.transfer.worth import Judge
from tests.tasks import left

TRUTH = np.arange(40) % 2
BOOTSTRAP = Bootstrap(300, 0.95, 1)


def runs(right, seeds=(1, 2), *, epochs=3, diverged=False):
    """One for each seed, right about so many of the examples."""
    told = np.full((40, 2), 0.25, np.float32)
    told[np.arange(40), np.where(np.arange(40) < right, TRUTH, 1 - TRUTH)] = 0.75
    lines = tuple(Line(at, 0.5, 0.5, 0.5, 0.5, 0.01, "train", 1) for at in range(1, epochs + 1))
    return [Run(seed, (lines,), told, 0.4, 10, 20, 7 * epochs, diverged) for seed in seeds]


@pytest.fixture
def judge(tmp_path):
    from tests.models import small

    target = small.table(tmp_path / "development").target()
    return Judge(left.objective("accuracy").metric_for(target), TRUTH, None, BOOTSTRAP)


def test_each_way_is_held_against_scratch_on_the_same_examples(judge):
    rows = judge.rows(0.2, 24, {"scratch": runs(20), "frozen": runs(20), "tuned": runs(36)})

    scratch, frozen, tuned = rows
    assert [row.way for row in rows] == ["scratch", "frozen", "tuned"]
    assert (scratch.score, tuned.score) == (0.5, 0.9)
    assert (scratch.difference, frozen.difference, tuned.difference) == (None, 0.0, 0.4)
    # The same answers to the same examples differ by nothing, however these are drawn.
    assert (frozen.difference_low, frozen.difference_high) == (0.0, 0.0)
    assert 0.2 < tuned.difference_low < 0.4 < tuned.difference_high < 0.6
    assert (tuned.share, tuned.examples, tuned.seeds) == (0.2, 24, 2)
    assert (tuned.epochs, tuned.examples_seen, tuned.loss) == (6, 42, 0.4)
    assert list(worth.table(rows).columns) == [
        *("share", "examples", "way", "seeds", "score", "low", "high"),
        *("difference", "difference_low", "difference_high", "loss", "epochs", "examples_seen"),
    ]


def test_nothing_is_certain_because_all_answers_are_right(judge):
    *_, tuned = judge.rows(1.0, 120, {"scratch": runs(20), "frozen": runs(20), "tuned": runs(40)})

    assert tuned.high == 1
    assert tuned.low < 0.95


def test_what_diverged_is_not_known(judge):
    lost = runs(20, diverged=True)

    rows = judge.rows(1.0, 120, {"scratch": lost, "frozen": runs(30), "tuned": runs(36)})

    assert [row.score for row in rows] == [None, 0.75, 0.9]
    assert {row.difference for row in rows} == {None}
    assert rows[0].loss is None
    assert rows[0].epochs == 6
