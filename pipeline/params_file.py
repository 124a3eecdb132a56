"""params.yaml, read and checked: the only home of values.

What is wrong is said by file, key, what was given and what is allowed.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError, create_model

from pipeline.errors import InputError
from pipeline.params import Section
from pipeline.run_params import RunParams
from pipeline.yaml_file import LETTERS, read_yaml

PARAMS = Path("params.yaml")
APART = ("champion",)
"""Sections that no stage depends on and that the commands they are for read by themselves."""
SHOWN = 10
"""Wrong keys told at the most."""


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
        raise InputError(f"{path} must hold one section per stage; it holds {_short(content)}.")
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
        raise InputError(_explain(error, types, path)) from None
    return Params({name: getattr(found, name) for name in fields})


def _explain(error: ValidationError, types: Mapping[str, type[Section]], path: Path) -> str:
    problems = error.errors()
    lines = [_told(problem, types, path) for problem in problems[:SHOWN]]
    rest = len(problems) - SHOWN
    return "\n".join([*lines, *([f"and {rest} more"] if rest > 0 else [])])


def _told(problem: Any, types: Mapping[str, type[Section]], path: Path) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)[:LETTERS] or "the file"
    if problem["type"] == "extra_forbidden":
        known = list(types) if len(location) == 1 else list(types[location[0]].model_fields)
        near = difflib.get_close_matches(location[-1][:LETTERS], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}."
        return f"{path}: {key}: there is no such key; {hint}"
    if problem["type"] == "missing":
        return f"{path}: {key}: is missing, and has no default."
    message = problem["msg"].removeprefix("Value error, ")[: 2 * LETTERS]
    message = message[:1].lower() + message[1:]
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):
        # About several keys of a section, which the message names.
        return f"{path}: {key}: {message}."
    return f"{path}: {key}: {_short(problem['input'])} was given; {message}."


def _short(value: Any) -> str:
    """A value as YAML would have it in one line, if need be without its end."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LETTERS else text[:LETTERS] + "…"
