"""What a model was shown and what it said, a row a prediction: `./fettle predict --log`.

A CSV file that is only ever appended to. Of a table's rows it has the inputs as the model took them
(numbers as float32, times as ISO 8601), of pictures their names, brightness and contrast; then the
targets, empty where they are not known yet, and the predictions. Texts are as they are: it is made
to be read by `./fettle drift`, not by a spreadsheet.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.arrivals import Arrivals
from dataset.checks.reference import looked_at, looks
from dataset.examples import Examples, Schema
from dataset.target import Target
from metrics.threshold import Decision
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TIME, MODEL = "fettle time", "fettle model"
"""Columns that say when a row was predicted (UTC), and by which model."""
LETTERS = 12
"""Of a model's hash, which tell it from any other."""

Array = npt.NDArray[Any]


def identity(model: Path) -> str:
    """What a log calls the model."""
    return hashlib.sha256(model.read_bytes()).hexdigest()[:LETTERS]


def append(
    path: Path,
    new: Arrivals,
    schema: Schema,
    target: Target,
    said: tuple[Decision, npt.NDArray[np.float32]],
    *,
    model: str,
    time: str,
) -> None:
    """Write a row for every prediction behind those that are there.

    Raises InputError, before anything is written, where the file has other columns or does not end
    with a whole line, or a column of the data is called like one of the predictions.
    """
    table = _table(new, schema, target, said, model, time)
    header = ",".join(_quoted(name) for name in table.columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        # Else two who append would mix their rows, or both begin the file.
        fcntl.flock(file, fcntl.LOCK_EX)
        there = _fitting(path, header)
        text = table.to_csv(index=False, header=not there, lineterminator="\n")
        file.write(text.encode("utf-8"))


@contextmanager
def undisturbed(path: Path) -> Iterator[None]:
    """Let nobody append to a log while it is read: its last row is whole then."""
    if not path.is_file():
        # A folder, or nothing: whoever reads it says so.
        yield
        return
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _fitting(path: Path, header: str) -> bool:
    """Whether the file has rows already; raises InputError where they are not such rows."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        first = file.readline().decode("utf-8", "replace").rstrip("\r\n")
        file.seek(-1, 2)
        last = file.read()
    if first != header:
        raise InputError(
            f"--log: {path}: its columns are not those of this model's inputs and predictions.\n"
            "Give another file: each model's columns have a log of their own."
        )
    if last != b"\n":
        raise InputError(
            f"--log: {path}: its last line is not whole: whoever wrote it was interrupted.\n"
            "Take that line out, or end it, and run again."
        )
    return True


def _table(
    new: Arrivals,
    schema: Schema,
    target: Target,
    said: tuple[Decision, npt.NDArray[np.float32]],
    model: str,
    time: str,
) -> "pd.DataFrame":
    import pandas as pd

    count = len(new.names)
    columns: dict[str, Any] = {TIME: [time] * count, MODEL: [model] * count}
    if schema.kind == "pictures":
        columns[new.what] = list(new.names)
    places = np.arange(count, dtype=np.int64)
    shown = looks(Examples(new.features, np.zeros(count), places)).features
    parts = [
        {
            column.name: _as_text(shown[column.name], column.type)
            for column in looked_at(schema).columns
        },
        _targets(new, schema, count),
        predicted(target, *said),
    ]
    for part in parts:
        if twice := sorted(set(part) & set(columns)):
            raise InputError(
                f"--log: the data have a column {twice[0]!r}, which is what a log calls something "
                "else.\nGive the column another name, or do without --log."
            )
        columns |= part
    return pd.DataFrame(columns)


def predicted(target: Target, decision: Decision, predictions: Array) -> dict[str, Array]:
    """Columns of answers and probabilities, by name."""
    answers = decision.answers(predictions)
    if target.task == "regression":
        return {f"prediction {name}": predictions[:, at] for at, name in enumerate(target.names)}
    columns: dict[str, Array] = {}
    if target.task == "classification":
        columns["prediction"] = np.array(target.names, dtype=object)[answers]
    else:
        columns |= {
            f"prediction {name}": answers[:, at].astype(np.int64)
            for at, name in enumerate(target.names)
        }
    return columns | {
        f"probability {name}": predictions[:, at] for at, name in enumerate(target.names)
    }


def _targets(new: Arrivals, schema: Schema, count: int) -> dict[str, Array]:
    """The targets by name, "" where they are not known."""
    held = np.full((count, len(schema.targets)), "", dtype=object)
    if new.known is not None:
        known = new.known.targets.reshape(len(new.known.places), -1)
        numbers = known.dtype.kind == "f"
        held[new.known.places] = [
            [f"{value:.9g}" if numbers else str(value) for value in row] for row in known.tolist()
        ]
    return {name: held[:, at] for at, name in enumerate(schema.targets)}


def _as_text(values: Array, kind: str) -> Array:
    if kind != "time":
        return values
    import pandas as pd

    times = pd.to_datetime(pd.Series(values), unit="D", utc=True).dt.round("ms")
    return np.array(
        ["" if pd.isna(one) else one.strftime("%Y-%m-%dT%H:%M:%S.%f") for one in times],
        dtype=object,
    )


def _quoted(name: str) -> str:
    """A column's name as pandas writes it into a header."""
    marks = any(mark in name for mark in ',"\r\n')
    return '"' + name.replace('"', '""') + '"' if marks else name
