"""The comparison of champion and challenger, and the rule."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.examples import Column, Schema
from dataset.partition import content_keys
from dataset.target import Target, Task
from metrics.intervals import Bootstrap, Interval
from metrics.objective import Objective
from metrics.readings import Reading
from metrics.threshold import Decision
from models.judging import promotion
from models.judging.promotion import ChampionParams, Compared, DriftParams, Side
from pipeline.errors import InputError
from tests.dataset import tabled

BOOTSTRAP = Bootstrap(400, 0.95, 1)
SHARE = Reading(title="accuracy", sign=1, share=True, unit="")
COST = Reading(title="error", sign=-1, share=False, unit="price")


def params(**changed: Any) -> ChampionParams:
    plain: dict[str, Any] = {
        "rule": "better",
        "margin": 0.0,
        "rows": 10,
        "replicates": 400,
        "level": 0.95,
        "seed": 1,
        "drift": DriftParams(psi=0.2, level=0.01),
    }
    return ChampionParams(**plain | changed)


def compared(reading: Reading, value: float, low: float, high: float) -> Compared:
    base = 0.8 if reading.share else 100.0
    old, new = Interval(base, base, base), Interval(base + value, base, base)
    return Compared(reading, 500, old, new, Interval(value, low, high))


@pytest.mark.parametrize(
    ("reading", "difference", "changed", "promoted", "reason"),
    [
        (SHARE, (0.03, 0.01, 0.05), {}, True, "proven better: accuracy 83.0 % instead of 80.0 %"),
        (SHARE, (0.03, -0.01, 0.05), {}, False, "not proven better: "),
        (SHARE, (0.0, 0.0, 0.0), {}, False, "not proven better: "),
        (SHARE, (-0.03, -0.05, -0.01), {}, False, "proven worse: "),
        (SHARE, (0.03, 0.01, 0.05), {"margin": 0.02}, False, "not proven better by more than"),
        (SHARE, (0.03, 0.025, 0.05), {"margin": 0.02}, True, "proven better by more than 2.00 per"),
        (SHARE, (0.0, 0.0, 0.0), {"rule": "not_worse"}, True, "not proven worse: "),
        (SHARE, (-0.01, -0.03, 0.01), {"rule": "not_worse"}, True, "not proven worse: "),
        (SHARE, (-0.03, -0.05, -0.01), {"rule": "not_worse"}, False, "proven worse: "),
        (
            SHARE,
            (-0.03, -0.05, -0.01),
            {"rule": "not_worse", "margin": 0.02},
            True,
            "not proven worse by more than 2.00 percentage points",
        ),
        # Where less is better, and the margin is a part of the champion's value.
        (COST, (-3.0, -5.0, -1.0), {}, True, "proven better: error 97.00 price instead of 100.0"),
        (COST, (-3.0, -5.0, -1.0), {"margin": 0.02}, False, "not proven better by more than"),
        (COST, (3.0, 1.0, 5.0), {"rule": "not_worse"}, False, "proven worse: "),
        (COST, (3.0, 1.0, 5.0), {"rule": "not_worse", "margin": 0.02}, True, "not proven worse by"),
        (SHARE, (0.1, float("nan"), float("nan")), {}, False, "these rows cannot tell"),
        (SHARE, (0.1, float("nan"), float("nan")), {"rule": "not_worse"}, False, "these rows can"),
    ],
)
def test_the_rule(
    reading: Reading, difference: Any, changed: Any, promoted: bool, reason: str
) -> None:
    did, why = promotion.judged(compared(reading, *difference), params(**changed))
    assert did is promoted
    assert why.startswith(reason)


def objective(metric: str, **changed: Any) -> Objective:
    plain = {"metric": metric, "positive": None, "precision": 0.9, "quantile": 0.5}
    return Objective.model_validate(plain | changed)


def side(task: Task, names: tuple[str, ...], predictions: Any, threshold: float = 0.5) -> Side:
    target = Target(task=task, names=names, quantities=(), class_weights=())
    count = len(names) if task == "multilabel" else 1 if len(names) == 2 else 0
    positive = len(names) - 1 if task == "classification" else None
    decision = Decision(
        task=task,
        positive=positive,
        thresholds=() if task == "regression" else (threshold,) * count,
    )
    return Side(target, decision, np.array(predictions, dtype=np.float32))


def test_classes_are_put_into_one_order_and_each_has_its_own_decision() -> None:
    truth = np.array(["b", "c", "b", "a"] * 10, dtype=object)
    old = side("classification", ("a", "b"), [[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1]] * 10)
    low = side("classification", ("a", "b"), old.predictions, threshold=0.25)
    new = side("classification", ("b", "c"), [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.9, 0.1]] * 10)
    for one, right in ((old, 0.25), (low, 0.75)):
        found = promotion.compare(one, new, truth, None, objective("accuracy"), BOOTSTRAP)
        assert found.champion.value == right
        assert found.challenger.value == 0.75
        assert found.difference.value == 0.75 - right
        assert found.rows == 40


def test_a_class_that_is_not_known_has_no_probability() -> None:
    truth = np.array(["a", "c"] * 20, dtype=object)
    old = side("classification", ("a", "b"), [[0.5, 0.5], [0.5, 0.5]] * 20)
    new = side("classification", ("a", "c"), [[0.5, 0.5], [0.5, 0.5]] * 20)
    found = promotion.compare(old, new, truth, None, objective("log_loss"), BOOTSTRAP)
    assert found.challenger.value == pytest.approx(np.log(2), rel=1e-6)
    assert found.champion.value > 5
    assert found.gain.low > 0


def test_a_recall_is_about_the_challengers_class() -> None:
    truth = np.array(["n", "y"] * 20, dtype=object)
    old = side("classification", ("n", "z"), [[0.9, 0.1], [0.1, 0.9]] * 20)
    new = side("classification", ("n", "y"), [[0.9, 0.1], [0.1, 0.9]] * 20)
    found = promotion.compare(old, new, truth, None, objective("recall"), BOOTSTRAP)
    assert found.reading.title == "recall of 'y'"
    assert (found.champion.value, found.challenger.value) == (0, 1)


def test_labels_are_the_challengers_and_quantities_go_by_name() -> None:
    truth = np.array([[1, 0], [0, 1]] * 20, dtype=np.float32)
    old = side("multilabel", ("gone", "p"), [[0.9, 0.9], [0.9, 0.1]] * 20)
    new = side("multilabel", ("p", "q"), [[0.9, 0.1], [0.1, 0.9]] * 20)
    found = promotion.compare(old, new, truth, None, objective("accuracy"), BOOTSTRAP)
    # The champion never says q.
    assert (found.champion.value, found.challenger.value) == (0.75, 1)
    values = np.array([[1, 10], [2, 20]] * 20, dtype=np.float32)
    old = side("regression", ("q", "p"), values[:, ::-1] + 1)
    new = side("regression", ("p", "q"), values + 2)
    found = promotion.compare(old, new, values, None, objective("mae"), BOOTSTRAP)
    assert found.champion.value == pytest.approx(1)
    assert found.challenger.value == pytest.approx(2)
    assert found.gain.high < 0


def test_rows_that_cannot_tell_are_told() -> None:
    truth = np.array(["a"] * 20, dtype=object)
    one = side("classification", ("a", "b"), [[0.9, 0.1]] * 20)
    with pytest.raises(InputError, match="cannot be measured on these 20 examples"):
        promotion.compare(one, one, truth, None, objective("auc"), BOOTSTRAP)


@given(st.integers(0, 30))
def test_who_is_compared_with_itself_is_not_better(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.choice(["a", "b"], 60).astype(object)
    truth[:2] = ["a", "b"]
    chances = generator.random((60, 1))
    one = side("classification", ("a", "b"), np.hstack([chances, 1 - chances]))
    found = promotion.compare(one, one, truth, None, objective("auc"), BOOTSTRAP)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert promotion.judged(found, params())[0] is False
    assert promotion.judged(found, params(rule="not_worse"))[0] is True


def test_rows_are_known_by_content_and_with_all_that_belongs_to_them() -> None:
    keys = np.array([1, 2, 3, 4, 5], dtype=np.uint64)
    units = np.array([7, 7, 8, 9, 9], dtype=np.uint64)
    known = promotion.known_rows(keys, units, [np.array([2], dtype=np.uint64)])
    assert known.tolist() == [True, True, False, False, False]
    none = promotion.known_rows(keys, units, [np.array([], dtype=np.uint64)])
    assert not none.any()


def test_keys_are_by_the_columns_of_who_is_asked() -> None:
    both, schema = tabled.table(["a", "b"], {"x": [1, 2], "c": ["p", "q"]})
    one, less = tabled.table(["a", "b"], {"x": [1, 2]})
    assert promotion.keys_by(less, both).tolist() == content_keys(one).tolist()  # type: ignore[union-attr]
    assert promotion.keys_by(schema, one) is None


def looks(task: Task, names: tuple[str, ...], **columns: Any) -> tuple[Schema, Target]:
    typed = tuple(Column(name=name, type=kind) for name, kind in columns.items())
    targets = ("y",) if task == "classification" else names
    return (
        Schema(kind="table", task=task, targets=targets, columns=typed, shape=()),
        Target(task=task, names=names, quantities=(), class_weights=()),
    )


def test_differences_are_said() -> None:
    old = looks("classification", ("a", "b", "z"), x="numeric", c="categorical", w="numeric")
    new = looks("classification", ("a", "b", "n", "m"), x="numeric", c="text", v="time")
    assert list(promotion.differences(old, new)) == [
        "gone since the champion was made: 'w'; it is shown them as missing",
        "of another type than for the champion: 'c' was categorical and is text; it is shown them "
        "as missing",
        "the challenger alone takes 'v'",
        "2 classes the champion does not know: 'n', 'm'",
        "a class that the challenger does not know: 'z'",
    ]
    assert promotion.incomparable(old, new) is None
    assert list(promotion.differences(old, old)) == []


def test_what_is_gone_is_shown_as_missing() -> None:
    old, _ = looks("classification", ("a",), x="numeric", c="categorical", w="time", t="text")
    given, new = tabled.table(
        ["a", "a"], {"x": ["1", "2"], "t": ["so it is", "is it"]}, text=("t",)
    )
    shown = promotion.shown_to(old, given, new).features
    assert list(shown) == ["x", "c", "w", "t"]
    assert shown["x"].dtype == np.float32
    assert np.isnan(shown["x"]).all()
    assert shown["c"].tolist() == ["", ""]
    assert shown["w"].dtype == np.float64
    assert shown["t"].tolist() == ["so it is", "is it"]


PICTURES = Schema(
    kind="pictures", task="classification", targets=("y",), columns=(), shape=(8, 8, 1)
)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (looks("regression", ("p",)), looks("classification", ("p",)), "for regression, and the"),
        (looks("regression", ("p",)), looks("regression", ("q",)), "predicts 'p', and the challen"),
        (looks("classification", ("a",)), looks("classification", ("b",)), "no class in common"),
        (looks("multilabel", ("a",)), looks("multilabel", ("b",)), "no label in common"),
    ],
)
def test_what_cannot_be_compared_is_said(old: Any, new: Any, why: str) -> None:
    told = promotion.incomparable(old, new)
    assert told is not None
    assert why in told


def test_pictures_of_other_sizes_cannot_be_compared() -> None:
    _, target = looks("classification", ("a",))
    larger = PICTURES.model_copy(update={"shape": (9, 8, 1)})
    table, _ = looks("classification", ("a",), x="numeric")
    told = promotion.incomparable((PICTURES, target), (larger, target))
    assert told == "the champion takes pictures of 8 x 8 x 1, and the challenger of 9 x 8 x 1"
    told = promotion.incomparable((PICTURES, target), (table, target))
    assert told == "the champion takes pictures, and the challenger rows of a table"
    assert promotion.incomparable((PICTURES, target), (PICTURES, target)) is None
