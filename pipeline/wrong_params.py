"""What is wrong with params.yaml, in words for people: pydantic's findings, each by its key.

Pydantic says of a value that may be of several kinds what is wrong with it for each of them, under
names of its own for these kinds; here they are one sentence under the key that the file has.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from pipeline.params import Section
from pipeline.yaml_file import LETTERS

SHOWN = 10
"""Wrong keys told at the most."""
SHOULD = "input should be "
WORDS = {
    "tuple_type": f"{SHOULD}a list",
    "model_type": f"{SHOULD}keys with values",
    "dict_type": f"{SHOULD}keys with values",
    "too_short": f"{SHOULD}a list of {{min_length}} or more",
    "too_long": f"{SHOULD}a list of {{max_length}} at the most",
}
"""Where pydantic speaks of Python rather than of YAML, by its names of what is wrong."""


_NOTHING = object()


@dataclass(frozen=True)
class _Wrong:
    """One thing that is wrong."""

    key: str
    what: str
    """Pydantic's name of it."""
    words: str
    given: Any = _NOTHING
    """What is there instead, where the words are about one value."""


def explain(error: ValidationError, types: Mapping[str, type[Section]], path: Path) -> str:
    """A line for each key that is wrong, with what was given and what is allowed."""
    found = list(_together([_wrong(problem, types) for problem in error.errors()]))
    lines = [f"{path}: {_line(wrong)}" for wrong in found[:SHOWN]]
    rest = len(found) - SHOWN
    return "\n".join([*lines, *([f"and {rest} more"] if rest > 0 else [])])


def short(value: Any) -> str:
    """A value as YAML would have it in one line, if need be without its end."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LETTERS else text[:LETTERS] + "…"


def _line(wrong: _Wrong) -> str:
    given = "" if wrong.given is _NOTHING else f"{short(wrong.given)} was given; "
    return f"{wrong.key}: {given}{wrong.words}{'' if wrong.words.endswith('?') else '.'}"


def _together(found: list[_Wrong]) -> Iterator[_Wrong]:
    """Without what only follows from another, and one for all kinds that a value may be of."""
    about: dict[str, list[_Wrong]] = {}
    for wrong in found:
        # A list without its wrong values is too short, says pydantic.
        follows = wrong.what == "too_short" and any(
            other.key.startswith(f"{wrong.key}.") for other in found
        )
        if wrong.given is not _NOTHING and not follows:
            about.setdefault(wrong.key, []).append(wrong)
    for wrong in found:
        same = [wrong] if wrong.given is _NOTHING else about.pop(wrong.key, [])
        if same:
            yield replace(wrong, words=_alternatively(same))


def _alternatively(same: list[_Wrong]) -> str:
    words = list(dict.fromkeys(wrong.words for wrong in same))
    return " or ".join([words[0], *(each.removeprefix(SHOULD) for each in words[1:])])


def _wrong(problem: Any, types: Mapping[str, type[Section]]) -> _Wrong:
    location, what = problem["loc"], problem["type"]
    extra = what == "extra_forbidden"
    key, kinds = _place(location[:-1] if extra else location, types)
    if extra:
        name = str(location[-1])[:LETTERS]
        known = list(types) if len(location) == 1 else _keys(kinds)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        return _Wrong(_dotted([*key, name]), what, f"there is no such key; {hint}")
    named = _dotted(key) or "the file"
    if what == "missing":
        return _Wrong(named, what, "is missing, and has no default")
    words = WORDS.get(what, problem["msg"]).removeprefix("Value error, ")[: 2 * LETTERS]
    if what in WORDS:
        words = words.format(**problem.get("ctx", {}))
    words = words[:1].lower() + words[1:]
    if what == "value_error" and isinstance(problem["input"], dict):
        # About several keys of a section, which the message names.
        return _Wrong(named, what, words)
    return _Wrong(named, what, words, problem["input"])


def _dotted(key: list[str]) -> str:
    return ".".join(key)[:LETTERS]


def _place(location: tuple[Any, ...], types: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """The keys that lead there, as the file has them, and the kinds that the value may be of."""
    key: list[str] = []
    kinds: list[Any] = []
    for depth, part in enumerate(location):
        if depth == 0:
            key.append(str(part))
            kinds = _kinds(types.get(part))
            continue
        below = [kind for holder in kinds for kind in _below(holder, part)]
        if below:
            key.append(str(part))
            kinds = below
        else:
            # Pydantic's name for one of the kinds.
            kinds = [kind for kind in kinds if getattr(kind, "__name__", "") == part] or kinds
    return key, kinds


def _below(holder: Any, part: Any) -> list[Any]:
    """The kinds of what a value of kind `holder` has under `part`; [] where it can have none."""
    if isinstance(part, int):
        inner = get_args(holder)
        return _kinds(inner[0]) if get_origin(holder) in (tuple, list) and inner else []
    if isinstance(holder, type) and issubclass(holder, Section):
        return _kinds(holder.model_fields[part].annotation) if part in holder.model_fields else []
    return _kinds(get_args(holder)[1]) if get_origin(holder) is dict else []


def _kinds(annotation: Any) -> list[Any]:
    """What a value with this annotation may be, one by one."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for one in get_args(annotation) for kind in _kinds(one)]
    return [annotation]


def _keys(kinds: list[Any]) -> list[str]:
    sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
    return [name for section in sections for name in section.model_fields]
