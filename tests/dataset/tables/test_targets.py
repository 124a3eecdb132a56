"""Targets of every task, and weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dataset.tables.cells import Cells, Missing, Origin, read_cells
from dataset.tables.targets import Targets, hold, known, read_targets, read_weights, split_labels
from dataset.target import Task
from pipeline.errors import InputError

ORIGIN = Origin(Path("t.csv"))


def columns(**values: list[Any]) -> list[Cells]:
    missing = Missing(("", "?"), {})
    return [
        read_cells(pd.Series(cells, dtype=str, name=name), missing)
        for name, cells in values.items()
    ]


def read(task: Task, **values: list[Any]) -> Targets:
    return read_targets(columns(**values), task, ORIGIN)


def test_classes_are_texts() -> None:
    found = read("classification", y=["b", " a ", "1.0"])
    assert (found.names, found.values.tolist()) == (("y",), ["b", "a", "1.0"])


def test_labels_are_columns_of_yes_and_no() -> None:
    found = read(
        "multilabel", p=["1", "0", "1.0"], q=["true", "FALSE", "True"], r=["no", "Yes", "0"]
    )
    assert found.names == ("p", "q", "r")
    assert found.values.dtype == np.float32
    assert found.values.tolist() == [[1, 1, 0], [0, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("cells", "names", "held"),
    [
        (
            ["b;a", "a", ";", "b ; c|d"],
            ("a", "b", "c|d"),
            [[1, 1, 0], [1, 0, 0], [0] * 3, [0, 1, 1]],
        ),
        (["b|a", "a,c"], ("a", "a,c", "b"), [[1, 0, 1], [0, 1, 0]]),
        (["b, a", "a"], ("a", "b"), [[1, 1], [1, 0]]),
        (["b", "a"], ("a", "b"), [[0, 1], [1, 0]]),
    ],
)
def test_labels_may_be_listed_in_one_column(
    cells: list[str], names: tuple[str, ...], held: list[list[int]]
) -> None:
    found = read("multilabel", tags=cells)
    assert (found.names, found.values.tolist()) == (names, held)


def test_one_column_of_yes_and_no_is_one_label() -> None:
    found = read("multilabel", spam=["yes", "no"])
    assert (found.names, found.values.tolist()) == (("spam",), [[1], [0]])


def test_unknown_labels_are_passed_over() -> None:
    listed = split_labels(np.array(["a;x", "x", ""], dtype=object))
    assert hold(listed, ["a", "b"]).tolist() == [[1, 0], [0, 0], [0, 0]]


def test_quantities_are_numbers() -> None:
    found = read("regression", a=["1", "2.5"], b=["-1e3", "0"])
    assert found.values.dtype == np.float32
    assert found.values.tolist() == [[1, -1000], [2.5, 0]]


def test_a_row_without_one_of_its_targets_is_not_known() -> None:
    assert known(columns(a=["1", "?", "3"], b=["1", "2", ""])).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("task", "values", "said"),
    [
        ("classification", {"y": ["a", "a"]}, "has one class only, 'a'"),
        ("classification", {"y": ["1", "2", "1.0"]}, "in two ways, '1' and '1.0'"),
        ("classification", {"y": ["1e2", "b", "100"]}, "in two ways, '100' and '1e2'"),
        ("classification", {"y": [str(n) for n in range(1001)]}, "has 1001 distinct values"),
        ("multilabel", {"a": ["1", "0"], "b": ["1", "x"]}, "row 2, column 'b': 'x' says neither"),
        ("multilabel", {"a": ["1", "0"], "b": ["0", "0"]}, "the label 'b' holds never"),
        ("multilabel", {"a": ["yes", "yes"]}, "the label 'a' holds always"),
        ("multilabel", {"a": ["x", "x"]}, "lists 1 distinct labels"),
        ("multilabel", {"a": [f"x{n}" for n in range(1001)]}, "lists 1001 distinct labels"),
        ("regression", {"a": ["1", "x"]}, "row 2, column 'a': 'x' is not a number"),
        ("regression", {"a": ["1", "1e39"]}, "row 2, column 'a': '1e39' is too large"),
        ("regression", {"a": ["1", "2"], "b": ["3", "3.0"]}, "'b' is 3 in every row"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    task: Task, values: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(InputError) as error:
        read(task, **values)
    assert str(error.value).startswith("t.csv")
    assert said in str(error.value)


def test_weights_may_be_nought() -> None:
    found = read_weights(columns(w=["0", "2.5"])[0], ORIGIN)
    assert (found.dtype, found.tolist()) == (np.float32, [0, 2.5])


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1", "-1"], "row 2, column 'w': '-1' is no weight"),
        (["1", "?"], "row 2, column 'w': '?' is no weight"),
        (["x", "1"], "row 1, column 'w': 'x' is not a number"),
        (["inf", "1"], "row 1, column 'w': 'inf' is not a number"),
        (["0", "0"], "the weight 'w' is 0 in every row"),
    ],
)
def test_what_is_no_weight_is_named(cells: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        read_weights(columns(w=cells)[0], ORIGIN)
    assert said in str(error.value)
