"""What the files looked like when they were read, to be held against what they look like later.

A result is committed under the hashes of the files on disk. If one was edited between being read
and being hashed, the result would be filed under content that did not make it, and the run cache
would hand it out for ever after. So code is hashed before it is imported, and everything a stage
depends on is looked at again when it is done.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.closure import sources


@dataclass(frozen=True)
class Snapshot:
    """Marks by path: what a later look must find."""

    marks: dict[str, str]

    def changed(self, root: Path, paths: Iterable[str] | None = None) -> list[str]:
        """Which of `paths` (default: all that were marked) differ now, sorted."""
        wanted = self.marks if paths is None else [path for path in paths if path in self.marks]
        return sorted(path for path in wanted if _content(root / path) != self.marks[path])


def of_code(root: Path, extra: Iterable[str] = ()) -> Snapshot:
    """Content hashes of every first-party source file and of the files in `extra`."""
    paths = [*(path.relative_to(root).as_posix() for path in sources(root)), *extra]
    return Snapshot({path: _content(root / path) for path in paths})


def of_inputs(root: Path, paths: Iterable[Path]) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of change of every file at or below `paths`.

    Inputs can be large, so they are not read a second time.
    """
    marks = {}
    for top in paths:
        whole = root / top
        for path in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
            if path.is_file():
                state = path.stat()
                marks[path.relative_to(root).as_posix()] = (
                    state.st_ino,
                    state.st_size,
                    state.st_mtime_ns,
                )
    return marks


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "missing"
