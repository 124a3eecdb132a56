"""Recipes that do not suit the data are refused, in words."""

import subprocess
import sys

import pytest

from dataset.examples import Schema
from models.networks import suited
from pipeline.errors import InputError
from tests.conftest import ROOT
from tests.models import small

PICTURES = small.schema(kind="pictures")
TABLE = small.schema("x")
LABELS = small.schema("x", task="multilabel", targets=("one", "two"))
QUANTITIES = small.schema("x", task="regression", targets=("y",))


@pytest.mark.parametrize("schema", [PICTURES, TABLE, LABELS, QUANTITIES])
def test_the_project_s_own_recipe_suits_everything(schema: Schema) -> None:
    suited.require(small.RECIPE, schema)


@pytest.mark.parametrize(
    ("schema", "changes", "message"),
    [
        (
            PICTURES,
            {"architecture": "tabm"},
            "architecture is tabm, but the data are pictures: "
            "choose plain, residual, resnet or separable",
        ),
        (
            TABLE,
            {"architecture": "separable"},
            "architecture is separable, but the data are a table: choose plain, residual or tabm",
        ),
        (
            QUANTITIES,
            {"loss": "focal"},
            "loss is focal, but the targets are quantities: choose standard or huber",
        ),
        (
            LABELS,
            {"loss": "huber"},
            "loss is huber, but the targets are labels: choose standard or focal",
        ),
        (
            QUANTITIES,
            {"label_smoothing": 0.1},
            "label_smoothing is 0.1, but the targets are quantities: set it to 0.0",
        ),
        (
            TABLE,
            {"rotation": 10.0},
            "rotation is 10.0, but it is for pictures and the data are a table: set it to 0.0",
        ),
        (
            TABLE,
            {"flip": "both"},
            "flip is both, but it is for pictures and the data are a table: set it to none",
        ),
        (
            PICTURES,
            {"noise": 0.1},
            "noise is 0.1, but it is for a table and the data are pictures: set it to 0.0",
        ),
    ],
)
def test_what_does_not_suit_is_named(schema: Schema, changes: dict, message: str) -> None:
    with pytest.raises(InputError) as raised:
        suited.require(small.RECIPE.changed(changes), schema)

    said, where = str(raised.value).split("\n")
    assert said == f"{message}."
    assert "regularize.techniques" in where


@pytest.mark.parametrize(
    ("schema", "changes"),
    [
        (TABLE, {"architecture": "tabm", "noise": 0.1, "feature_swap": 0.1}),
        (PICTURES, {"architecture": "resnet", "flip": "both", "randaugment": 0.5}),
        (LABELS, {"loss": "focal", "label_smoothing": 0.1}),
        (QUANTITIES, {"loss": "huber"}),
        (PICTURES, {"word_dropout": 0.1, "numbers": "periodic"}),
    ],
)
def test_what_suits_passes(schema: Schema, changes: dict) -> None:
    suited.require(small.RECIPE.changed(changes), schema)


def test_every_setting_that_is_for_one_kind_of_data_is_known() -> None:
    named = {name for names in suited.CHANGES.values() for name in names}

    assert named < set(small.RECIPE.model_dump())


def test_it_is_said_without_keras() -> None:
    script = "import sys; from models.networks import suited; assert 'keras' not in sys.modules"

    subprocess.run([sys.executable, "-B", "-c", script], check=True, cwd=ROOT)
