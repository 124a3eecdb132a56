"""Sources in params.yaml: which of the kinds is meant, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest

from models.transfer.source_settings import Application, Earlier, OtherData, TransferSource
from pipeline.errors import InputError
from pipeline.params import Section
from pipeline.params_file import checked


class Some(Section):
    sources: tuple[TransferSource, ...]


def of(source: Any) -> TransferSource:
    [found] = checked("some", Some, {"sources": [source]}, Path("params.yaml")).sources
    return found


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("rotated", "rotated"),
        (
            {"network": "MobileNetV2", "options": {"alpha": 0.35}, "weights": "imagenet"},
            Application(network="MobileNetV2", options={"alpha": 0.35}, weights="imagenet"),
        ),
        ({"model": "earlier.keras"}, Earlier(model="earlier.keras")),
        ({"data": "others.csv", "target": None}, OtherData(data="others.csv", target=None)),
    ],
)
def test_each_kind_is_known_by_its_key(given: Any, meant: TransferSource) -> None:
    assert of(given) == meant
    # As it is already there, for who makes a section from several.
    assert Some(sources=(meant,)).sources == (meant,)


@pytest.mark.parametrize("given", ["fontz", 3, None, {}, {"weights": "w.h5"}, ["fonts"]])
def test_what_is_none_of_them_is_told_what_there_is(given: Any) -> None:
    with pytest.raises(InputError) as error:
        of(given)
    [line] = str(error.value).splitlines()
    assert line.startswith("params.yaml: some.sources.0: ")
    assert "a source is fonts, rotated, denoised, masked, or one of {network: NAME," in line


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": 3}, "some.sources.0.model: 3 was given; input should be a valid string."),
        ({"data": "x.csv"}, "some.sources.0.target: is missing, and has no default."),
        (
            {"data": "x.csv", "target": None, "labels": "y"},
            "some.sources.0.labels: there is no such key; known here: data, target.",
        ),
    ],
)
def test_what_is_wrong_with_one_is_said_of_that_kind_alone(given: Any, told: str) -> None:
    with pytest.raises(InputError) as error:
        of(given)
    assert str(error.value) == f"params.yaml: {told}"
