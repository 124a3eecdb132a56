"""Pictures as `ingest` reads them: folders, lists and arrays."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dataset import reading
from dataset.checks.findings import Finding
from dataset.examples import GIVEN, PICTURE, Examples, Schema, Texts
from dataset.reading import Read
from dataset.tables.cells import Missing, Origin
from dataset.target import Task

if TYPE_CHECKING:
    from dataset.ingest_settings import IngestParams


def read(path: Path, params: "IngestParams") -> Read:
    """What a folder, a list or arrays of pictures hold; raises InputError."""
    import pandas as pd

    from dataset.pictures.files import read_pictures
    from dataset.pictures.labelled import PictureSettings
    from dataset.tables.cells import read_cells
    from dataset.tables.targets import read_targets

    settings = PictureSettings(
        size=params.size,
        channels=params.channels,
        label=params.target[0],
        path=params.picture,
        part=None,
        missing=params.missing,
    )
    held = read_pictures(path, settings)
    origin = Origin(path)
    labels = pd.Series(held.labels, dtype=object, name=params.target[0])
    target = read_targets([read_cells(labels, Missing((), {}))], params.task, origin)
    rows = np.arange(len(labels), dtype=np.int64)
    examples = Examples({PICTURE: held.pictures}, target.values, rows)
    schema = schema_of(held.pictures, params.task, target.names)
    aside: Texts = {} if held.parts is None else {GIVEN: held.parts}
    return reading.whole(
        examples,
        schema,
        aside,
        source=str(path),
        notes=held.notes,
        findings=_broken(held.broken),
    )


def schema_of(pictures: npt.NDArray[np.generic], task: Task, targets: tuple[str, ...]) -> Schema:
    """The schema of `(n, h, w, c)` pictures."""
    shape = tuple(int(size) for size in pictures.shape[1:])
    return Schema(kind="pictures", task=task, targets=targets, columns=(), shape=shape)


def _broken(broken: list[tuple[str, str]]) -> list[Finding]:
    if not broken:
        return []
    listed = "; ".join(f"{name}: {reason}" for name, reason in broken[:5])
    more = f"; and {len(broken) - 5:,} more" if len(broken) > 5 else ""
    return [
        Finding(
            "broken_pictures",
            "warning",
            f"{len(broken):,} pictures cannot be used and were set aside ({listed}{more})",
            "Fetch them again, or remove them.",
        )
    ]
