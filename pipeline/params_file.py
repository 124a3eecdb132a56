"""params.yaml, read and checked: the only home of values.

What is wrong is said by file, key, what was given and what is allowed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError, create_model

from pipeline.errors import InputError
from pipeline.params import Section
from pipeline.run_params import RunParams
from pipeline.wrong_params import explain, short
from pipeline.yaml_file import read_yaml

PARAMS = Path("params.yaml")
APART = ("champion",)
"""Sections that no stage depends on and that the commands they are for read by themselves."""

SectionT = TypeVar("SectionT", bound=Section)


class Params(Mapping[str, Section]):
    """All checked sections by name."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        self._sections = dict(sections)

    def __getitem__(self, name: str) -> Section:
        return self._sections[name]

    def __iter__(self) -> Any:
        return iter(self._sections)

    def __len__(self) -> int:
        return len(self._sections)

    @property
    def run(self) -> RunParams:
        """The section `run`."""
        run = self._sections["run"]
        assert isinstance(run, RunParams)
        return run


def read_raw(path: Path = PARAMS) -> dict[str, Any]:
    """The file's plain content; raises InputError where it is missing or no YAML mapping."""
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing. Restore it with: git checkout -- {path}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold one section per stage; it holds {short(content)}.")
    return content


def load(types: Mapping[str, type[Section]], path: Path = PARAMS) -> Params:
    """Read the file and check the section `run` and every section in `types`.

    Raises InputError that names each wrong key, what was given and what is allowed.
    """
    return whole(types, read_raw(path), path)


def whole(
    types: Mapping[str, type[Section]], content: Mapping[str, Any], path: Path = PARAMS
) -> Params:
    """The same of the file's plain content, as `read_raw` gives it."""
    held = {name: value for name, value in content.items() if name not in APART}
    return _checked(held, {"run": RunParams, **types}, path)


def load_some(types: Mapping[str, type[Section]], path: Path = PARAMS) -> Params:
    """The same of these sections alone, whatever else the file holds."""
    raw = read_raw(path)
    return _checked({name: raw[name] for name in types if name in raw}, types, path)


def checked(name: str, kind: type[SectionT], content: Any, path: Path = PARAMS) -> SectionT:
    """A section that is `content`, rather than what the file says; raises InputError as `load`."""
    section = _checked({name: content}, {name: kind}, path)[name]
    assert isinstance(section, kind)
    return section


def _checked(raw: Mapping[str, Any], types: Mapping[str, type[Section]], path: Path) -> Params:
    fields: dict[str, Any] = {name: (section, ...) for name, section in types.items()}
    whole = create_model("Params", __base__=Section, **fields)
    try:
        # Through JSON, since strict JSON takes a list for a tuple and a text for a literal.
        found = whole.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise InputError(explain(error, types, path)) from None
    return Params({name: getattr(found, name) for name in fields})
