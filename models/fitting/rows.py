"""Encoded examples: an array in memory, or rows in a file where that would be too much.

Both are read by slices. What stands in a file is read in blocks, so the memory taken does not
depend on the number of rows.
"""

import os
import tempfile
import weakref
from collections.abc import Iterable
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

IN_MEMORY_BYTES = 1 << 29
"""Encoded examples of one part that take more than this (0.5 GiB) go to a file."""
BLOCK_ROWS = 1 << 14
"""Rows of a file that lie together in every epoch, at the most; see `block_rows`."""
POOL_BYTES = 1 << 26
"""Of a file read at once (64 MiB), several blocks; batches are drawn from one pool at a time."""
MIXED = 8
"""Blocks that a pool holds at the least, so that a batch is not of neighbours alone."""


class Rows(Protocol):
    """`(n, …)` float32; NumPy's arrays are rows too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n, …)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: slice, /) -> Any: ...


class FileRows:
    """`(n, …)` float32 rows in a file without a name, which is gone when the process is."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """`shape` of one row; there are none yet."""
        self._row = shape
        self._count = 0
        self._file = tempfile.TemporaryFile(prefix="fettle-")  # noqa: SIM115  closed with `self`
        weakref.finalize(self, self._file.close)
        self._row_bytes = prod(shape) * np.dtype(np.float32).itemsize

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n, …)`."""
        return (self._count, *self._row)

    def __len__(self) -> int:
        return self._count

    def append(self, rows: npt.NDArray[np.float32]) -> None:
        """Write `(m, …)` rows behind the others."""
        rows.astype(np.float32, copy=False).tofile(self._file)
        self._file.flush()
        self._count += len(rows)

    def __getitem__(self, places: slice, /) -> npt.NDArray[np.float32]:
        start, stop, step = places.indices(self._count)
        if step != 1:
            raise ValueError(f"rows in a file are read one after the other, got a step of {step}")
        size = max(0, stop - start) * self._row_bytes
        # Unlike a read at the file's own position, several threads may do this.
        raw = _read(self._file.fileno(), size, start * self._row_bytes)
        return np.frombuffer(raw, dtype=np.float32).reshape(-1, *self._row)


def _read(file: int, size: int, begin: int) -> bytes:
    """`size` bytes of a file from `begin` on; one call gives 2 GiB at the most, and may give less.

    Raises OSError where the file ends before.
    """
    parts: list[bytes] = []
    while missing := size - sum(map(len, parts)):
        part = os.pread(file, missing, begin + size - missing)
        if not part:
            raise OSError(f"a file of encoded examples ends {missing:,} bytes too early")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def collect(blocks: Iterable[npt.NDArray[np.float32]], count: int) -> Rows:
    """All rows of the blocks, of which there are `count`: in memory, or in a file if too many."""
    parts = iter(blocks)
    first = next(parts)
    if count * first[:1].nbytes <= IN_MEMORY_BYTES:
        rest = list(parts)
        return np.concatenate([first, *rest]) if rest else first
    rows = FileRows(first.shape[1:])
    rows.append(first)
    for block in parts:
        rows.append(block)
    return rows


def block_rows(rows: Rows) -> int:
    """How many rows make a block: fewer where they are large, such as pictures."""
    return min(BLOCK_ROWS, max(1, POOL_BYTES // (MIXED * _row_bytes(rows))))


def blocks_of(rows: Rows) -> int:
    """How many blocks the rows have; the last one may be shorter."""
    return -(-len(rows) // block_rows(rows))


def pool_blocks(rows: Rows) -> int:
    """How many blocks make a pool, at least one."""
    return max(1, POOL_BYTES // (block_rows(rows) * _row_bytes(rows)))


def _row_bytes(rows: Rows) -> int:
    return max(1, prod(rows.shape[1:]) * np.dtype(np.float32).itemsize)
