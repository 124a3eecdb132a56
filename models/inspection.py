"""What a Keras file names and how large it is, looked at before Keras reads it.

Keras reads with `safe_mode`, which refuses code in its own formats. This stands in front of it: a
file that names code, or a class from anywhere but Keras and this project, is refused in words for
people, whatever a version of Keras makes of it, and so is one that is small until it is unpacked.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import InputError

LEGACY = (".h5", ".hdf5")
"""Endings of Keras's earlier format."""
MODULES = ("keras", "builtins")
"""Python packages that what a file names may come from."""
CODE = ("lambda", "torchmodulewrapper", "tfsmlayer")
"""What a layer that runs code from its file is called, or part of that."""
OWN = "fettle>"
"""How the names begin under which this project registers what its files hold."""
CONFIGURATION = 1 << 26
"""Bytes of a model's description at the most (64 MiB)."""
SMALL = 1 << 28
"""Bytes that a model may come to, however small its file is (256 MiB)."""
_INNER = "Exception encountered: "
SHRUNK = 50
"""How many times larger than its file may a model be beyond that: weights hardly shrink."""


def require_harmless(path: Path) -> None:
    """Raise InputError for a `.keras` or `.h5` file that must not be read, or cannot be.

    A file that is not there is for its reader to say.
    """
    if not path.is_file():
        return
    try:
        held = described(path)
    except InputError:
        raise
    except Exception as error:
        # Damaged bytes raise errors of any class in zipfile, zlib, HDF5 and json.
        raise unreadable(path, error) from None
    if told := code(held) or foreign(held):
        raise InputError(f"{path}: {told}.")


def unreadable(path: Path, error: Exception) -> InputError:
    """What to say of a file that cannot be read because of `error`."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Of errors within errors, as Keras tells them, the innermost says what it is about.
    inner = [line for line in said if line.startswith(_INNER)]
    words = inner[-1].removeprefix(_INNER) if inner else next(iter(said), type(error).__name__)
    return InputError(
        f"{path}: not a Keras model that can be read: {words.strip().rstrip('.')[:200]}."
    )


def described(path: Path) -> Any:
    """The model's description in the file, as JSON.

    Raises InputError for an archive that unpacks to far more than it is or to places outside, and
    errors of any class for damaged bytes.
    """
    if path.suffix.lower() in LEGACY:
        import h5py  # type: ignore[import-untyped]

        with h5py.File(path, mode="r") as file:
            text = file.attrs.get("model_config")
        if text is None:
            raise ValueError("it holds weights and no model")
        return json.loads(text)
    with zipfile.ZipFile(path) as archive:
        _require_modest(path, archive.infolist())
        if archive.getinfo("config.json").file_size > CONFIGURATION:
            raise ValueError("its description is too large")
        return json.loads(archive.read("config.json"))


def code(held: Any) -> str | None:
    """What is wrong with a description that names a layer which runs code; else None."""
    for name, _ in named(held):
        if any(part in name.lower() for part in CODE):
            return (
                f"it has a layer {name!r}, which would run code from the file; that is never done"
            )
    return None


def foreign(held: Any) -> str | None:
    """What is wrong with one that names a class from elsewhere; else None."""
    for name, module in named(held):
        if module is not None and module.split(".")[0] not in MODULES:
            return (
                f"{name!r} comes from the Python module {module!r}, and code from elsewhere is "
                "never loaded"
            )
    return None


def named(held: Any) -> list[tuple[str, str | None]]:
    """All classes and functions that are named, with their modules where these are told."""
    found, left = [], [held]
    while left:
        part = left.pop()
        if isinstance(part, Mapping):
            # What this project registers bears its name; it is loaded by that alone.
            own = _is_registered(str(part.get("registered_name", "")))
            if "class_name" in part:
                module = part.get("module")
                told = None if own or module is None else str(module)
                found.append((str(part["class_name"]), told))
            left += part.values()
        elif isinstance(part, list):
            left += part
    return found


def _is_registered(name: str) -> bool:
    """Whether a name stands for one of this project's classes: saying so is not enough."""
    if not name.startswith(OWN):
        return False
    import keras

    return keras.saving.get_registered_object(name) is not None


def _require_modest(path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise InputError(f"{path}: its member {member.filename!r} would lie outside of it.")
    size = sum(member.file_size for member in members)
    if size > SMALL and size > SHRUNK * path.stat().st_size:
        raise InputError(
            f"{path}: {path.stat().st_size / 1e6:,.1f} MB that unpack to {size / 1e9:,.1f} GB: "
            "no model's weights shrink like that, and it is not unpacked."
        )
