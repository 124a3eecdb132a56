"""What pieces of a stage need on a machine that does not see the run's folder, and what they leave.

A stage's declaration says all that its pieces can read: its inputs, and what lies in its own folder
already. So that is what travels, and the code; each content once, under its hash.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.artifacts import replacing
from pipeline.closure import sources
from pipeline.errors import EnvironmentFault
from pipeline.graph import Node
from pipeline.runners.host import JOURNAL, Manifest, content_hash
from pipeline.snapshot import Snapshot

PART = 32 * 2**20
"""Bytes that travel at once."""
Send = Callable[[str, bytes, bool, bool], bool]
"""As `Host.keep`: content hash, a part, whether it is the first, whether it is the last."""


@dataclass
class Freight:
    """Files that travel for pieces of one stage."""

    root: Path
    reads: Sequence[Path]
    """Files and folders, below the root."""
    out: str
    """The stage's own folder, below the root; empty: it has none."""
    code: Mapping[str, str]
    """Content hashes by path, from before the code was imported."""
    _hashes: dict[tuple[str, tuple[int, int]], str] = field(default_factory=dict)

    @staticmethod
    def none() -> "Freight":
        """Of pieces that run on this machine."""
        return Freight(Path(), (), "", {})

    @staticmethod
    def of(node: Node, code: Snapshot, root: Path) -> "Freight":
        """Of a stage's pieces."""
        return Freight(root, node.reads(), f"artifacts/{node.name}", code.marks)

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Size and time of change in ns by path of the inputs, which nobody changes meanwhile."""
        found = {}
        for path in (path for top in self.reads for path in self._below(top)):
            state = (self.root / path).stat()
            found[path] = (state.st_size, state.st_mtime_ns)
        return found

    def _below(self, top: Path) -> Iterator[str]:
        whole = self.root / top
        for path in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
            if path.is_file():
                yield path.relative_to(self.root).as_posix()

    def manifest(self) -> dict[str, str]:
        """Content hashes by path of inputs, code, and what lies in the stage's own folder by now.

        Raises EnvironmentFault where the code was edited since it was read.
        """
        found = {path.relative_to(self.root).as_posix() for path in sources(self.root)}
        code = {path: self._hash(path) for path in sorted(found)}
        edited = [path for path, mark in code.items() if self.code.get(path, mark) != mark]
        if edited:
            raise EnvironmentFault(
                f"Edited since this process read it: {', '.join(edited)}.\n"
                "Finished stages are kept. Run again to go on with the new version."
            )
        inputs = {path: self._hash(path) for top in self.reads for path in self._below(top)}
        return code | inputs | self._own()

    def _own(self) -> dict[str, str]:
        """Not what is half written: another piece may be at work there."""
        found = {}
        for path in self._below(Path(self.out)) if self.out else ():
            if not Path(path).name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    found[path] = self._hash(path)
        return found

    def _hash(self, path: str) -> str:
        """Read once as long as the file looks the same."""
        state = (self.root / path).stat()
        key = path, (state.st_size, state.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = content_hash(self.root / path)
        return self._hashes[key]

    def send(self, manifest: Manifest, lacking: Sequence[str], send: Send) -> None:
        """Hand over the contents with these hashes; raises EnvironmentFault where one arrives
        otherwise, because its file was changed meanwhile."""
        places = {mark: path for path, mark in manifest.items()}
        for mark in lacking:
            path = self.root / places[mark]
            left, first = path.stat().st_size, True
            with path.open("rb") as file:
                while first or left > 0:
                    part = file.read(PART)
                    left = left - len(part) if part else 0
                    kept = send(mark, part, first, left <= 0)
                    first = False
            if not kept:
                raise EnvironmentFault(
                    f"{places[mark]} did not reach a worker as it was; was it changed meanwhile?\n"
                    "Run again: finished stages and finished pieces are kept."
                )

    def bring(
        self, files: Mapping[str, bytes], gone: Sequence[str], journal: Mapping[str, bytes]
    ) -> None:
        """Put in place what a piece left; refuses what lies outside the stage's folder."""
        for path in (*files, *gone):
            if not path.startswith(f"{self.out}/") or ".." in Path(path).parts:
                raise EnvironmentFault(f"A worker sent {path}, which is not the stage's to write.")
        for path, content in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                temporary.write_bytes(content)
        for path in gone:
            (self.root / path).unlink(missing_ok=True)
        folder = os.environ.get(JOURNAL)
        for name, content in journal.items():
            if folder and Path(name).name == name:
                with (Path(folder) / f"away-{name}").open("ab") as lines:
                    lines.write(content)
