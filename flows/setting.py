"""What init writes into params.yaml: comments stay, lists stay in their line."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from models.presets import LEFT_OUT
from pipeline.artifacts import replacing
from pipeline.params_file import PARAMS

EMPTY: Mapping[tuple[str, ...], Any] = MappingProxyType({})
Values = dict[str, dict[str, Any]]
"""Values by section and key."""


@dataclass(frozen=True)
class Again:
    """The value of a key that was taken away, and which of its neighbours it was, from 0."""

    value: Any
    at: int


def write_params(
    values: Mapping[str, Mapping[str, Any]], placed: Mapping[tuple[str, ...], Any] = EMPTY
) -> None:
    """Put values into params.yaml; everything else stays as it is.

    `values` by section and key, `placed` by section, key and the keys below that; what is to be
    `LEFT_OUT` is taken away, and `Again` is put where it was.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    # Names are not broken over lines.
    yaml.width = 10_000
    yaml.Representer = _Representer
    content: Any = yaml.load(PARAMS)
    for section, keys in values.items():
        for key, value in keys.items():
            content[section][key] = _in_line(value)
    for place, value in placed.items():
        _put(content, place, value)
    with replacing(PARAMS) as temporary:
        yaml.dump(content, temporary)


def changed(content: Mapping[str, Any], placed: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """params.yaml's content as it would be with such values by place."""
    held = copy.deepcopy(dict(content))
    for place, value in placed.items():
        _put(held, place, value)
    return held


def _put(content: Any, place: tuple[str, ...], value: Any) -> None:
    held = content
    for key in place[:-1]:
        held = held[key]
    if value is LEFT_OUT:
        held.pop(place[-1], None)
    elif isinstance(value, Again):
        _insert(held, value.at, place[-1], _in_line(value.value))
    else:
        held[place[-1]] = _in_line(value)


def _insert(held: Any, at: int, key: str, value: Any) -> None:
    if isinstance(held, CommentedMap):
        held.insert(at, key, value)
        return
    items = list(held.items())
    held.clear()
    held.update([*items[:at], (key, value), *items[at:]])


def _in_line(value: Any) -> Any:
    """A list as `[a, b]`: with one item a line, the comment behind the key would be in its way."""
    if isinstance(value, list | tuple):
        sequence = CommentedSeq([_in_line(item) for item in value])
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, dict):
        mapping = CommentedMap({key: _in_line(item) for key, item in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    return value


class _Representer(RoundTripRepresenter):
    """Writes None as `null`, as the file has it, rather than as nothing.

    A class of its own: representers are registered by class, and DVC uses the library's.
    """

    def represent_null(self, value: None) -> Any:
        """None as a YAML node."""
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_null)
