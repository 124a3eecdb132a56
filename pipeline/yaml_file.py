"""YAML files, read safely: what they hold, or what is wrong with them in a few words."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.errors import InputError

LETTERS = 200
"""Of a value, a key or a library's words that are told, at the most."""


def read_yaml(path: Path) -> Any:
    """What a YAML file says; raises InputError where that is nothing that JSON can say."""
    try:
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
