"""Mistakes that people make, one by one: each is refused in words that say where and what to do."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import FettleError
from tests.faults import mutations, test_fuzz
from tests.faults.mutations import CSV, FOLDER, HEADER, SPLIT, TABLE, Case


def csv(*changed: list[str]) -> dict[str, bytes]:
    """The valid table's header and other rows."""
    return {"data/data.csv": mutations.delimited([HEADER, *changed]).encode()}


def with_column(name: str, *cells: str) -> dict[str, bytes]:
    """The valid table with other cells in one column, which take turns."""
    at, table = HEADER.index(name), [list(row) for row in mutations.rows()[1:]]
    for place, row in enumerate(table):
        row[at] = cells[place % len(cells)]
    return csv(*table)


def table(**changes: Any) -> Case:
    return Case(CSV, TABLE | changes, SPLIT)


def split(**changes: Any) -> Case:
    return Case(CSV, TABLE, SPLIT | changes)


def arrays(labels: Any) -> Case:
    held = io.BytesIO()
    np.savez(held, x=np.zeros((20, 8, 8), np.uint8), y=labels)
    return Case({"data/set.npz": held.getvalue()}, FOLDER | {"path": "data/set.npz"}, SPLIT)


FIRST = list(mutations.rows()[1])
FULL = [*FIRST[:1], "7", *FIRST[2:]]
ONE_ANT = {
    name: raw
    for name, raw in mutations.pictured().items()
    if "/ants/" not in name or name.endswith("/00.png")
}
BELOW = "it must lie below data/"
MISTAKES: dict[str, tuple[Case, str]] = {
    "path outside": (table(path="params.yaml"), BELOW),
    "path of all": (table(path="data"), BELOW),
    "path of nothing": (table(path=""), BELOW),
    "path absolute": (table(path="/etc/passwd"), BELOW),
    "path upwards": (table(path="data/../../x.csv"), BELOW),
    "path absent": (table(path="data/dat.csv"), "Did you mean data.csv?"),
    "ingest.allow": (table(allow=["leek:age"]), "no finding 'leek:age'; did you mean 'leak'?"),
    "split.allow": (split(allow=["shard_rows"]), "did you mean 'shared_rows'?"),
    "target": (table(target=["incom"]), "no target column 'incom'; did you mean 'income'?"),
    "quantity": (table(task="regression", target=["city"]), "row 1, column 'city': 'Bern'"),
    "weight": (
        Case(with_column("weight", "1", "-5"), TABLE, SPLIT),
        "row 2, column 'weight': '-5' is no weight",
    ),
    "constant label": (
        Case(with_column("age", "1"), TABLE | {"task": "multilabel", "target": ["age"]}, SPLIT),
        "the label 'age' holds always",
    ),
    "types": (table(types={"agee": "numeric"}), "ingest.types 'agee'; did you mean 'age'?"),
    "missing_in": (table(missing_in={"agee": ["0"]}), "ingest.missing_in 'agee'"),
    "no paths": (
        Case(CSV, FOLDER | {"path": "data/data.csv", "target": ["income"]}, SPLIT),
        "no column holds paths",
    ),
    "one picture": (Case(ONE_ANT, FOLDER, SPLIT), "class 'ants' has 1 of 17 examples"),
    "one class of pictures": (arrays(np.zeros(20, int)), "one class only, '0'"),
    "one row": (Case(csv(FULL), TABLE, SPLIT), "one class only, 'low'"),
    "equal rows": (Case(csv(*[FULL] * 60), TABLE, SPLIT), "one class only, 'low'"),
    "equal features": (
        Case(csv(*[FULL, [*FULL[:-1], "high"]] * 30), TABLE, SPLIT),
        "of 60 rows 1 differ",
    ),
    "one group": (
        Case(with_column("who", "me"), TABLE, SPLIT | {"group": "who"}),
        "split.group: 60 rows have 1 distinct in 'who'",
    ),
    "missing times": (
        Case(
            with_column("when", "2024-01-01", "", "2024-01-03"),
            TABLE,
            SPLIT | {"method": "time", "time": ["when"]},
        ),
        "column 'when', row 2: the time is missing, in 20 of 60 rows",
    ),
    "group": (split(group="whoo"), "split.group: there is no column 'whoo'; did you mean 'who'?"),
    "part": (split(method="column", part="city"), "column 'city', row 1: 'Bern', which names no"),
    "given": (split(method="given"), "the data came in one part"),
    "folds": (split(folds=100), "split.folds: 100: 100 folds of"),
    "counts": (split(validation=40, holdout=40), "no rows are left for train"),
    "metric": (Case(CSV, TABLE, SPLIT, {"metric": "rmse"}), "rmse is not for classification"),
    "positive": (Case(CSV, TABLE, SPLIT, {"positive": "lo"}), "did you mean 'low'?"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, message = MISTAKES[name]
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    require = test_fuzz.require_message

    def keep(error: FettleError, case: Case) -> None:
        told.append(str(error))
        require(error, case)

    monkeypatch.setattr(test_fuzz, "require_message", keep)
    mutations.place(case, Path())
    test_fuzz.attempt(case)
    assert len(told) == 1
    assert message in told[0]


def test_texts_without_a_word_are_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = with_column("note", "... !!", "?? -- ;", ".", "!", "* *", "( )", "# #", "~")
    case = Case(files, TABLE | {"types": {"note": "text"}}, SPLIT)
    monkeypatch.chdir(tmp_path)
    mutations.place(case, Path())
    assert test_fuzz.attempt(case) == "done"
