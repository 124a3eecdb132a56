"""Typed artifacts: what a stage's results are called, where they lie, how they are written.

An artifact is a path with a type. A `Bundle` is a frozen dataclass of artifacts; its field names
and types give the file names, so `Candidate.at(Path("artifacts/baseline"))` says where everything
of that stage lies without anything being read. All writers give the same bytes for the same
content and replace a file in one step, so a reader never meets half of one.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_type_hints


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, put in its place in one step if the block succeeds.

    Nothing is written through the old file: with DVC's hard or symbolic links that would change
    the cache.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Path]:
    """Temporary files of `replacing` and of DVC directly in `folder`, which a kill has left."""
    return [path for path in sorted(folder.glob(".*")) if _TEMPORARY.fullmatch(path.name)]


_TEMPORARY = re.compile(r"\.[a-z0-9_]{8}(\.[a-z]+)?|\.[\w-]{22}\.tmp")
"""How `tempfile.mkstemp` names them, and how DVC does (dvc_objects.fs.utils.tmp_fname)."""


@dataclass(frozen=True)
class Artifact:
    """A result at a path; subclasses say how it is read and written."""

    path: Path

    suffix: ClassVar[str] = ""
    """The file name's ending; empty for a folder."""
    kind: ClassVar[Literal["outs", "metrics", "plots"]] = "outs"
    """Under which key of dvc.yaml it is listed."""
    plot: ClassVar[dict[str, str]] = {}
    """For `plots`: what `dvc plots show` draws, by DVC's own keys (x, y, template, title)."""

    def leaves(self) -> list["Artifact"]:
        """Itself, as a bundle gives its parts."""
        return [self]


class Source(Artifact):
    """A file or folder from outside the pipeline; `Source(Path())` is none."""


class Folder(Artifact):
    """A folder that is one result as a whole."""

    def make(self) -> Path:
        """Create the folder and return its path."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path


class Json(Artifact):
    """A JSON file: sorted keys, two spaces, floats in Python's shortest exact form."""

    suffix = ".json"

    def read(self) -> Any:
        """The parsed content."""
        return json.loads(self.path.read_text(encoding="utf-8"))

    def write(self, content: Any) -> None:
        """Write `content`; raises ValueError on NaN or infinity, which JSON cannot hold."""
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        with replacing(self.path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


class Metrics(Json):
    """Figures that `dvc metrics show` and `dvc metrics diff` print."""

    kind = "metrics"


class Csv(Artifact):
    """A CSV file with a header, read and written through pandas."""

    suffix = ".csv"

    def read(self) -> Any:
        """The content as a pandas DataFrame."""
        import pandas as pd

        return pd.read_csv(self.path)

    def write(self, table: Any) -> None:
        """Write a pandas DataFrame, without its index, with Unix line ends."""
        with replacing(self.path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


class Curves(Csv):
    """Learning curves that `dvc plots show` and `dvc plots diff` draw: one row an epoch."""

    kind = "plots"
    plot = {"x": "epoch", "y": "val_loss", "title": "Validation loss by epoch"}


class Confusion(Csv):
    """Columns actual and predicted, one row an example; `dvc plots show` draws the matrix."""

    kind = "plots"
    plot = {"x": "actual", "y": "predicted", "template": "confusion", "title": "Confusion"}


class Page(Artifact):
    """An HTML page in one file."""

    suffix = ".html"

    def write(self, text: str) -> None:
        """Write the page's text as UTF-8."""
        with replacing(self.path) as temporary:
            temporary.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Bundle:
    """Several artifacts of one stage, each a field of an `Artifact` type."""

    @classmethod
    def at(cls, folder: Path) -> Self:
        """The bundle whose files lie in `folder`, named after the fields."""
        types = get_type_hints(cls)
        return cls(
            **{
                field.name: types[field.name](folder / (field.name + types[field.name].suffix))
                for field in fields(cls)
            }
        )

    def leaves(self) -> list[Artifact]:
        """Every artifact, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class Raw(Bundle):
    """What the user gives."""

    data: Source
    """The raw data, tracked with `dvc add`."""
    expected: Source
    """What they must look like, a file that the user may edit; tracked with git."""


@dataclass(frozen=True)
class Given:
    """All that the user gives to a flow; what is not given is `Source(Path())`."""

    raw: Raw
    pretrained: Source
    """What is transferred from: weights, models, other data sets; a file or a folder."""
    teacher: Source
    """A model of the user's own to distil from."""
    unlabelled: Source
    """Examples without targets, for distillation."""
