"""params.yaml: what is refused, and in which words."""

from pathlib import Path

import pytest
from pydantic import Field

from pipeline.errors import InputError
from pipeline.params import Section
from pipeline.params_file import load


class Oven(Section):
    """An example section."""

    heat: float = Field(gt=0, le=300)
    shelves: tuple[int, ...]


GOOD = "run: {workers: 2, schedule: '0 3 * * *'}\noven: {heat: 1e-3, shelves: [1, 2]}\n"


def read(tmp_path: Path, text: str) -> Oven:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    oven = load({"oven": Oven}, path)["oven"]
    assert isinstance(oven, Oven)
    return oven


def test_values_are_typed_and_frozen(tmp_path: Path) -> None:
    oven = read(tmp_path, GOOD)
    assert oven.heat == 0.001
    assert oven.shelves == (1, 2)
    with pytest.raises(ValueError, match="frozen"):
        oven.heat = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("heat: 1e-3", "heat: 0", "oven.heat: 0 was given; input should be greater than 0"),
        ("heat: 1e-3", "heat: '9'", 'oven.heat: "9" was given; input should be a valid number'),
        ("heat: 1e-3", "heat: .nan", "oven.heat"),
        ("heat:", "haet:", "oven.haet: there is no such key; did you mean heat?"),
        ("heat:", "haet:", "oven.heat: is missing, and has no default"),
        ("[1, 2]", "[1, two]", 'oven.shelves.1: "two" was given'),
        ("oven:", "ovem:", "ovem: there is no such key; did you mean oven?"),
        ("workers: 2", "workers: 0", "run.workers: 0 was given"),
        ("run: {", "run: {{", "this is not valid YAML"),
        ("oven: {", "run: {", "this is not valid YAML"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as error:
        read(tmp_path, GOOD.replace(old, new))
    assert message in str(error.value)
    assert str(tmp_path / "params.yaml") in str(error.value)


def test_a_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git checkout"):
        load({"oven": Oven}, tmp_path / "params.yaml")
