"""Some of many encoded examples, wherever these lie, and the same ones every time."""

from typing import Any

import numpy as np
import numpy.typing as npt

from models.fitting.rows import Rows, block_rows


def spread(count: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """At most `most` of `count` places, drawn from `seed`, rising."""
    if count <= most:
        return np.arange(count)
    drawn = np.random.default_rng(seed).choice(count, most, replace=False, shuffle=False)
    return np.sort(drawn)


def taken(rows: Rows, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The rows at rising `places`, `(m, …)`, read a block at a time."""
    if isinstance(rows, np.ndarray):
        # The common case is all of them.
        return rows if len(places) == len(rows) else rows[places]
    parts: list[Any] = [np.zeros((0, *rows.shape[1:]), dtype=np.float32)]
    size = block_rows(rows)
    for start in range(0, len(rows), size):
        inside = places[(places >= start) & (places < start + size)]
        if len(inside):
            parts.append(rows[start : start + size][inside - start])
    return np.concatenate(parts)
