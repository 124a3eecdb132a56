"""What a table wants predicted: classes, labels or quantities, and how much each row counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.tables.cells import Cells, Floats, Mask, Origin, Words, numbers
from dataset.tables.types import quantities, wrong_cell
from dataset.target import Task
from pipeline.errors import InputError

MOST_CLASSES = 1000
"""More distinct targets than this are an id or a quantity, not classes."""
SEPARATORS = (";", "|", ",")
"""Between the labels of one cell: the first of these that any cell of the column holds."""
WORDS = {"1": 1, "true": 1, "yes": 1, "0": 0, "false": 0, "no": 0}
"""What a column of a label may say, in any case; a number may be written in any way."""
NO, YES = 0.0, 1.0


@dataclass(frozen=True)
class Targets:
    """What is to be predicted for n rows."""

    names: tuple[str, ...]
    """The target columns; of labels listed in one column, the labels in order."""
    values: npt.NDArray[Any]
    """As `dataset.examples.Examples` has them."""


def known(columns: Sequence[Cells]) -> Mask:
    """`(n,)` which rows miss none of the targets."""
    there: Mask = ~np.any([cells.absent for cells in columns], axis=0)
    return there


def read_targets(columns: Sequence[Cells], task: Task, origin: Origin) -> Targets:
    """The targets of rows that miss none; raises InputError where there is nothing to learn."""
    if task == "classification":
        return _classes(columns[0], origin)
    if task == "multilabel":
        return _labels(columns, origin)
    return _quantities(columns, origin)


def read_weights(cells: Cells, origin: Origin) -> npt.NDArray[np.float32]:
    """`(n,)` how much each row counts; raises InputError, naming the row, below 0 or missing."""
    weights = quantities(cells, origin)
    wrong = np.flatnonzero(~(weights >= 0))
    if wrong.size:
        what = "is no weight: it has to be 0 or more"
        raise wrong_cell(cells, int(wrong[0]), what, origin)
    if not weights.any():
        raise InputError(f"{origin}: the weight {cells.name!r} is 0 in every row.")
    return weights


def _classes(cells: Cells, origin: Origin) -> Targets:
    labels = cells.texts()
    counts = Counter(labels.tolist())
    if len(counts) < 2:
        raise InputError(
            f"{origin}: the target {cells.name!r} has one class only, {next(iter(counts))!r}; "
            "there is nothing to tell apart."
        )
    if len(counts) > MOST_CLASSES:
        raise InputError(
            f"{origin}: the target {cells.name!r} has {len(counts)} distinct values; "
            f"at most {MOST_CLASSES} classes can be told apart.\n"
            "Is it an id, or a quantity? A quantity is for ingest.task: regression."
        )
    _require_one_spelling(cells, sorted(counts), origin)
    return Targets((cells.name,), labels)


def _require_one_spelling(cells: Cells, labels: Sequence[str], origin: Origin) -> None:
    """Raise InputError where two labels are one number."""
    seen: dict[float, str] = {}
    for label, value in zip(labels, spelled(labels).tolist(), strict=True):
        if np.isfinite(value) and seen.setdefault(value, label) != label:
            raise InputError(
                f"{origin}: the target {cells.name!r} writes one number in two ways, "
                f"{seen[value]!r} and {label!r}.\nWrite it in one way; or, if they are two "
                "classes, as texts that are no numbers."
            )


def spelled(labels: Sequence[str]) -> Floats:
    """`(n,)` the numbers that texts spell; not finite for other texts."""
    import pyarrow as pa

    return numbers(pa.array(labels, pa.large_string()))


def _labels(columns: Sequence[Cells], origin: Origin) -> Targets:
    if len(columns) == 1 and not np.isfinite(flags(columns[0])).all():
        return _listed(columns[0], origin)
    held = []
    for cells in columns:
        values = flags(cells)
        wrong = np.flatnonzero(np.isnan(values))
        if wrong.size:
            what = "says neither yes nor no. Give 1 or 0, true or false, yes or no"
            raise wrong_cell(cells, int(wrong[0]), what, origin)
        if values.min() == values.max():
            raise InputError(
                f"{origin}: the label {cells.name!r} holds {'always' if values[0] else 'never'}; "
                "there is nothing to tell apart.\nTake it out of ingest.target."
            )
        held.append(values.astype(np.float32))
    return Targets(tuple(cells.name for cells in columns), np.stack(held, axis=1))


def flags(cells: Cells) -> Floats:
    """`(n,)` 1 for yes, 0 for no, by `WORDS` or by value; NaN for other cells."""
    texts = [text.lower() for text in cells.texts().tolist()]
    said = np.array([WORDS.get(text, np.nan) for text in texts])
    values = cells.numbers()
    return np.where(np.isin(values, (NO, YES)), values, said)


def _listed(cells: Cells, origin: Origin) -> Targets:
    listed = split_labels(cells.texts())
    names = sorted({label for labels in listed for label in labels})
    if not 2 <= len(names) <= MOST_CLASSES:
        raise InputError(
            f"{origin}: the target {cells.name!r} lists {len(names)} distinct labels; "
            f"2 to {MOST_CLASSES} can be told apart.\n"
            f"A cell lists its labels with one of {' '.join(SEPARATORS)} between them."
        )
    return Targets(tuple(names), hold(listed, names))


def split_labels(cells: Words) -> list[list[str]]:
    """The labels that each cell lists, stripped; a cell of a separator alone lists none."""
    texts = cells.tolist()
    separator = next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)
    parted = [text.split(separator) if separator else [text] for text in texts]
    return [[label.strip() for label in labels if label.strip()] for labels in parted]


def hold(listed: Sequence[Sequence[str]], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """`(n, k)` 1 where a row lists the label `names[k]`, else 0; other labels are passed over."""
    places = {name: place for place, name in enumerate(names)}
    held = np.zeros((len(listed), len(names)), dtype=np.float32)
    for row, labels in enumerate(listed):
        held[row, [places[label] for label in labels if label in places]] = YES
    return held


def _quantities(columns: Sequence[Cells], origin: Origin) -> Targets:
    values = np.stack([quantities(cells, origin) for cells in columns], axis=1)
    for cells, column in zip(columns, values.T, strict=True):
        if column.min() == column.max():
            raise InputError(
                f"{origin}: the target {cells.name!r} is {column[0]:g} in every row; "
                "there is nothing to learn."
            )
    return Targets(tuple(cells.name for cells in columns), values)
