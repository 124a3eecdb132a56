"""The split: disjoint, complete, repeatable; by content, group, time, or a column."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.examples import Column, Examples, Schema, Table, Texts
from models.partition import HOLDOUT, TRAIN, VALIDATION
from pipeline.errors import InputError
from tasks.split import Parts, SplitParams, assign, split

DEFAULT: dict[str, Any] = {
    "method": "stratified",
    "validation": 0.2,
    "holdout": 0.25,
    "group": None,
    "time": (),
    "gap": 0,
    "part": None,
    "seed": 3,
}


def params(**changed: Any) -> SplitParams:
    return SplitParams(**DEFAULT | changed)


def examples(labels: list[str]) -> Examples:
    rows = np.arange(len(labels), dtype=np.int64)
    return Examples({"x": rows.astype(np.float32)}, np.array(labels, dtype=object), rows)


def texts(*values: str) -> Any:
    return np.array(values, dtype=object)


def run(folder: Path, given: Examples, settings: SplitParams, aside: Texts | None = None) -> Parts:
    table = Table(folder / "table")
    schema = Schema(
        kind="table",
        task="classification",
        target="y",
        columns=(Column(name="x", type="numeric"),),
        shape=(),
    )
    table.write(given, schema, aside)
    out = Parts.at(folder / "out")
    split.function(out, table, settings)
    return out


def test_every_row_is_in_one_part_in_its_order_and_every_class_in_all(tmp_path: Path) -> None:
    out = run(tmp_path, examples(["a", "b", "b"] * 60), params())
    parts = [out.development.train(), out.development.validation(), out.holdout.read()]
    assert sorted(np.concatenate([part.rows for part in parts]).tolist()) == list(range(180))
    for part in parts:
        assert part.rows.tolist() == sorted(part.rows.tolist())
        assert set(part.labels) == {"a", "b"}
    counted = out.summary.read()["parts"]
    assert counted["train"] == {"a": sum(parts[0].labels == "a"), "b": sum(parts[0].labels == "b")}


def test_the_seed_decides() -> None:
    many = examples(["a", "b"] * 50)
    one, again, other = (assign(many, {}, params(seed=seed))[0] for seed in (3, 3, 4))
    assert (one == again).all()
    assert (one != other).any()


def test_copies_are_said(tmp_path: Path) -> None:
    given = examples(["a", "b"] * 50)
    given.features["x"][:5] = 77
    notes = run(tmp_path, given, params()).summary.read()["notes"]
    assert notes == ["5 rows are copies of another; all of a kind are in one part"]


def test_a_group_stays_in_one_part_whatever_it_is_a_feature_or_not() -> None:
    given = examples(["a", "b"] * 50)
    who = np.array([f"patient {place % 20}" for place in range(100)], dtype=object)
    codes, notes = assign(given, {"who": who}, params(group="who"))
    assert all(len(set(codes[who == name].tolist())) == 1 for name in set(who))
    assert notes == ["20 groups by 'who', each in one part"]
    assert len(set(assign(given, {}, params(group="x"))[0].tolist())) == 3


@pytest.mark.parametrize(
    "when",
    [
        [f"2026-01-{day:02}" for day in range(1, 11)],
        [f"2026-01-01T{hour:02}:30" for hour in range(10)],
        [str(number) for number in range(10)],
    ],
)
def test_time_is_read_from_dates_and_numbers(when: list[str]) -> None:
    order = [3, 0, 9, 1, 8, 2, 7, 4, 6, 5]
    codes, notes = assign(
        examples(["a", "b"] * 5),
        {"when": texts(*(when[place] for place in order))},
        params(method="time", time=("when",), validation=0.2, holdout=0.3),
    )
    expected = [HOLDOUT if p >= 7 else VALIDATION if p >= 5 else TRAIN for p in order]
    assert codes.tolist() == expected
    assert notes[0].startswith("validation begins at when")


def test_times_sort_by_several_columns() -> None:
    codes, _ = assign(
        examples(list("abab")),
        {"day": texts("1", "2", "1", "2"), "hour": texts("9", "1", "10", "0")},
        params(method="time", time=("day", "hour"), validation=1, holdout=1),
    )
    assert codes.tolist() == [TRAIN, HOLDOUT, TRAIN, VALIDATION]


def test_a_column_names_the_part_and_validation_is_taken_from_train() -> None:
    given = examples(["a", "b"] * 50)
    named = texts(*(["train"] * 80 + ["test"] * 20))
    codes, notes = assign(given, {"part": named}, params(method="column", part="part"))
    assert (codes == HOLDOUT).tolist() == (named == "test").tolist()
    assert 5 < (codes == VALIDATION).sum() < 30
    assert notes == ["'part' names no validation rows: taken from the training rows"]


@pytest.mark.parametrize(
    ("settings", "aside", "message"),
    [
        ({"group": "woh"}, {"who": "a"}, "there is no column 'woh'; did you mean 'who'"),
        ({"method": "time", "time": ("t",)}, {"t": "soon"}, "column 't', row 1: 'soon' is neither"),
        ({"method": "time", "time": ("t",)}, {"t": "1"}, "has 1 distinct time;"),
        ({"method": "column", "part": "p"}, {"p": "tset"}, "'tset', which names no part"),
        ({"method": "column", "part": "p"}, {"p": "train"}, "no rows are left for holdout"),
        ({"validation": 1, "holdout": 60}, {}, "no rows are left for train"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, settings: dict[str, Any], aside: dict[str, str], message: str
) -> None:
    columns: Texts = {name: np.array([text] * 60, dtype=object) for name, text in aside.items()}
    with pytest.raises(InputError, match=message):
        run(tmp_path, examples(["a", "b"] * 30), params(**settings), columns)


@pytest.mark.parametrize("members", [1, 2])
def test_a_class_too_small_for_every_part_is_named(tmp_path: Path, members: int) -> None:
    given = examples(["common"] * 60 + ["rare"] * members)
    with pytest.raises(InputError, match=f"class 'rare' has {members} of {60 + members} examples"):
        run(tmp_path, given, params())


def test_a_class_that_was_not_trained_on_is_refused_by_every_method(tmp_path: Path) -> None:
    given = examples(["a", "b"] * 5 + ["new"] * 5)
    settings = params(method="time", time=("x",), validation=0.2, holdout=0.2)
    with pytest.raises(InputError, match="class 'new' has 5 of 15 examples, and none in train"):
        run(tmp_path, given, settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": 0.5, "holdout": 0.5}, "must leave rows to train on"),
        ({"validation": 10, "holdout": 0.5}, "both be fractions or both be counts"),
        ({"time": ("t",)}, "time names columns for method time"),
        ({"method": "time"}, "time names columns for method time"),
        ({"method": "column"}, "part names a column for method column"),
        ({"gap": 1}, "gap is for method time"),
        ({"method": "column", "part": "p", "group": "g"}, "group is for methods stratified"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        params(**settings)
