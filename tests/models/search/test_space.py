import json

import pytest
from pydantic import TypeAdapter, ValidationError

from models.search.space import Dimension, Space, combinations, fitting, ordered
from pipeline.errors import InputError
from tests.models import small

SPACE = TypeAdapter(Space)


def space(**dimensions):
    return SPACE.validate_json(json.dumps(dimensions))


def dimension(**values):
    return Dimension.model_validate_json(json.dumps(values))


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"choice": ["b", None, 3]}, ("b", None, 3)),
        ({"int": [2, 5]}, (2, 3, 4, 5)),
        ({"int": [2, 8], "step": 4}, (2, 6)),
        ({"int": [2, 16], "step": 2, "log": True}, (2, 4, 8, 16)),
        ({"int": [1, 1000], "step": 10, "log": True}, (1, 10, 100, 1000)),
        ({"float": [0.1, 0.3], "step": 0.1}, (0.1, 0.2, 0.3)),
        ({"float": [0.001, 0.1], "step": 10, "log": True}, (0.001, 0.01, 0.1)),
        ({"float": [0, 1]}, None),
        ({"int": [1, 9], "log": True}, None),
    ],
)
def test_values_are_counted_by_steps(given, values):
    assert dimension(**given).values() == values


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"int": [1, 2], "choice": [1]}, "one of choice, int and float"),
        ({}, "one of choice, int and float"),
        ({"int": [3, 2]}, "a lower and a higher value"),
        ({"float": [0, 1], "log": True}, "must begin above 0"),
        ({"int": [1, 9], "step": 1.5}, "whole"),
        ({"float": [0.1, 1], "step": 1, "log": True}, "above 1"),
        ({"float": [0, 1], "step": 1e-9}, "10000 values"),
        ({"choice": [1], "step": 1}, "not for choice"),
        ({"choice": [1, 1]}, "must not repeat"),
        ({"choice": []}, "at least 1"),
        ({"int": [1, 2], "when": {}}, "at least 1"),
    ],
)
def test_a_dimension_is_checked(given, told):
    with pytest.raises(ValidationError, match=told):
        dimension(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "at least 1"),
        ({"widht": {"int": [1, 2]}}, "did you mean width"),
        ({"width": {"int": [0, 2]}}, "width: 0 was given"),
        ({"dropout": {"float": [0, 1]}}, "dropout: 1"),
        ({"activation": {"choice": ["relu", "rely"]}}, "activation"),
        ({"l2": {"float": [0, 1], "when": {"optimiser": ["sgd"]}}}, "did you mean optimizer"),
        ({"l2": {"float": [0, 1], "when": {"optimizer": ["sdg"]}}}, "optimizer"),
        ({"l2": {"float": [0, 1], "when": {"optimizer": []}}}, "must have values"),
        (
            {"l2": {"float": [0, 1], "when": {"depth": [4]}}, "depth": {"int": [1, 3]}},
            "depth is never 4",
        ),
        (
            {"l2": {"float": [0, 1], "when": {"l1": [0.5]}}, "l1": {"float": [0, 1]}},
            "give it a step",
        ),
        (
            {
                "width": {"int": [1, 3], "when": {"depth": [1]}},
                "depth": {"int": [1, 3], "when": {"width": [1]}},
            },
            "depends on another by when: width, depth",
        ),
    ],
)
def test_a_space_is_checked(given, told):
    with pytest.raises(ValidationError, match=told):
        space(**given)


CONDITIONAL = {
    "momentum": {"choice": [0.8, 0.9], "when": {"optimizer": ["momentum", "nesterov"]}},
    "width": {"int": [4, 8]},
    "optimizer": {"choice": ["adam", "momentum", "nesterov"]},
}


def test_settings_stand_behind_those_they_depend_on():
    assert list(ordered(space(**CONDITIONAL))) == ["width", "optimizer", "momentum"]


def test_combinations_are_counted_and_endless_ones_refused():
    assert combinations(space(**CONDITIONAL)) == 2 * 5 * 3
    with pytest.raises(ValueError, match="dropout has no end of them: give it a step"):
        combinations(space(dropout={"float": [0, 0.5]}))


def varied(data, settings=None, **dimensions):
    schema = small.schema(*data["columns"], kind=data["kind"])
    return fitting(space(**dimensions), schema, small.RECIPE.changed(settings or {}))


TABLE = {"columns": ["x", "COLOUR"], "kind": "table"}
TEXTS = {"columns": ["x", "text"], "kind": "table"}
PICTURES = {"columns": [], "kind": "pictures"}
EVERY = {
    "embedding": {"int": [2, 4]},
    "feature_swap": {"choice": [0.0, 0.1]},
    "rotation": {"float": [0, 90]},
    "width": {"int": [2, 4]},
}


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (TABLE, ["feature_swap", "width"]),
        (TEXTS, ["embedding", "feature_swap", "width"]),
        (PICTURES, ["rotation", "width"]),
    ],
)
def test_what_means_nothing_for_the_data_is_left_out(data, left):
    assert list(varied(data, **EVERY)) == left


def test_a_condition_on_what_is_not_varied_holds_or_does_not():
    momentum = {"float": [0.5, 0.9], "when": {"optimizer": ["nesterov"], "depth": [2]}}
    given = {"momentum": momentum, "depth": {"int": [1, 2]}}

    assert list(varied(TABLE, {"optimizer": "adam"}, **given)) == ["depth"]
    found = varied(TABLE, {"optimizer": "nesterov"}, **given)
    assert found["momentum"].when == {"depth": (2,)}


def test_where_nothing_is_left_it_says_so():
    with pytest.raises(InputError, match="none of its settings means anything for these data: rot"):
        varied(TABLE, rotation={"float": [0, 10]})


def test_a_value_that_does_not_suit_the_data_is_told_beforehand():
    with pytest.raises(InputError, match=r"search\.space\.architecture: .*tabm, but the data are"):
        varied(PICTURES, architecture={"choice": ["plain", "tabm"]})
