"""The split: disjoint, complete, repeatable; by content, group, time, or a column."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.examples import GIVEN, Examples, Schema, Table, Texts
from dataset.partition import HOLDOUT, TRAIN, VALIDATION
from dataset.target import Target
from pipeline.errors import InputError
from tasks.split import Parts, SplitParams, assign, caution, split
from tasks.split_known import Known, know
from tests.dataset import tabled

DEFAULT: dict[str, Any] = {
    "method": "stratified",
    "validation": 0.2,
    "holdout": 0.25,
    "promotion": 0,
    "group": None,
    "time": (),
    "gap": 0,
    "part": None,
    "near_copies": True,
    "folds": 0,
    "repeats": 1,
    "balance": "none",
    "transform": "none",
    "scaling": "standard",
    "allow": (),
    "seed": 3,
}


def params(**changed: Any) -> SplitParams:
    return SplitParams(**DEFAULT | changed)


def examples(labels: list[str]) -> Examples:
    return tabled.table(labels, {"x": np.arange(len(labels))})[0]


def known(given: Examples, aside: Texts, settings: SplitParams) -> Known:
    return know(given, tabled.table(["a"], {"x": [0]})[1], aside, settings)


def assigned(given: Examples, aside: Texts, settings: SplitParams) -> Any:
    return assign(known(given, aside, settings), settings)


def texts(*values: str) -> Any:
    return np.array(values, dtype=object)


def run(
    folder: Path,
    given: Examples,
    settings: SplitParams,
    aside: Texts | None = None,
    schema: Schema | None = None,
) -> Parts:
    table = Table(folder / "table")
    table.write(given, schema or tabled.table(["a"], {"x": [0]})[1], aside)
    out = Parts.at(folder / "out")
    split.function(out, table, settings)
    return out


def test_every_row_is_in_one_part_in_its_order_and_every_class_in_all(tmp_path: Path) -> None:
    out = run(tmp_path, examples(["a", "b", "b"] * 60), params())
    parts = [out.development.train(), out.development.validation(), out.holdout.read()]
    assert sorted(np.concatenate([part.rows for part in parts]).tolist()) == list(range(180))
    for part in parts:
        assert part.rows.tolist() == sorted(part.rows.tolist())
        assert set(part.targets) == {"a", "b"}
    counted = out.summary.read()["parts"]
    assert counted["train"] == {
        label: int((parts[0].targets == label).sum()) for label in ("a", "b")
    }
    assert out.summary.read()["rows"] == {
        name: len(part)
        for name, part in zip(("train", "validation", "holdout"), parts, strict=True)
    }
    assert out.findings.read() == []


def test_the_seed_decides() -> None:
    many = examples(["a", "b"] * 50)
    one, again, other = (assigned(many, {}, params(seed=seed))[0] for seed in (3, 3, 4))
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
    codes, notes = assigned(given, {"who": who}, params(group="who"))
    assert all(len(set(codes[who == name].tolist())) == 1 for name in set(who))
    assert notes == ["20 groups by 'who', each in one part"]
    assert len(set(assigned(given, {}, params(group="x"))[0].tolist())) == 3


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
    codes, notes = assigned(
        examples(["a", "b"] * 5),
        {"when": texts(*(when[place] for place in order))},
        params(method="time", time=("when",), validation=0.2, holdout=0.3),
    )
    expected = [HOLDOUT if p >= 7 else VALIDATION if p >= 5 else TRAIN for p in order]
    assert codes.tolist() == expected
    assert notes[0].startswith("validation begins at when")


def test_times_sort_by_several_columns() -> None:
    codes, _ = assigned(
        examples(list("abab")),
        {"day": texts("1", "2", "1", "2"), "hour": texts("9", "1", "10", "0")},
        params(method="time", time=("day", "hour"), validation=1, holdout=1),
    )
    assert codes.tolist() == [TRAIN, HOLDOUT, TRAIN, VALIDATION]


def test_a_column_names_the_part_and_validation_is_taken_from_train() -> None:
    given = examples(["a", "b"] * 50)
    named = texts(*(["train"] * 80 + ["test"] * 20))
    codes, notes = assigned(given, {"part": named}, params(method="column", part="part"))
    assert (codes == HOLDOUT).tolist() == (named == "test").tolist()
    assert 5 < (codes == VALIDATION).sum() < 30
    assert notes == ["'part' names no validation rows: taken from the training rows"]


@pytest.mark.parametrize(
    ("settings", "aside", "message"),
    [
        ({"group": "woh"}, {"who": "a"}, "there is no column 'woh'; did you mean 'who'"),
        ({"method": "time", "time": ("t",)}, {"t": "soon"}, "column 't', row 1: 'soon' is neither"),
        ({"method": "time", "time": ("t",)}, {"t": "1"}, "has 1 distinct time;"),
        ({"method": "time", "time": ("t",)}, {"t": ""}, "row 1: the time is missing, in 60 of 60"),
        ({"method": "column", "part": "p"}, {"p": "Tset"}, "row 1: 'Tset', which names no part"),
        ({"group": "g"}, {"g": "one"}, "split.group: 60 rows have 1 distinct in 'g'"),
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


def test_a_wrong_cell_is_named_by_its_row_in_the_raw_data() -> None:
    given = examples(["a", "b"] * 5)
    given.rows[:] += 100
    cells = texts(*["1"] * 7, "soon", *["2"] * 2)
    with pytest.raises(InputError, match="row 108: 'soon' is neither"):
        assigned(given, {"t": cells}, params(method="time", time=("t",)))
    column = np.where(cells == "soon", cells, "train")
    with pytest.raises(InputError, match="row 108: 'soon', which names no part"):
        assigned(given, {"t": column}, params(method="column", part="t"))


def test_equal_rows_are_too_few_to_part(tmp_path: Path) -> None:
    given = examples(["a", "b"] * 30)
    given.features["x"][:] = 1
    with pytest.raises(InputError, match="split: of 60 rows 1 differ in their features"):
        run(tmp_path, given, params())


def test_rows_without_a_group_are_one_group() -> None:
    given = examples(["a", "b"] * 50)
    given.features["x"][:] = np.arange(100) % 20
    given.features["x"][10:30] = np.nan
    codes, notes = assigned(given, {}, params(group="x"))
    assert len(set(codes[10:30].tolist())) == 1
    assert notes == ["21 groups by 'x', each in one part"]


@pytest.mark.parametrize("members", [1, 2])
def test_a_class_too_small_for_every_part_is_named(tmp_path: Path, members: int) -> None:
    given = examples(["common"] * 60 + ["rare"] * members)
    with pytest.raises(InputError, match=f"class 'rare' has {members} of {60 + members} examples"):
        run(tmp_path, given, params())


def test_a_seed_that_would_do_is_named_and_does(tmp_path: Path) -> None:
    given = examples(["common"] * 60 + ["rare"] * 4)
    with pytest.raises(InputError, match=r"set split.seed to \d+, or method random") as caught:
        run(tmp_path, given, params(seed=0))
    [seed] = re.findall(r"split.seed to (\d+)", str(caught.value))
    assert run(tmp_path, given, params(seed=int(seed))).summary.read()["parts"]["holdout"]["rare"]


def test_a_class_that_was_not_trained_on_is_refused_by_every_method(tmp_path: Path) -> None:
    given = examples(["a", "b"] * 5 + ["new"] * 5)
    settings = params(method="time", time=("x",), validation=0.2, holdout=0.2)
    with pytest.raises(InputError, match="class 'new' has 5 of 15 examples, and none in train"):
        run(tmp_path, given, settings)


def given_parts(train: int, validation: int, holdout: int) -> Texts:
    named = ["train"] * train + ["validation"] * validation + ["test"] * holdout
    return {GIVEN: np.array(named, dtype=object)}


def test_the_parts_that_the_data_came_in_are_kept(tmp_path: Path) -> None:
    settings = params(method="given")
    out = run(tmp_path, examples(["a", "b"] * 50), settings, given_parts(60, 20, 20))
    assert out.development.train().rows.tolist() == list(range(60))
    assert out.development.validation().rows.tolist() == list(range(60, 80))
    assert out.holdout.read().rows.tolist() == list(range(80, 100))


@pytest.mark.parametrize("validation", [0.2, 12])
def test_validation_is_taken_from_the_training_rows_by_groups(validation: float) -> None:
    who = np.array([f"p{place // 4}" for place in range(100)], dtype=object)
    settings = params(
        method="given",
        group="who",
        validation=validation,
        holdout=0.2 if validation < 1 else 20,
    )
    codes, notes = assigned(
        examples(["a", "b"] * 50), given_parts(80, 0, 20) | {"who": who}, settings
    )
    assert (codes == HOLDOUT).tolist() == [False] * 80 + [True] * 20
    assert 4 <= (codes == VALIDATION).sum() <= 40
    assert all(len(set(codes[who == name].tolist())) == 1 for name in set(who))
    assert notes == ["the data came with no validation rows: taken from the training rows"]


def test_data_that_came_in_one_part_have_none_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given, but the data came in one part"):
        run(tmp_path, examples(["a", "b"] * 50), params(method="given"))


def test_what_given_parts_share_stops_unless_it_is_allowed(tmp_path: Path) -> None:
    given = examples(["a", "b"] * 50)
    given.features["x"][80:85] = given.features["x"][:5]
    aside = given_parts(60, 20, 20)
    with pytest.raises(InputError, match=r'split.allow: \["shared_rows:holdout"\]'):
        run(tmp_path, given, params(method="given"), aside)
    allowed = ("shared_rows:holdout", "drift:x", "target_drift:y")
    out = run(tmp_path, given, params(method="given", allow=allowed), aside)
    assert out.findings.read()[0]["name"] == "shared_rows:holdout"
    assert "split.allow: 'target_drift:y' was not found" in out.summary.read()["notes"]
    with pytest.raises(InputError, match="no finding 'shraed:x'"):
        run(tmp_path, given, params(method="given", allow=("shraed:x",)), aside)


def test_near_copies_of_pictures_stay_in_one_part(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    shown = random.integers(30, 220, (60, 5, 5, 3)).repeat(6, axis=1).repeat(6, axis=2)
    shown = np.concatenate([shown, shown + 4]).astype(np.uint8)
    given, schema = tabled.pictures(shown, ["a", "b"] * 60)
    aside: Texts = {}
    for near in (True, False):
        settings = params(near_copies=near)
        codes, notes = assign(know(given, schema, aside, settings), settings)
        assert (codes[:60] == codes[60:]).all() == near
        assert bool(notes) == near
    assert not run(tmp_path, given, params(), aside, schema).findings.read()


def regression(rows: int = 200) -> tuple[Examples, Schema]:
    random = np.random.default_rng(1)
    return tabled.table(random.normal(5, 1, rows), {"x": np.arange(rows)}, task="regression")


def test_a_regression_is_parted_by_hash_and_its_transform_is_learned(tmp_path: Path) -> None:
    given, schema = regression()
    out = run(tmp_path, given, params(transform="log"), schema=schema)
    target: Target = out.development.target()
    assert target.quantities[0].transform == "log"
    told = out.summary.read()
    assert told["parts"] == {"train": {}, "validation": {}, "holdout": {}}
    train = out.development.train().targets
    assert told["quantities"]["train"]["y"]["most"] == float(train.max())
    codes, _ = assign(know(given, schema, {}, params()), params())
    random = params(method="random")
    assert (codes == assign(know(given, schema, {}, random), random)[0]).all()


def test_a_quantity_that_never_varies_is_refused(tmp_path: Path) -> None:
    given, schema = regression()
    given.targets[:] = 3
    with pytest.raises(InputError, match="the target 'y' is 3 in every row of train"):
        run(tmp_path, given, params(), schema=schema)


@pytest.mark.parametrize(
    ("settings", "classes", "message"),
    [
        ({"balance": "weights"}, False, "balance: weights is for a classification"),
        ({"transform": "log"}, True, "transform: log is for a regression"),
    ],
)
def test_settings_of_another_task_are_refused(
    tmp_path: Path, settings: dict[str, Any], classes: bool, message: str
) -> None:
    given, schema = regression()
    if classes:
        given, schema = tabled.table(["a", "b"] * 100, {"x": np.arange(200)})
    with pytest.raises(InputError, match=message):
        run(tmp_path, given, params(**settings), schema=schema)


@pytest.mark.parametrize(
    ("positives", "method", "message"),
    [
        ([], "random", "no example in train has label 'y1'"),
        (range(200), "random", "every example in train has label 'y1'"),
        ([5], "stratified", "label 'y1' has 1 of 200 examples, and none in"),
    ],
)
def test_every_label_occurs_where_it_must(
    tmp_path: Path, positives: Any, method: str, message: str
) -> None:
    labels = np.zeros((200, 2))
    labels[::2, 0] = 1
    labels[list(positives), 1] = 1
    given, schema = tabled.table(labels, {"x": np.arange(200)}, task="multilabel")
    with pytest.raises(InputError, match=message):
        run(tmp_path, given, params(method=method), schema=schema)
    labels[1::3, 1] = 1
    labels[::3, 1] = 0
    given, schema = tabled.table(labels, {"x": np.arange(200)}, task="multilabel")
    counted = run(tmp_path, given, params(method=method), schema=schema).summary.read()["parts"]
    assert sum(part["y0"] for part in counted.values()) == 100


def test_balance_touches_training_alone_and_is_said(tmp_path: Path) -> None:
    given = examples(["a", "a", "b"] * 60)
    plain = run(tmp_path / "plain", given, params())
    for how in ("weights", "resample"):
        out = run(tmp_path / how, given, params(balance=how))
        train = out.development.train()
        counted = out.summary.read()
        assert counted["rows"] == plain.summary.read()["rows"]
        assert counted["notes"][-1].startswith("training ")
        for part, other in (
            (out.development.validation(), plain.development.validation()),
            (out.holdout.read(), plain.holdout.read()),
        ):
            assert part.rows.tolist() == other.rows.tolist()
            assert part.weights is None
        target = out.development.target()
        counts = target.weights(target.truth(train.targets), train.weights)
        assert (counts is None) == (how == "resample")
        each = np.ones(len(train)) if counts is None else counts
        sums = [float(each[train.targets == label].sum()) for label in ("a", "b")]
        assert sums[0] == pytest.approx(sums[1])


@pytest.mark.parametrize("balance", ["none", "resample"])
def test_folds_are_places_in_train_and_validation_together(tmp_path: Path, balance: str) -> None:
    given = examples(["a", "a", "b"] * 60)
    out = run(tmp_path, given, params(folds=3, repeats=2, balance=balance))
    rows = np.concatenate([out.development.train().rows, out.development.validation().rows])
    folds = out.development.folds()
    assert len(folds) == 6
    for repeat in (folds[:3], folds[3:]):
        validated = np.concatenate([rows[inside] for _, inside in repeat])
        assert sorted(validated.tolist()) == sorted(set(rows.tolist()))
        for training, inside in repeat:
            assert set(rows[training].tolist()) == set(rows.tolist()) - set(rows[inside].tolist())
    counts = [(given.targets[rows[inside]] == "b").sum() for _, inside in folds]
    assert max(counts) - min(counts) <= 1
    assert not run(tmp_path, given, params()).development.folds()


@pytest.mark.parametrize(
    "settings",
    [{}, {"method": "column", "part": "which", "allow": ("groups_cross:holdout",)}],
)
def test_which_examples_are_of_one_group_is_kept_for_intervals(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    who = texts(*[f"g{place % 30}" for place in range(120)])
    which = texts(*["train"] * 60, *["val"] * 30, *["test"] * 30)
    given = examples(["a", "b"] * 60)
    out = run(
        tmp_path / "with", given, params(group="who", **settings), {"who": who, "which": which}
    )
    parts = {
        "train": (out.development.units("train"), out.development.train()),
        "validation": (out.development.units("validation"), out.development.validation()),
        "holdout": (out.holdout.units(), out.holdout.read()),
    }
    for units, held in parts.values():
        assert units is not None
        own = who[held.rows]
        assert len(np.unique(units)) == len(set(own.tolist()))
        for name in set(own.tolist()):
            assert len(set(units[own == name].tolist())) == 1
    counts = [len(np.unique(parts[part][0])) for part in ("validation", "holdout")]
    assert out.summary.read()["notes"][-1] == (
        f"intervals are over groups, not rows: {counts[0]} in validation, {counts[1]} in the "
        "holdout"
    )
    alone = {name: value for name, value in settings.items() if name != "allow"}
    without = run(tmp_path / "without", given, params(**alone), {"which": which})
    assert without.development.units("validation") is None
    assert without.holdout.units() is None


def test_folds_of_a_time_go_forward_and_those_of_groups_are_whole(tmp_path: Path) -> None:
    given = examples(["a", "b"] * 60)
    settings = params(method="time", time=("x",), folds=3)
    folds = run(tmp_path / "time", given, settings).development.folds()
    assert all(training.max() < inside.min() for training, inside in folds)
    who = np.array([f"p{place // 6}" for place in range(120)], dtype=object)
    out = run(tmp_path / "group", given, params(group="who", folds=3), {"who": who})
    rows = np.concatenate([out.development.train().rows, out.development.validation().rows])
    for training, inside in out.development.folds():
        assert not set(who[rows[training]]) & set(who[rows[inside]])


def test_too_many_folds_are_refused(tmp_path: Path) -> None:
    who = np.array([f"p{place // 10}" for place in range(120)], dtype=object)
    with pytest.raises(InputError, match=r"split.folds: 30: 30 folds of \d units"):
        run(tmp_path, examples(["a", "b"] * 60), params(group="who", folds=30), {"who": who})


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    given = examples(["a", "a", "b"] * 60)
    settings = params(folds=3, balance="resample")
    for name in ("one", "two"):
        run(tmp_path / name, given, settings)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert any(path.name == "folds.parquet" for path in files)
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_a_file_in_the_order_of_a_time_column_says_that_the_test_is_not_later(
    tmp_path: Path,
) -> None:
    for days, wanted in ((np.arange(120), ["times_cross:holdout"]), (np.arange(120) * 7 % 120, [])):
        given, schema = tabled.table(["a", "b"] * 60, {"day": days}, time=("day",))
        out = run(tmp_path, given, params(), schema=schema)
        assert [found["name"] for found in out.findings.read()] == wanted


def test_a_caution_is_given_where_added_rows_may_move_old_ones() -> None:
    assert caution(params()) is None
    told = caution(params(validation=5, holdout=5, folds=3))
    assert told is not None
    assert told.startswith("with counts and folds, added rows may move old ones")
    told = caution(params(method="time", time=("x",)))
    assert told is not None
    assert told.startswith("with time,")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": 0.5, "holdout": 0.5}, "must leave rows to train on"),
        ({"validation": 10, "holdout": 0.5}, "both be fractions or both be counts"),
        ({"method": "time"}, "method time needs columns in time"),
        ({"folds": 1}, "folds are 0"),
        ({"repeats": 2}, "repeats are for folds"),
        ({"method": "column"}, "part names a column for method column"),
        ({"gap": 1}, "gap is for method time"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        params(**settings)


def test_parts_without_a_test_seal_what_they_have_for_validation() -> None:
    given = examples(["a", "b"] * 50)
    names = texts(*(["train"] * 70 + ["val"] * 30))
    codes, notes = assigned(given, {GIVEN: names}, params(method="given"))
    assert (codes == HOLDOUT).tolist() == (names == "val").tolist()
    assert 5 < (codes == VALIDATION).sum() < 30
    assert [note.split(":")[0] for note in notes] == [
        "the data came with no test rows",
        "the data came with no validation rows",
    ]


def test_a_table_too_large_for_memory_is_split_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.random.default_rng(1).choice(["a", "a", "b"], 300)
    given, schema = tabled.table(labels.tolist(), {"x": np.arange(300), "z": np.arange(300) % 7})
    who = np.array([f"p{place // 6}" for place in range(300)], dtype=object)
    for settings in (params(balance="resample", folds=3), params(group="who", balance="weights")):
        plain = run(tmp_path / "plain", given, settings, {"who": who}, schema)
        with monkeypatch.context() as patched:
            patched.setattr("tasks.split_known.IN_MEMORY_CELLS", 10)
            patched.setattr("dataset.examples.BLOCK_ROWS", 64)
            large = run(tmp_path / "large", given, settings, {"who": who}, schema)
        for one, other in (
            (plain.development.train(), large.development.train()),
            (plain.development.validation(), large.development.validation()),
            (plain.holdout.read(), large.holdout.read()),
        ):
            assert one.rows.tolist() == other.rows.tolist()
            assert one.targets.tolist() == other.targets.tolist()
            np.testing.assert_array_equal(one.features["z"], other.features["z"])
        assert plain.summary.read() == large.summary.read()
        assert plain.findings.read() == large.findings.read()
        assert plain.development.target() == large.development.target()
        assert len(plain.development.folds()) == len(large.development.folds())
