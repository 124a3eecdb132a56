"""Files that say what is to be done: what they say is values, or a mistake."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.yaml_file import read_yaml


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.mkdir ['{mark}']",
        "a: !!python/object/new:os.mkdir ['{mark}']",
        "a: !!python/name:os.mkdir ''",
        "a: !!python/module:antigravity ''",
        "!!python/object/apply:pathlib.Path.touch ['{mark}']",
        "a: !include {mark}",
        "<<: !!python/object/apply:os.mkdir ['{mark}']",
    ],
)
def test_a_tag_makes_nothing(text: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "harm", tmp_path / "params.yaml"
    path.write_text(text.format(mark=mark) + "\n")
    with pytest.raises(InputError, match=r"params\.yaml"):
        read_yaml(path)
    assert not mark.exists()


def test_the_tags_would_do_harm_if_they_were_let(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    mark = tmp_path / "harm"
    yaml.unsafe_load(f"a: !!python/object/apply:os.mkdir ['{mark}']")
    assert mark.exists()


def test_few_lines_do_not_become_a_billion(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="aliases"):
        read_yaml(path)


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ("{a: ", "}")])
def test_depth_is_no_way_to_end_the_process(open_: str, close: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: " + open_ * 5000 + "1" + close * 5000)
    with pytest.raises(InputError, match=r"params\.yaml"):
        read_yaml(path)
