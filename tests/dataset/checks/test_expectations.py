"""What is learned about data, and how later data that depart are told of."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.checks import expectations
from dataset.checks.expected import SCHEMA, Aside, Categorical, Expectations, Numeric, Problem
from dataset.examples import GIVEN, PICTURE, Column, Examples, Schema, Texts
from pipeline.errors import InputError
from pipeline.project import EXPECTED

ROWS = 100
TYPES = {"age": "numeric", "place": "categorical", "note": "text", "day": "time"}


def columns(types: dict[str, str]) -> tuple[Column, ...]:
    return tuple(
        Column.model_validate({"name": name, "type": kind}) for name, kind in types.items()
    )


def schema(task: str = "classification", types: dict[str, str] = TYPES) -> Schema:
    return Schema.model_validate(
        {
            "kind": "table",
            "task": task,
            "targets": ("y",),
            "columns": columns(types),
            "shape": (),
        }
    )


def features(rows: int = ROWS) -> dict[str, Any]:
    places = np.array(["Bern", "Rom"] * rows, dtype=object)[:rows]
    return {
        "age": np.linspace(20, 60, rows).astype(np.float32),
        "place": places,
        "note": np.array([f"the note {row}" for row in range(rows)], dtype=object),
        "day": np.arange(rows, dtype=np.float64),
    }


def examples(targets: Any = None, **changed: Any) -> Examples:
    values = features() | changed
    n = len(values["age"])
    targets = np.array(["no", "yes"] * n, dtype=object)[:n] if targets is None else targets
    return Examples(values, targets, np.arange(n, dtype=np.int64))


def aside(**changed: Any) -> Texts:
    return {"id": np.array([f"i{row}" for row in range(ROWS)], dtype=object)} | changed


def learn(known: Examples, of: Schema, beside: Texts) -> Expectations:
    return expectations.learn([(known, beside)], of)


LEARNED = learn(examples(), schema(), aside())


def problems(known: Examples, of: Schema | None = None, beside: Texts | None = None) -> list[str]:
    beside = aside() if beside is None else beside
    return [str(one) for one in expectations.check(known, of or schema(), beside, LEARNED)]


def test_what_is_learned() -> None:
    assert LEARNED.columns["age"] == Numeric(type="numeric", missing=0, min=0, max=80)
    assert LEARNED.columns["place"] == Categorical(
        type="categorical", missing=0, categories=("Bern", "Rom")
    )
    assert LEARNED.columns["id"] == Aside(type="aside", missing=0, unique=True)
    assert LEARNED.classes == ("no", "yes")
    assert LEARNED.targets == {}


def test_margins_are_half_the_width_and_do_not_cross_zero() -> None:
    age = np.linspace(-10, 10, ROWS).astype(np.float32)
    learned = learn(examples(age=age), schema(), {}).columns["age"]
    assert isinstance(learned, Numeric)
    assert (learned.min, learned.max) == (-20, 20)
    constant = learn(examples(age=np.full(ROWS, 7, np.float32)), schema(), {})
    assert constant.columns["age"].model_dump()["max"] == 10.5


def test_missing_cells_are_allowed_where_there_were_some() -> None:
    age = features()["age"].copy()
    age[:1] = np.nan
    shares = [learn(examples(age=age), schema(), {}).columns["age"].missing]
    age[:40] = np.nan
    shares.append(learn(examples(age=age), schema(), {}).columns["age"].missing)
    age[:] = np.nan
    shares.append(learn(examples(age=age), schema(), {}).columns["age"].missing)
    assert shares == [0.05, 0.8, 1]


def test_many_or_rare_categories_are_not_held_fast() -> None:
    many = np.array([f"c{row % 21}" for row in range(ROWS)], dtype=object)
    learned = learn(examples(place=many), schema(), {}).columns["place"]
    assert isinstance(learned, Categorical)
    assert learned.categories is None
    few = np.array([f"c{row % 6}" for row in range(ROWS)], dtype=object)
    learned = learn(examples(place=few), schema(), {}).columns["place"]
    assert isinstance(learned, Categorical)
    assert learned.categories is None


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=False), min_size=2, max_size=30),
    st.data(),
)
def test_data_are_always_what_was_learned_of_them(values: list[float], data: st.DataObject) -> None:
    texts = data.draw(
        st.lists(st.sampled_from(["", "a", "b", "1"]), min_size=len(values), max_size=len(values))
    )
    known = Examples(
        {"age": np.array(values, dtype=np.float32), "place": np.array(texts, dtype=object)},
        np.array(values, dtype=np.float32)[:, None],
        np.arange(len(values), dtype=np.int64),
    )
    of = schema("regression", {"age": "numeric", "place": "categorical"})
    beside: Texts = {"id": np.array(texts, dtype=object)}
    learned = learn(known, of, beside)
    assert expectations.check(known, of, beside, learned) == []


def test_the_file_holds_what_was_learned(tmp_path: Path) -> None:
    odd = LEARNED.model_copy(
        update={"columns": LEARNED.columns | {"no: 'x' #": LEARNED.columns["place"]}}
    )
    for learned in (LEARNED, odd):
        expectations.write(learned, tmp_path / "schema.yaml")
        assert expectations.read(tmp_path / "schema.yaml") == learned
    text = (tmp_path / "schema.yaml").read_text()
    assert "  age: {type: numeric, missing: 0.0, min: 0.0, max: 80.0}\n" in text
    assert text.startswith("# What the data must look like")


def test_no_file_expects_nothing(tmp_path: Path) -> None:
    assert expectations.read(tmp_path / "schema.yaml") is None
    assert expectations.read(Path()) is None
    assert SCHEMA == EXPECTED


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max: 80.0", "most: 80.0", "columns.age.numeric.most: there is no such key"),
        ("max: 80.0", "max: high", 'columns.age.numeric.max: "high" was given; input should be'),
        ("max: 80.0", "max: -1", "min must not be above max"),
        ("max: 80.0", "max: .nan", "columns.age.numeric.max"),
        ("missing: 0.0, min", "missing: 7, min", "columns.age.numeric.missing: 7 was given"),
        ("type: numeric", "type: number", "columns.age"),
        ("classes: [no, yes]", "classes: [no, 1]", "classes.1: 1 was given"),
        ("classes:", "klasses:", "klasses: there is no such key"),
        ("classes: [no, yes]", "classes: [no", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_by_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "schema.yaml"
    expectations.write(LEARNED, path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=re.escape(said)):
        expectations.read(path)


def test_bounds_may_be_opened_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    expectations.write(LEARNED, path)
    path.write_text(path.read_text().replace("min: 0.0, max: 80.0", "min: null, max: 100"))
    learned = expectations.read(path)
    assert learned is not None
    age = features()["age"].copy()
    age[3] = -1e6
    assert expectations.check(examples(age=age), schema(), aside(), learned) == []


def test_a_number_out_of_range_is_told_with_row_column_and_key() -> None:
    age = features()["age"].copy()
    age[[16, 40, 41]] = 412, 500, 99
    age[2] = -3
    assert problems(examples(age=age)) == [
        "row 3, column age: -3 is below 0 (schema.yaml: columns.age.min)",
        "row 17, column age: 412 is above 80 (schema.yaml: columns.age.max), and 2 more rows",
    ]


def test_rows_are_those_of_the_raw_data() -> None:
    age = features()["age"].copy()
    age[16] = 412
    known = examples(age=age)
    known = Examples(known.features, known.targets, known.rows + 10)
    assert problems(known)[0].startswith("row 27, ")


def test_unknown_categories_classes_and_repeated_ids() -> None:
    place = features()["place"].copy()
    place[5], place[6] = "Ulm", ""
    targets = examples().targets.copy()
    targets[7] = "perhaps"
    ids = aside()["id"].copy()
    ids[9] = "i3"
    assert problems(examples(targets, place=place), beside={"id": ids}) == [
        "column place: 1 of 100 cells are missing, none expected (schema.yaml: "
        "columns.place.missing)",
        "row 6, column place: 'Ulm' is no known category (schema.yaml: columns.place.categories)",
        "row 10, column id: 'i3' was there before (schema.yaml: columns.id.unique)",
        "row 8, column y: 'perhaps' is no known class (schema.yaml: classes)",
    ]


def test_blocks_are_learned_from_and_checked_as_the_whole() -> None:
    known, beside = examples(), aside()
    known.features["age"][:30] = np.nan
    places = np.split(np.arange(ROWS), [10, 35, 80])
    parts = [(known.take(at), {"id": beside["id"][at]}) for at in places]
    learned = expectations.learn(parts, schema())
    assert learned == learn(known, schema(), beside)
    for part, own in parts:
        assert expectations.check(part, schema(), own, learned, whole=False) == []
    # The first block holds nothing but missing cells, more than the whole may.
    assert expectations.check(parts[0][0], schema(), parts[0][1], learned) != []


def test_too_many_values_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "UNIQUE", 50)
    assert learn(examples(), schema(), aside()).columns["id"] == Aside(
        type="aside", missing=0, unique=False
    )


def test_a_column_that_became_text_is_told_with_the_cell() -> None:
    age = np.array([str(row) for row in range(ROWS)], dtype=object)
    age[4] = "forty"
    found = problems(examples(age=age), schema(types=TYPES | {"age": "categorical"}))
    assert found == [
        "column age: is categorical, and was numeric: row 5 holds 'forty' "
        "(schema.yaml: columns.age.type)"
    ]


def test_columns_that_are_gone_or_new_are_named() -> None:
    types = {"years": "numeric", **{name: TYPES[name] for name in ("place", "note", "day")}}
    known = examples()
    values = {"years": known.features["age"], **known.features}
    del values["age"]
    parts = np.array(["train"] * ROWS, dtype=object)
    found = problems(
        Examples(values, known.targets, known.rows), schema(types=types), aside(**{GIVEN: parts})
    )
    assert found == [
        "column age: is not in the data (schema.yaml: columns.age)",
        "column years: is new in the data (schema.yaml: columns)",
    ]


def test_a_column_may_change_sides_by_hand() -> None:
    """Into ingest.ignore and out of it: what is expected of its cells stays."""
    types = {name: kind for name, kind in TYPES.items() if name != "place"}
    known = examples()
    values = {name: known.features[name] for name in types}
    inside = Examples(values, known.targets, known.rows)
    assert problems(inside, schema(types=types), aside(place=known.features["place"])) == []
    values = dict(known.features) | aside()
    types = TYPES | {"id": "categorical"}
    assert problems(Examples(values, known.targets, known.rows), schema(types=types), {}) == []


def test_quantities_are_held_to_their_range() -> None:
    targets = np.linspace(10, 20, ROWS, dtype=np.float32)[:, None]
    learned = learn(examples(targets), schema("regression"), {})
    assert learned.targets["y"].model_dump() == {"min": 5, "max": 25}
    targets = targets.copy()
    targets[0] = 1000
    found = expectations.check(examples(targets), schema("regression"), {}, learned)
    assert [str(one) for one in found] == [
        "row 1, column y: 1000 is above 25 (schema.yaml: targets.y.max)"
    ]


def test_pictures_are_held_to_their_classes() -> None:
    of = Schema(
        kind="pictures", task="classification", targets=("class",), columns=(), shape=(2, 2, 1)
    )
    labels = np.array(["a", "b"], dtype=object)
    known = Examples({PICTURE: np.zeros((2, 2, 2, 1), np.uint8)}, labels, np.arange(2))
    learned = learn(known, of, {})
    assert learned == Expectations(columns={}, classes=("a", "b"), targets={})
    assert expectations.check(known, of, {}, learned) == []


def test_the_run_stops_with_ten_lines_at_the_most() -> None:
    expectations.require([], "data/t.csv")
    problem = Problem("row 1, column x: 1 is above 0", "columns.x.max", 0)
    with pytest.raises(InputError) as raised:
        expectations.require([problem] * 13, "data/t.csv")
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("data/t.csv: these data are not what they were")
    assert lines[11] == "  and 3 more"
    assert "edit data/schema.yaml" in lines[12]
    assert len(lines) == 13
