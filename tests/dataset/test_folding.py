"""The file of folds: whose places it gives, and the same bytes."""

from pathlib import Path

import numpy as np

from dataset import folding
from dataset.folding import Folding


def test_the_file_gives_places_in_rows_that_are_there_several_times(tmp_path: Path) -> None:
    rows = np.array([7, 3, 5, 9], dtype=np.int64)
    held = Folding(np.int32([0, 1, 1, 0]), np.int32([0, 0, 0, 0]))
    path = tmp_path / "folds.parquet"
    folding.write([held, held], rows, path)
    there = np.array([3, 5, 7, 7, 9], dtype=np.int64)
    pairs = folding.read(path, there)
    assert len(pairs) == 4
    assert [one.tolist() for one in pairs[0]] == [[0, 1], [2, 4]]
    assert [one.tolist() for one in pairs[1]] == [[2, 3, 4], [0, 1]]
    before = path.read_bytes()
    folding.write([held, held], rows, path)
    assert path.read_bytes() == before
    folding.write([], rows, path)
    assert not path.exists()
