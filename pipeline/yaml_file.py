"""YAML files, read safely: what they hold, or what is wrong with them in a few words."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from pipeline.errors import InputError

LETTERS = 200
"""Of a value, a key or a library's words that are told, at the most."""
NODES = 100_000
"""Values that a file with aliases may come to, each counted where it is repeated."""


def read_yaml(path: Path) -> Any:
    """What a YAML file says; raises InputError where that is nothing that JSON can say."""
    try:
        require_small(path)
        # Like DVC's own parser: YAML 1.2, where 1e-3 is a number.
        content = YAML(typ="safe", pure=True).load(path)
        json.dumps(content, default=str)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = " ".join(str(error.problem or error.context).split())[:LETTERS]
        raise InputError(f"{path}{where}: this is not valid YAML: {said}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None
    except YAMLError as error:
        said = str(error).partition("\n")[0][:LETTERS]
        raise InputError(
            f"{path}: this is not valid YAML: {said}. Save it as UTF-8 text."
        ) from None
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, RecursionError) as error:
        # Of numbers and dates that are none, keys that are lists, and what holds itself.
        said = (str(error).partition("\n")[0] or type(error).__name__)[:LETTERS]
        raise InputError(
            f"{path}: it holds a value that cannot be read: {said}.\n"
            "Give numbers, texts, lists and mappings whose keys are texts."
        ) from None
    return content


def require_small(path: Path) -> None:
    """Raise InputError where few lines would become more values than there is memory for.

    An alias repeats what it names, and aliases of aliases do so without end ("billion laughs").
    """
    raw = path.read_bytes()
    # Only a file with an anchor and an alias is parsed once more than it has to be.
    if b"&" not in raw or b"*" not in raw:
        return
    # Of a path `parse` gives nothing, unlike `load`.
    with path.open("rb") as file:
        count = _repeated(YAML(typ="safe").parse(file))
    if count > NODES:
        raise InputError(
            f"{path}: its aliases (*) repeat what they name until there are more than {NODES:,} "
            "values.\nWrite out what is meant, or take a file from someone you know."
        )


def _repeated(events: Iterable[Any]) -> int:
    """How many values there are, with what aliases repeat; an alias of what holds it is one."""
    known: dict[str, int] = {}
    open_ones: list[tuple[str | None, int]] = [(None, 0)]

    def add(size: int) -> None:
        anchor, before = open_ones.pop()
        open_ones.append((anchor, before + size))

    for event in events:
        if isinstance(event, CollectionStartEvent):
            open_ones.append((event.anchor, 1))
        elif isinstance(event, CollectionEndEvent):
            anchor, size = open_ones.pop()
            if anchor:
                known[anchor] = size
            add(size)
        elif isinstance(event, AliasEvent):
            add(known.get(event.anchor, 1))
        elif isinstance(event, ScalarEvent):
            if event.anchor:
                known[event.anchor] = 1
            add(1)
    return open_ones[0][1]
