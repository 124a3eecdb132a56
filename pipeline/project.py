"""A checkout as the command line sees it: its code, params and DAG, read in the right order."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import render, snapshot
from pipeline.artifacts import Given, Raw, Source
from pipeline.errors import InputError
from pipeline.graph import Node, sections, trace
from pipeline.params_file import PARAMS, Params, load, read_raw
from pipeline.snapshot import Snapshot


@dataclass(frozen=True)
class Project:
    """The project in the working directory."""

    root: Path
    code: Snapshot
    """The source files as they were before any of them was imported for its stages."""
    nodes: list[Node]

    def params(self) -> Params:
        """params.yaml, checked; raises InputError."""
        params = load(sections(self.nodes))
        names = [node.name for node in self.nodes]
        for name in params.run.timeouts:
            if name not in names:
                raise InputError(
                    f"{PARAMS}: run.timeouts.{name}: there is no such stage. There are: "
                    f"{', '.join(names)}."
                )
        return params

    def rendered(self) -> str:
        """The text dvc.yaml must have."""
        return render.render(self.nodes, self.root)

    def require_rendered(self) -> None:
        """Raise InputError where dvc.yaml is not as rendered."""
        render.check(self.rendered(), self.root)


def open_project() -> Project:
    """Read the checkout in the working directory: hash the code, then import and trace the flow.

    Raises InputError where params.yaml cannot be read.
    """
    root = Path.cwd()
    code = _code(root)
    given = read_given()
    from flows.training import training

    return Project(root, code, trace(training, given))


LISTS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".gz", ".parquet", ".feather", ".arrow")
"""Endings of a list of pictures; a folder of pictures may have a point in its name."""
EXPECTED = Path("data/schema.yaml")
"""What the user's own data must look like; written by `fettle init`."""


BROUGHT = {
    "pretrained": ("finetune", "pretrained"),
    "teacher": ("distill", "teacher"),
    "unlabelled": ("distill", "unlabelled"),
}
"""Section and key of params.yaml that name a file or folder, by the field of `Given`."""


def read_given() -> Given:
    """All files that params.yaml names; raises InputError where one lies outside data/, or as
    `read_raw_data`."""
    content = read_raw()
    return Given(
        read_raw_data(),
        **{name: _brought(content, *place) for name, place in BROUGHT.items()},
    )


def _brought(content: dict[str, Any], section: str, key: str) -> Source:
    """The file or folder that a key names, if any does; its type is checked with the section."""
    values = content.get(section)
    path = values.get(key) if isinstance(values, dict) else None
    if not isinstance(path, str):
        return Source(Path())
    if not _below_data(Path(path)):
        raise InputError(
            f"{PARAMS}: {section}.{key}: {path!r} was given; it must lie below data/.\n"
            f"Put it there and track it: ./.venv/bin/dvc add data/{Path(path).name}"
        )
    return Source(Path(path))


def read_raw_data() -> Raw:
    """What `ingest.path` in params.yaml names: a path inside the project, or no file at all.

    Raises InputError where it lies elsewhere, or the file of expectations beside it is missing.
    """
    ingest = read_raw().get("ingest")
    path = ingest.get("path") if isinstance(ingest, dict) else None
    if path is None:
        return Raw(Source(Path()), Source(Path()))
    if not isinstance(path, str) or not _below_data(Path(path)):
        raise InputError(
            f"{PARAMS}: ingest.path: {path!r} was given; it must lie below data/.\n"
            "To use a file from elsewhere: ./fettle init PATH --target COLUMN"
        )
    if not EXPECTED.is_file():
        raise InputError(
            f"{EXPECTED} is missing: it says what the data must look like.\n"
            f"Restore it with: git checkout -- {EXPECTED}, or learn it anew with ./fettle init."
        )
    return Raw(Source(_tracked(Path(path), ingest)), Source(EXPECTED))


def _tracked(path: Path, ingest: Any) -> Path:
    """What changes when the data do: the file or folder itself, and of a list of pictures the
    folder that holds the list and them."""
    is_list = ingest.get("kind") == "pictures" and path.suffix.lower() in LISTS
    return path.parent if is_list and path.parent != EXPECTED.parent else path


def _below_data(path: Path) -> bool:
    return len(path.parts) > 1 and path.parts[0] == EXPECTED.parts[0] and ".." not in path.parts


@cache
def _code(root: Path) -> Snapshot:
    """Once a process: a second look could miss an edit made after the first import."""
    return snapshot.of_code(root, [*render.RUNTIME, render.DVC_YAML.as_posix(), *_templates(root)])


def _templates(root: Path) -> list[str]:
    """Files that stages read besides code; hashed with it."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in (root / "tasks").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    )
