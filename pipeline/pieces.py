"""Results of pieces that outlive a kill: a stage that is run again recalls what was finished.

A stage is remembered by DVC once it is whole. Of one that was interrupted DVC knows nothing, and a
search of hours would begin anew. So results of pieces that leave no files (trials, folds,
ablations) are kept below .fettle/, as soon as they are there, under everything that they follow
from: the piece's code, the runtime, the content of what it reads, and its values. What is recalled
is bit for bit what would be made; without the folder the same results take longer.
"""

import hashlib
import json
import logging
import os
import types
import typing
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import BaseModel

from pipeline import snapshot
from pipeline.artifacts import replacing
from pipeline.closure import closure
from pipeline.executor import Item, Mark, Result, Spread
from pipeline.render import RUNTIME
from pipeline.snapshot import Snapshot

log = logging.getLogger("fettle")

FOLDER = Path(".fettle/pieces")
MOST = 256 * 2**20
"""Bytes that are kept; beyond them what was not used for longest is removed."""
FORMAT = 1
"""Of the files; another one finds none of the older."""
_TREE = "tree"
"""Name of the array that holds all that is no array, as JSON in UTF-8."""


@dataclass(frozen=True)
class _Job:
    """A piece whose result is to be kept."""

    path: Path
    code: Snapshot
    """Files that the result follows from, as they were when they were read."""
    inputs: tuple[tuple[str, "_Stamp"], ...]
    """Likewise what the piece reads."""


_Stamp = tuple[tuple[str, tuple[int, int, int]], ...]


class Remembering:
    """An executor that hands pieces on to another, but for those whose results are known."""

    def __init__(
        self,
        executor: Spread,
        code: Snapshot,
        root: Path,
        recalled: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`code`: as it was before any first-party module was imported. `recalled` is told the
        name of every piece that was."""
        self._executor = executor
        self._code = code
        self._root = root
        self._recalled = recalled
        self._contents: dict[tuple[str, _Stamp], str] = {}

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        keep: bool = False,
    ) -> list[Result]:
        """As `Executor.map`."""
        if not keep:
            return self._executor.map(function, items, names)
        code = self._code_of(function.__module__)
        jobs = [self._job(function, item, code) for item in items]
        found: dict[int, Result] = {}
        for place, job in enumerate(jobs):
            known = _recall(job.path, get_type_hints(function)["return"])
            if known is not None:
                found[place] = known[0]
                log.info("%s: recalled", names[place])
                self._recalled(names[place])
        rest = [place for place in range(len(jobs)) if place not in found]
        if rest:
            made = self._executor.map(
                function,
                [items[place] for place in rest],
                [names[place] for place in rest],
                landed=lambda place, result: self._keep(jobs[rest[place]], result),
            )
            found |= dict(zip(rest, made, strict=True))
            prune(self._root / FOLDER, MOST)
        return [found[place] for place in range(len(jobs))]

    def _code_of(self, module: str) -> Snapshot:
        paths = [*closure(module, self._root), *RUNTIME]
        return Snapshot({path: self._code.marks.get(path, "unknown") for path in paths})

    def _job(self, function: Callable[[Item], Result], item: Item, code: Snapshot) -> _Job:
        reads = [(path, _stamp(path)) for path in _marked(item, Mark.READS)]
        if any(path is not None for path in _marked(item, Mark.WRITES)):
            raise ValueError(f"a piece that leaves files cannot be kept: {item}")
        fixed = {
            "format": FORMAT,
            "function": f"{function.__module__}.{function.__qualname__}",
            "code": code.marks,
            "reads": [self._content(path, stamp) for path, stamp in reads],
            "item": _values(item),
        }
        text = json.dumps(fixed, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()
        path = self._root / FOLDER / f"{name}.npz"
        return _Job(path, code, tuple(reads))

    def _keep(self, job: _Job, result: object) -> None:
        """Keep a result as soon as it is there.

        Not where a file was edited meanwhile: the result then belongs to neither version.
        """
        lasting = getattr(result, "lasting", True)
        moved = job.code.changed(self._root) or any(_stamp(p) != was for p, was in job.inputs)
        if lasting and not moved:
            write(result, job.path)

    def _content(self, path: str, stamp: _Stamp) -> str:
        """Hash of all files at or below a path, read once as long as they look the same."""
        if (path, stamp) not in self._contents:
            digest = hashlib.sha256()
            for name, _ in stamp:
                digest.update(json.dumps(name).encode())
                with (Path(path) / name).open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            self._contents[path, stamp] = digest.hexdigest()
        return self._contents[path, stamp]


def _stamp(path: str) -> _Stamp:
    """What every file at or below a path looks like from outside, by its name below it."""
    marks = snapshot.of_inputs(Path(path), [Path()])
    return tuple(sorted(marks.items()))


def _marked(item: Any, mark: Mark) -> list[Any]:
    """Values of the item's fields that bear a mark, in their order."""
    return [getattr(item, name) for name, found in _marks(type(item)).items() if found is mark]


def _marks(kind: type) -> dict[str, Mark | None]:
    """Of a dataclass's fields by name; raises TypeError for anything else."""
    if not is_dataclass(kind):
        raise TypeError(f"a piece can be kept if its item is a dataclass, got {kind}")
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: next(
            (mark for mark in getattr(hints[field.name], "__metadata__", ()) if _is_mark(mark)),
            None,
        )
        for field in fields(kind)
    }


