"""params.yaml, read and checked: the only home of values.

What is wrong is said by file, key, what was given and what is allowed.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, create_model
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from pipeline.errors import InputError
from pipeline.params import Section

PARAMS = Path("params.yaml")


class RunParams(Section):
    """How the pipeline runs, not what it makes; no stage depends on it."""

    workers: int = Field(ge=1, le=256)
    """Processes that train trials and seeds side by side."""
    schedule: str
    """Cron expression, UTC, on which `make ui` runs the pipeline."""


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
    # Like DVC's own parser: YAML 1.2, where 1e-3 is a number.
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing. Restore it with: git checkout -- {path}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(
            f"{path}{where}: this is not valid YAML: {error.problem or error.context}."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold one section per stage; it holds {content!r}.")
    return content


def load(types: Mapping[str, type[Section]], path: Path = PARAMS) -> Params:
    """Read the file and check the section `run` and every section in `types`.

    Raises InputError that names each wrong key, what was given and what is allowed.
    """
    raw = read_raw(path)
    fields: dict[str, Any] = {
        name: (section, ...) for name, section in {"run": RunParams, **types}.items()
    }
    whole = create_model("Params", __base__=Section, **fields)
    try:
        # Through JSON, since strict JSON takes a list for a tuple and a text for a literal.
        checked = whole.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise InputError(_explain(error, fields, types, path)) from None
    return Params({name: getattr(checked, name) for name in fields})


def _explain(
    error: ValidationError, sections: Sequence[str] | Mapping[str, Any], types: Any, path: Path
) -> str:
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        key = ".".join(location)
        if problem["type"] == "extra_forbidden":
            known = (
                list(sections)
                if len(location) == 1
                else list(types[location[0]].model_fields)
                if len(location) == 2 and location[0] in types
                else list(RunParams.model_fields)
            )
            near = difflib.get_close_matches(location[-1], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}."
            lines.append(f"{path}: {key}: there is no such key; {hint}")
        elif problem["type"] == "missing":
            lines.append(f"{path}: {key}: is missing, and has no default.")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            given = json.dumps(problem["input"], ensure_ascii=False, default=str)
            lines.append(f"{path}: {key}: {given[:200]} was given; {message}.")
    return "\n".join(lines)
