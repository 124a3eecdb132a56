"""Tables of given columns, for the tests of findings and of the split."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from dataset.examples import PICTURE, Column, Examples, Schema


def table(
    targets: Any,
    columns: Mapping[str, Any],
    *,
    task: Literal["classification", "multilabel", "regression"] = "classification",
    text: tuple[str, ...] = (),
    time: tuple[str, ...] = (),
) -> tuple[Examples, Schema]:
    """Columns of numbers are numeric, of texts categorical, unless named otherwise."""
    features: dict[str, Any] = {}
    typed = []
    for name, values in columns.items():
        words = isinstance(values[0], str)
        kind: Any = "categorical" if words else "numeric"
        kind = "text" if name in text else "time" if name in time else kind
        dtype: Any = object if words else np.float64 if kind == "time" else np.float32
        features[name] = np.array(values, dtype=dtype)
        typed.append(Column(name=name, type=kind))
    if task == "classification":
        wanted, names = np.array(targets, dtype=object), ("y",)
    else:
        wanted = np.float32(targets)
        wanted = wanted[:, None] if wanted.ndim == 1 else wanted
        names = tuple(f"y{place}" for place in range(wanted.shape[1]))
        names = ("y",) if len(names) == 1 else names
    schema = Schema(kind="table", task=task, targets=names, columns=tuple(typed), shape=())
    return Examples(features, wanted, np.arange(len(wanted), dtype=np.int64)), schema


def pictures(values: Any, labels: Any) -> tuple[Examples, Schema]:
    """`(n, h, w, c)` pictures with texts as labels."""
    schema = Schema(
        kind="pictures",
        task="classification",
        targets=("y",),
        columns=(),
        shape=tuple(values.shape[1:]),
    )
    rows = np.arange(len(values), dtype=np.int64)
    return Examples({PICTURE: values}, np.array(labels, dtype=object), rows), schema