def _is_mark(value: object) -> bool:
    return isinstance(value, Mark)


def _values(value: Any) -> Any:
    """What a result follows from, in JSON; raises TypeError for what JSON cannot hold."""
    if isinstance(value, BaseModel):
        return [type(value).__qualname__, value.model_dump(mode="json")]
    if is_dataclass(value) and not isinstance(value, type):
        named = _marks(type(value)).items()
        plain = {name: _values(getattr(value, name)) for name, mark in named if mark is None}
        return [type(value).__qualname__, plain]
    if isinstance(value, tuple | list):
        return [_values(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _values(part) for key, part in value.items()}
    if value is None or type(value) in _PLAIN:
        return value
    raise TypeError(f"a piece cannot be kept by {type(value).__name__}: {value!r}")


_PLAIN = (bool, int, float, str)


def write(result: object, path: Path) -> None:
    """Write a result in one step; raises TypeError for what could not be read back bit for bit."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    text = json.dumps(_tree(result, arrays))
    arrays[_TREE] = np.frombuffer(text.encode(), dtype=np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: Path, kind: Any) -> Any:
    """The result of that type; raises ValueError, OSError or BadZipFile where it is none."""
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return _result(json.loads(arrays[_TREE].tobytes()), kind, arrays)


def _recall(path: Path, kind: Any) -> tuple[Any] | None:
    """What is kept there, alone in a tuple; None where there is nothing, or nothing whole."""
    try:
        known = read(path, kind)
        os.utime(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        log.warning("%s is damaged; the piece is run again", path)
        return None
    return (known,)


def _tree(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """The value as JSON in which arrays are names, under which they are added to `arrays`."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of objects cannot be kept")
        name = f"array {len(arrays)}"
        arrays[name] = value
        return name
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _tree(getattr(value, field.name), arrays) for field in fields(value)}
    if type(value) is tuple:
        return [_tree(part, arrays) for part in value]
    if value is None or type(value) in _PLAIN:
        return value
    raise TypeError(f"a result cannot be kept that has {type(value).__name__}: {value!r}")


def _result(tree: Any, kind: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """The way back, by the type that is told."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if tree is None:
            return None
        [other] = [one for one in inner if one is not type(None)]
        return _result(tree, other, arrays)
    if origin is tuple:
        each = inner[:1] * len(tree) if inner[1:] == (...,) else inner
        return tuple(_result(part, one, arrays) for part, one in zip(tree, each, strict=True))
    if np.ndarray in (kind, origin):
        return arrays[tree]
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _result(tree[name], hints[name], arrays) for name in tree})
    return tree


def prune(folder: Path, most: int) -> None:
    """Remove what was not used for longest, until no more than `most` bytes are left.

    Harmless at any time: what is removed is made again if it is wanted.
    """
    kept = sorted(_files(folder), reverse=True)
    size = 0
    for _, name, held in kept:
        size += held
        if size > most:
            (folder / name).unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[int, str, int]]:
    """When each was used last, its name, its size."""
    for path in folder.glob("*.npz"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        yield state.st_mtime_ns, path.name, state.st_size
