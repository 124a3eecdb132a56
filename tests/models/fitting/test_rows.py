"""Rows in a file read like rows in memory."""

import os

import numpy as np
import pytest

from models.fitting import rows
from models.fitting.rows import FileRows, collect

ARRAY = np.arange(60, dtype=np.float32).reshape(10, 2, 3)


def test_slices_are_those_of_an_array():
    kept = FileRows((2, 3))
    kept.append(ARRAY[:4])
    kept.append(ARRAY[4:])
    assert kept.shape == ARRAY.shape
    assert len(kept) == 10
    for place in (slice(0, 10), slice(3, 5), slice(8, 99), slice(10, 12), slice(None)):
        np.testing.assert_array_equal(kept[place], ARRAY[place])
    with pytest.raises(ValueError, match="step of 2"):
        kept[::2]


@pytest.mark.parametrize("limit", [1 << 20, 100])
def test_what_is_too_much_goes_to_a_file(limit, monkeypatch):
    monkeypatch.setattr(rows, "IN_MEMORY_BYTES", limit)
    kept = collect(iter([ARRAY[:3], ARRAY[3:]]), 10)
    assert isinstance(kept, FileRows) == (limit == 100)
    np.testing.assert_array_equal(kept[0:10], ARRAY)


def test_a_read_that_gives_less_is_gone_on_with(monkeypatch):
    """One call of Linux gives 2 GiB at the most, however much is asked for."""
    kept = FileRows((2, 3))
    kept.append(ARRAY)
    whole = os.pread
    monkeypatch.setattr(rows.os, "pread", lambda file, size, at: whole(file, min(size, 50), at))
    np.testing.assert_array_equal(kept[1:9], ARRAY[1:9])
    monkeypatch.setattr(rows.os, "pread", lambda file, size, at: b"")
    with pytest.raises(OSError, match="ends 240 bytes too early"):
        kept[:]


class Shaped:
    """Rows of which nothing but the shape matters."""

    def __init__(self, *shape):
        self.shape = shape

    def __len__(self):
        return self.shape[0]


@pytest.mark.parametrize(
    "row", [(1,), (108,), (28, 28, 1), (64, 64, 3), (128, 128, 3), (512, 512, 3), (5000, 5000, 3)]
)
def test_a_pool_holds_several_blocks_and_no_more_than_its_bytes(row):
    many = Shaped(100_000, *row)
    size, pooled = rows.block_rows(many), rows.pool_blocks(many)
    large = np.prod(row) * 4 > rows.POOL_BYTES
    assert size <= rows.BLOCK_ROWS
    assert pooled >= (1 if large else rows.MIXED)
    assert large or size * pooled * np.prod(row) * 4 <= rows.POOL_BYTES
    assert rows.blocks_of(many) == -(-100_000 // size)
