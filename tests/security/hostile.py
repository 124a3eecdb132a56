"""Files that do harm when they are read carelessly: each touches a mark that must not be there."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Touching:
    """Makes the mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._mark),))


def objects(mark: Path) -> np.ndarray[Any, Any]:
    """An array that NumPy writes as a pickle."""
    array = np.empty(3, dtype=object)
    array[:] = Touching(mark)
    return array


def arrays(path: Path, mark: Path, *names: str) -> Path:
    """An archive of such arrays."""
    np.savez(path, **{name: objects(mark) for name in names})
    return path


def model_with_code(path: Path, mark: Path) -> Path:
    """A Keras model, in whatever format the path's ending says, whose Lambda makes the mark."""
    import keras

    place = str(mark)

    # A lambda, whose bytes Keras writes into the file; of named functions it writes the name. The
    # place is among its constants: defaults and closures do not come back.
    harm = f"lambda values: (__import__('os').makedirs({place!r}, exist_ok=True), values)[1]"
    touching = keras.layers.Lambda(eval(harm), output_shape=(3,))  # noqa: S307 - our own
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Dense(2)(touching(inputs))).save(path)
    shutil.rmtree(mark, ignore_errors=True)
    return path


def plain_model(path: Path, layers: int = 1) -> Path:
    """A Keras model that does nothing."""
    import keras

    inputs = keras.Input((3,))
    hidden = inputs
    for _ in range(layers):
        hidden = keras.layers.Dense(2, activation="relu")(hidden)
    keras.Model(inputs, hidden).save(path)
    return path


def rewritten(
    path: Path, change: Callable[[Any], None], more: dict[str, bytes] | None = None
) -> None:
    """Change the description in a `.keras` file in place, and add members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(members["config.json"])
    change(described)
    members["config.json"] = json.dumps(described).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, **(more or {})}.items():
            archive.writestr(name, content)


def layer(described: Any) -> Any:
    """The first layer after the input, in a model's description."""
    return described["config"]["layers"][1]


def function(name: str, module: str = "builtins") -> dict[str, Any]:
    """What a model's description says where a function stands."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def instance(module: str, name: str, **config: Any) -> dict[str, Any]:
    """What it says where an object stands."""
    return {"module": module, "class_name": name, "config": config, "registered_name": name}
