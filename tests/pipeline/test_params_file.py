"""params.yaml: what is refused, and in which words."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.errors import InputError
from pipeline.params import Section
from pipeline.params_file import checked, load, load_some
from tests.conftest import ROOT


class Tray(Section):
    """A part of the example that is one of two kinds."""

    width: int
    names: dict[str, int]


class Grid(Section):
    """The other kind."""

    bars: int


Ware = Annotated[
    Annotated[Tray, Tag("Tray")] | Annotated[Grid, Tag("Grid")],
    Discriminator(
        lambda value: "Tray" if "width" in value else "Grid" if "bars" in value else None,
        custom_error_type="ware",
        custom_error_message="wares are trays and grids",
    ),
]


class Oven(Section):
    """An example section."""

    heat: float = Field(gt=0, le=300)
    shelves: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.shelves) > 9:
            raise ValueError("shelves are too many for any heat")
        return self


class Kitchen(Section):
    """An example with values that may be of several kinds."""

    light: Literal["on", "off"] | Annotated[int, Field(ge=1)] | None
    wares: tuple[Ware, ...] = Field(min_length=1, max_length=2)


KINDS: dict[str, type[Section]] = {"oven": Oven, "kitchen": Kitchen}
# The toy project's section `run`, which is whole whatever keys it has.
RUN = (ROOT / "tests/toy/params.yaml").read_text().partition("aim:")[0]
GOOD = f"""{RUN}oven: {{heat: 1e-3, shelves: [1, 2]}}
kitchen: {{light: 'on', wares: [{{width: 3, names: {{a: 1}}}}, {{bars: 4}}]}}
"""


def read(tmp_path: Path, text: str) -> Oven:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    oven = load(KINDS, path)["oven"]
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
        ("[1, 2]", str([1] * 10), "oven: shelves are too many for any heat."),
        # Each by the key that the file has, whatever pydantic calls its kinds.
        (
            "'on'",
            "'of'",
            "kitchen.light: \"of\" was given; input should be 'on' or 'off' or a valid",
        ),
        (
            "'on'",
            "0",
            "kitchen.light: 0 was given; input should be 'on' or 'off' or greater than or",
        ),
        ("bars: 4", "bar: 4", 'kitchen.wares.1: {"bar": 4} was given; wares are trays and grids.'),
        (
            "bars: 4",
            "bars: four",
            'kitchen.wares.1.bars: "four" was given; input should be a valid',
        ),
        ("bars: 4", "bars: 4, bras: 4", "kitchen.wares.1.bras: there is no such key; did you mean"),
        (
            "names: {a: 1}",
            "naems: 1",
            "kitchen.wares.0.naems: there is no such key; did you mean name",
        ),
        (
            "width: 3,",
            "width: 3, x: 1,",
            "kitchen.wares.0.x: there is no such key; known here: width",
        ),
        ("a: 1", "a: one", 'kitchen.wares.0.names.a: "one" was given; input should be a valid'),
        ("[1, 2]", "1", "oven.shelves: 1 was given; input should be a list."),
        ("[1, 2]", "[]", "oven.shelves: [] was given; input should be a list of 1 or more."),
        ("oven:", "ovem:", "ovem: there is no such key; did you mean oven?"),
        ("workers: 2", "workers: 0", "run.workers: 0 was given"),
        ("oven: {", "oven: {{", "this is not valid YAML"),
        ("push: false", "push: true", "run: push needs a remote to push to"),
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


def test_what_only_follows_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, GOOD.replace("[1, 2]", "[one]"))
    [line] = str(error.value).splitlines()
    assert 'oven.shelves.0: "one" was given' in line


def test_a_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git checkout"):
        load({"oven": Oven}, tmp_path / "params.yaml")


def refused(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load(KINDS, path)
    assert "params.yaml" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "this is not valid YAML"),
        (GOOD.encode("utf-16"), "oven"),
        (GOOD.encode("utf-32"), "Save it as UTF-8 text"),
        (b"run: \0", "Save it as UTF-8 text"),
        (b"run: &it [*it]", "holds a value that cannot be read"),
        (b"run: {? [1] : 2}", "holds a value that cannot be read"),
        (b"run: " + b"[" * 5000, "holds a value that cannot be read"),
        (b"run: !!int abc", "holds a value that cannot be read"),
        (b"run: !!float abc", "holds a value that cannot be read"),
        (b"run: 2020-13-45", "holds a value that cannot be read"),
        (b"run: " + b"9" * 5000, "holds a value that cannot be read"),
        (b"run: !!python/object:os.system {}", "not valid YAML"),
        (b"", "must hold one section per stage; it holds null"),
        (b"- 1", "it holds [1]"),
    ],
)
def test_what_is_no_yaml_or_no_value_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    if message == "oven":
        (tmp_path / "params.yaml").write_bytes(content)
        assert load(KINDS, tmp_path / "params.yaml")["oven"]
    else:
        assert message in refused(tmp_path, content)


def test_of_many_wrong_keys_the_first_are_told(tmp_path: Path) -> None:
    wrong = ", ".join(f"k{place}: 1" for place in range(40))
    told = refused(tmp_path, f"{GOOD}more: {{{wrong}}}\n{wrong.replace(', ', chr(10))}".encode())
    assert len(told.splitlines()) == 11
    assert told.endswith("and 31 more")


def test_long_values_and_keys_are_cut(tmp_path: Path) -> None:
    told = refused(tmp_path, GOOD.replace("1e-3", "x" * 5000).encode())
    assert len(told) < 500
    told = refused(tmp_path, (GOOD + "y" * 900 + ": 1").encode())
    assert len(told) < 500


def test_control_characters_are_written_out(tmp_path: Path) -> None:
    told = refused(tmp_path, GOOD.replace("oven:", '"\\e[31m\\u2028":').encode())
    assert r"\x1b[31m\u2028" in told
    assert all(line.isprintable() for line in told.splitlines())


def test_sections_can_be_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(GOOD + "other: 5\n")
    assert load_some({"oven": Oven}, path)["oven"] == Oven(heat=0.001, shelves=(1, 2))
    path.write_text("other: 5\n")
    with pytest.raises(InputError, match="oven: is missing"):
        load_some({"oven": Oven}, path)


def test_a_section_made_from_several_sources_is_checked(tmp_path: Path) -> None:
    assert checked("oven", Oven, {"heat": 1.0, "shelves": [1]}).shelves == (1,)
    with pytest.raises(InputError, match=r"params\.yaml: oven\.heat: 0 was given"):
        checked("oven", Oven, {"heat": 0, "shelves": [1]})
