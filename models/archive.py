"""Canonical `.keras` files: the same bytes for the same model.

Keras writes the date, ids of objects in memory and the zip's times into a model file. Here the
archive is written again without them, so that equal weights are equal bytes, in this process and
in any other.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from models import inspection
from models.fitting import determinism
from models.networks import (
    activations,  # noqa: F401  registers what the files name
    layers,  # noqa: F401  likewise
    member_layers,  # noqa: F401  likewise
    number_layers,  # noqa: F401  likewise
    picture_changes,  # noqa: F401  likewise
    picture_layers,  # noqa: F401  likewise
    table_changes,  # noqa: F401  likewise
    text_layers,  # noqa: F401  likewise
    vote_layers,  # noqa: F401  likewise
)
from pipeline.artifacts import replacing

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""
IDENTITY = "shared_object_id"
"""Key of config.json that holds a place in memory; needed only where two layers share a part."""


def save(model: keras.Model, path: Path) -> None:
    """Write `model` to `path`, a `.keras` file, in one step."""
    with replacing(path) as temporary:
        model.save(temporary)
        temporary.write_bytes(canonical(temporary.read_bytes()))


def canonical(archive: bytes) -> bytes:
    """The same model without dates and identities, its members sorted and stored plainly."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(written, "w") as target,
    ):
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name.endswith(".json"):
                content = _plain(name, content)
            # Stored, not deflated: weights hardly shrink, and zlib's output differs by version.
            target.writestr(zipfile.ZipInfo(name, EPOCH), content)
    return written.getvalue()


def _plain(name: str, content: bytes) -> bytes:
    parsed = json.loads(content)
    if name == "metadata.json":
        parsed.pop("date_saved")
    return json.dumps(_anonymous(parsed), sort_keys=True).encode()


def _anonymous(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _anonymous(held) for key, held in value.items() if key != IDENTITY}
    if isinstance(value, list):
        return [_anonymous(held) for held in value]
    return value


def load(path: Path) -> keras.Model:
    """The model in a `.keras` file, uncompiled; no code in the file is executed.

    Raises InputError where it names code, or is no archive of a model.
    """
    inspection.require_harmless(path)
    determinism.pin()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError, KeyError, AttributeError, ImportError, OSError) as error:
        raise inspection.unreadable(path, error) from None
