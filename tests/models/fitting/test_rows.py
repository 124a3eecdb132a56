"""Rows in a file read like rows in memory."""

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
