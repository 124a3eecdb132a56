"""What a table is for, from its names and cells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dataset import understanding
from dataset.column_facts import Facts, facts, tokens
from dataset.tables.cells import Missing, read_cells
from dataset.tables.read import read_table
from dataset.tables.types import Type, types_of
from models.presets import (
    LEFT_OUT,
    PRESETS,
    WIDE,
    WIDE_FILTERS,
    Place,
    for_networks,
    for_numbers,
    for_pictures,
    preset,
    scaling,
    seconds,
    sized,
    slower,
    value_at,
)
from models.settings import checked
from pipeline.errors import InputError
from pipeline.params_file import read_raw
from tests.conftest import ROOT, SHARED

MISSING = Missing(("", "NA"), {})


def known(types: dict[str, Type] | None = None, **columns: Any) -> list[Facts]:
    frame = pd.DataFrame({name: [str(cell) for cell in cells] for name, cells in columns.items()})
    cells = [read_cells(frame[name], MISSING) for name in frame.columns]
    return facts(cells, types_of(cells, types or {}))


def cycle(values: list[Any], rows: int) -> list[Any]:
    return (values * rows)[:rows]


ROWS = 120
WAVE = [round(float(x), 3) for x in np.sin(np.arange(ROWS) * 7.0)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("customerID", ("customer", "id")),
        ("PassengerId", ("passenger", "id")),
        ("subject#", ("subject", "#")),
        ("median_house_value", ("median", "house", "value")),
        ("total_UPDRS", ("total", "updrs")),
        ("HTTPCode 2", ("http", "code", "2")),
        ("größe", ("größe",)),
    ],
)
def test_a_name_falls_into_words(name: str, words: tuple[str, ...]) -> None:
    assert tokens(name) == words


def test_facts_count_what_is_there() -> None:
    (column,) = known(x=["2", " 2", "", "NA", "10", "1.5"])
    assert (column.rows, column.present, column.distinct) == (6, 4, 3)
    assert column.counts == {"2": 2, "10": 1, "1.5": 1}
    assert not column.whole
    assert not column.sorted
    np.testing.assert_array_equal(column.order, [2, 2, np.nan, np.nan, 10, 1.5])


def test_texts_sort_as_texts() -> None:
    (column,) = known(x=["b", "", "a", "c", "b"])
    np.testing.assert_array_equal(column.order, [1, np.nan, 0, 2, 1])
    assert known(x=["2026-01-01", "2026-01-01", "2026-02-01"])[0].sorted


def test_a_usual_name_beats_the_last_column_and_says_why() -> None:
    found = understanding.candidates(
        known(x=WAVE, churn=cycle(["yes", "no"], ROWS), z=cycle(["a", "b", "c"], ROWS)), "t"
    )
    assert str(found[0]) == "churn (a usual name of a target, two values)"
    assert [candidate.name for candidate in found] == ["churn", "z", "x"]


def test_ids_constants_texts_and_times_are_no_targets() -> None:
    found = understanding.candidates(
        known(
            {"day": "time", "note": "text"},
            target=range(ROWS),
            label=["same"] * ROWS,
            day=[f"2026-01-{1 + row % 28:02}" for row in range(ROWS)],
            note=[f"the text of {row} is long" for row in range(ROWS)],
            y=cycle([0, 1], ROWS),
        ),
        "t",
    )
    assert [candidate.name for candidate in found] == ["y"]


def test_the_file_may_be_named_after_its_target() -> None:
    columns = known(mpg=WAVE, origin=cycle(["a", "b", "c"], ROWS))
    assert understanding.candidates(columns, "auto_mpg")[0].name == "mpg"
    assert understanding.candidates(columns, "auto")[0].name == "origin"


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (cycle(["a", "b"], ROWS), "classification"),
        (cycle([0, 1], ROWS), "classification"),
        (cycle([0.5, 1.5], ROWS), "classification"),
        (cycle(list(range(20)), ROWS), "classification"),
        (cycle(list(range(21)), ROWS), "regression"),
        (cycle([1.5, 2, 3], ROWS), "regression"),
    ],
)
def test_the_task_follows_from_the_target(cells: list[Any], task: str) -> None:
    assert understanding.task(known(y=cells))[0] == task


def test_several_targets_are_labels_or_quantities() -> None:
    labels = known(a=cycle([0, 1], ROWS), b=cycle([1, 1, 0], ROWS))
    assert understanding.task(labels)[0] == "multilabel"
    assert understanding.task([*labels, *known(c=WAVE)])[0] == "regression"
    with pytest.raises(InputError, match="--target 'c' holds texts"):
        understanding.task([*labels, *known(c=cycle(["x", "y"], ROWS))])


def ignored(types: dict[str, Type] | None = None, **columns: Any) -> dict[str, str]:
    return {
        proposal.name: proposal.reason
        for proposal in understanding.not_features(known(types, **columns))
    }


def test_what_numbers_or_names_the_rows_is_no_feature() -> None:
    found = ignored(
        instant=range(5, 5 + ROWS),
        customerID=[f"{row * 7919 % 1000:04}-AB" for row in range(ROWS)],
        Ticket=[f"A/5 {row * 2 // 3}" for row in range(ROWS)],
        sample_number=[row % 60 for row in range(ROWS)],
        order_id=[row * 17 % 997 for row in range(ROWS)],
        nothing=["NA"] * ROWS,
        region=["Anvers"] * ROWS,
    )
    assert found == {
        "instant": "numbers the rows",
        "customerID": "an id: 120 different texts in 120 rows",
        "Ticket": "codes: 80 different ones in 120 rows",
        "sample_number": "numbers the rows, and begins again",
        "order_id": "an id: a different number in every row",
        "nothing": "holds only missing values",
        "region": "holds 'Anvers' in every row",
    }


def test_what_only_looks_like_an_id_stays_a_feature() -> None:
    assert not ignored(
        {"day": "time"},
        hr=[row % 24 for row in range(ROWS)],
        year=range(1900, 1900 + ROWS),
        day=pd.date_range("2026-01-01", periods=ROWS).strftime("%Y-%m-%d"),
        measured=WAVE,
        # Mostly missing: that it is missing may say something.
        cabin=[f"C{row}" if row % 4 == 0 else "" for row in range(ROWS)],
        flag=["yes" if row % 3 else "" for row in range(ROWS)],
        name=[f"Mr. Owen Harris of house {row}" for row in range(ROWS)],
    )


def test_groups_are_who_has_several_rows() -> None:
    found = understanding.groups(
        known(
            **{
                "subject#": [row // 10 for row in range(ROWS)],
                "group": cycle(["treated", "control"], ROWS),
                "patient": range(ROWS),
                "households": [row // 10 for row in range(ROWS)],
                "machine_speed": WAVE,
            }
        )
    )
    assert [str(one) for one in found] == ["subject#: 12 different ones in 120 rows"]


def test_times_are_dates_and_what_is_finer_within() -> None:
    days = [f"2026-03-{1 + row // 12:02}" for row in range(ROWS)]
    columns = {
        "dteday": days,
        "mnth": ["3"] * ROWS,
        "hr": [row % 12 for row in range(ROWS)],
        "temp": WAVE,
    }
    names, reason = understanding.times(known({"dteday": "time"}, **columns))
    assert names == ["dteday", "hr"]
    assert "their order" in reason
    columns["hr"] = [-row % 12 for row in range(ROWS)]
    assert understanding.times(known({"dteday": "time"}, **columns))[0] == ["dteday"]
    names, reason = understanding.times(known({"dteday": "time"}, dteday=days[::-1], temp=WAVE))
    assert names == ["dteday"]
    assert "not in their order" in reason


def test_only_rows_in_order_make_a_number_a_time() -> None:
    year = [70 + row // 10 for row in range(ROWS)]
    assert understanding.times(known(model_year=year))[0] == ["model_year"]
    assert understanding.times(known(model_year=year[::-1])) == ([], "")
    assert understanding.times(known(size=sorted(WAVE))) == ([], "")


def test_a_column_of_parts_names_nothing_else() -> None:
    said = cycle(["Train", "val", "test"], ROWS)
    assert understanding.part(known(x=WAVE, set=said)) is not None
    assert understanding.part(known(x=WAVE, set=cycle(["train", "test", "x"], ROWS))) is None
    assert understanding.part(known(x=WAVE, bed=cycle(["train", "test"], ROWS))) is None


def test_weights_go_by_their_name() -> None:
    assert understanding.weight(known(weight=WAVE, sample_weight=WAVE)) == "sample_weight"
    assert understanding.weight(known(weight=WAVE)) is None


@pytest.mark.parametrize(
    ("counts", "metric"),
    [
        ({"a": 87, "b": 13}, "accuracy"),
        ({"a": 89, "b": 11}, "balanced_accuracy"),
        (dict.fromkeys("abcdefghij", 10), "accuracy"),
        ({**dict.fromkeys("abcdefghi", 100), "j": 9}, "balanced_accuracy"),
    ],
)
def test_a_rare_class_is_rare_beside_an_even_share(counts: dict[str, int], metric: str) -> None:
    goal = understanding.goal_of_classes(counts)
    assert goal.metric == metric
    assert goal.balance == ("weights" if metric == "balanced_accuracy" else "none")


def test_a_long_tail_of_positive_numbers_is_learned_by_its_logarithm() -> None:
    random = np.random.default_rng(1)
    tail = [f"{value:.4f}" for value in np.exp(2 * random.normal(size=2000))]
    even = [f"{value:.4f}" for value in random.uniform(1, 2, size=2000)]
    below = [f"{float(value) - 5:.4f}" for value in tail]
    transforms = [
        understanding.goal("regression", known(y=cells)).transform for cells in (tail, even, below)
    ]
    assert transforms == ["log", "none", "none"]
    assert understanding.goal("regression", known(y=tail, z=even)).transform == "none"


def test_presets_cap_and_never_raise() -> None:
    content: dict[str, Any] = {
        "run": {"workers": 2},
        "recipe": {"epochs": 20, "batch_size": 32, "patience": None},
        "baseline": {"seeds": [1, 2, 3]},
        "search": {"trials": 2, "set": {"patience": 4}, "seeds": [1]},
        "regularize": {"techniques": {"early_stopping": {"epochs": 40}}},
        "finetune": {"source_epochs": 1, "frozen_epochs": 5, "epochs": 25, "patience": 5},
        "distill": {"student": {"epochs": 60, "patience": 10}},
    }
    assert sized(PRESETS[0], 1000, content) == {}
    changes = sized(PRESETS[2], 100_000, content)
    assert changes["recipe", "epochs"] == 5
    assert changes["recipe", "batch_size"] == 128
    assert ("baseline", "seeds") not in changes
    assert sized(PRESETS[3], 1_000_000, content)["baseline", "seeds"] == [1, 2]
    assert changes["regularize", "techniques", "early_stopping", "epochs"] == 8
    # What is small already, and what someone has taken out, stays as it is.
    for place in (
        ("search", "trials"),
        ("search", "seeds"),
        ("search", "space", "batch_size", "choice"),
        ("finetune", "source_epochs"),
        ("regularize", "techniques", "early_stopping", "patience"),
    ):
        assert place not in changes


def test_tables_with_numbers_get_their_ranks_and_wide_networks_where_rows_fill_them() -> None:
    assert not for_numbers(1_000, wide=True)
    assert not for_numbers(20_000, wide=False)
    assert scaling(numbers=True, method="stratified") == "quantile"
    assert scaling(numbers=True, method="time") == scaling(numbers=False, method="given")
    suited = for_numbers(20_000, wide=True)
    assert max(suited["search", "space", "width", "choice"]) == WIDE
    assert suited["regularize", "techniques", "normalisation"] is LEFT_OUT
    _check_settings(suited)


def test_pictures_get_more_filters_where_more_than_a_first_look_is_meant() -> None:
    large, huge = PRESETS[2], PRESETS[3]
    assert not for_pictures(1_000, large)
    assert not for_pictures(50_000, huge)
    assert not for_networks(huge)
    suited = for_pictures(50_000, large)
    assert suited["search", "share"] == 0.16
    assert for_pictures(4_000, large)["search", "share"] == 1.0
    assert max(suited["search", "space", "width", "choice"]) == WIDE_FILTERS
    _check_settings(suited)


def _check_settings(suited: Mapping[Place, Any]) -> None:
    """Every setting is one, and has a value that it may have."""
    for place, value in suited.items():
        if value is LEFT_OUT:
            continue
        if place[:2] == ("search", "space"):
            [chosen] = value.values() if isinstance(value, dict) else [value]
            assert all(checked(place[2], one) == one for one in chosen)
        elif place[:2] == ("regularize", "techniques"):
            changes = value if isinstance(value, dict) else {place[3]: value}
            assert all(checked(name, one) == one for name, one in changes.items())


def test_every_place_that_presets_name_is_in_the_file() -> None:
    content = read_raw(ROOT / "params.yaml")
    named = {place for preset in PRESETS for place in preset.caps}
    named |= {
        place if value_at(content, place) is not None else place[:-1]
        for place in (
            *for_numbers(20_000, wide=True),
            *for_pictures(20_000, PRESETS[0]),
            *for_networks(PRESETS[0]),
        )
    }
    for place in named:
        assert value_at(content, place) is not None, place


def test_many_networks_in_one_take_longer_where_they_are_trained() -> None:
    techniques = {"a": {"architecture": "tabm"}, "b": {"dropout": 0.1}}
    content = {"regularize": {"techniques": techniques}}
    stages = ("baseline", "search", "regularize", "finetune", "distill")
    assert [slower(stage, content) > 1 for stage in stages] == [False, False, True, True, False]
    techniques["b"] = {"architecture": "plain"}
    assert slower("regularize", content) == slower("regularize", {}) == 1


def test_larger_data_get_less_training_each() -> None:
    assert seconds(19_000, 28 * 28, texts=False, wide=False) == pytest.approx(10)
    assert seconds(19_000, 28 * 28, texts=False, wide=True) == pytest.approx(23)
    assert seconds(50_000, 0, texts=False, wide=False) == pytest.approx(1)
    assert seconds(50_000, 0, texts=False, wide=True) == pytest.approx(1.25)
    assert seconds(50_000, 0, texts=True, wide=True) == pytest.approx(10)
    assert preset(0.1).name == "small"
    assert preset(1e9).name == "huge"
    spans = [chosen.seconds for chosen in PRESETS]
    assert spans == sorted(spans)


REAL = {
    "tabular/adult_train.csv": ("income", "classification", []),
    "tabular/auto_mpg.csv": ("mpg", "regression", []),
    "tabular/california_housing.csv": ("median_house_value", "regression", []),
    "tabular/penguins_raw.csv": (
        "Species",
        "classification",
        ["Sample Number", "Region", "Stage"],
    ),
    "tabular/pima_diabetes.csv": ("outcome", "classification", []),
    "tabular/telco_churn.csv": ("Churn", "classification", ["customerID"]),
    "tabular/titanic.csv": ("Survived", "classification", ["PassengerId", "Ticket"]),
    "time/bike_sharing_hour.csv": ("cnt", "regression", ["instant"]),
    "group/parkinsons_telemonitoring.csv": ("total_UPDRS", "regression", []),
    "text/sms_spam.csv": ("label", "classification", []),
}


@pytest.mark.parametrize("path", REAL)
def test_real_tables_are_understood(path: str) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    target, task, ids = REAL[path]
    frame = read_table(SHARED / path)
    cells = [read_cells(frame[name], MISSING) for name in frame.columns]
    known = facts(cells, types_of(cells, {}))
    best = understanding.candidates(known, (SHARED / path).stem)[0]
    assert best.name == target
    assert understanding.task([one for one in known if one.name == target])[0] == task
    assert [proposal.name for proposal in understanding.not_features(known)] == ids


def test_facts_take_the_types_they_are_given() -> None:
    (column,) = known({"zip": "categorical"}, zip=["8001", "8002"])
    assert column.numbers is None


def test_one_strange_cell_makes_no_id_of_numbers_and_no_classes_of_a_quantity() -> None:
    values = [f"{place / 7:.3f}" for place in range(299)]
    [clean] = known(size=values)
    [strange] = known(size=[*values, "inf"])
    assert (clean.type, strange.type) == ("numeric", "categorical")
    assert (clean.stray, strange.stray) == (None, "inf")
    assert understanding.not_features([strange]) == []
    assert understanding.task([clean])[0] == "regression"
    with pytest.raises(InputError, match=r"a few texts such as 'inf'\.\n.*--missing size=inf"):
        understanding.task([strange])
    # Codes that are numbers and letters alike are what they were.
    [codes] = known(code=[f"{'A' if place % 2 else ''}{place}" for place in range(300)])
    assert codes.stray is None
    assert [one.name for one in understanding.not_features([codes])] == ["code"]


def test_a_decimal_comma_is_named() -> None:
    [commas] = known(size=[f"{place},5" for place in range(300)])
    [found] = understanding.not_features([commas])
    assert found.reason.startswith("numbers with a decimal comma")
    # Taken for one, a point would make 2,007 to 2.007.
    [parted] = known(size=[f"{place},{place % 1000:03}" for place in range(300)])
    [found] = understanding.not_features([parted])
    assert "leave out what parts thousands, or write a decimal point" in found.reason
