"""Data and results of somebody else: what is read from them is numbers and texts."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from dataset.pictures.arrays import read_arrays
from dataset.pictures.labelled import PictureSettings
from dataset.tables.files import read_feather, read_parquet
from models.candidate import Quantised, Trained, Yardsticks
from models.judging.champion import Champion
from models.training import Run
from pipeline import pieces
from pipeline.errors import InputError
from tests.security import hostile


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "harm"


def test_the_arrays_would_do_harm_if_they_were_let(tmp_path: Path, mark: Path) -> None:
    path = hostile.arrays(tmp_path / "data.npz", mark, "x")
    with np.load(path, allow_pickle=True) as arrays:
        _ = arrays["x"]
    assert mark.exists()


def test_pictures_in_an_archive_are_numbers(tmp_path: Path, mark: Path) -> None:
    path = hostile.arrays(tmp_path / "data.npz", mark, "x", "y")
    with pytest.raises(InputError, match=r"data\.npz"):
        read_arrays(path, PictureSettings(None, None, None, None, None, ()))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("made", "name", "read"),
    [
        (Trained, "predictions.npz", lambda one: one.predictions()),
        (Yardsticks, "predictions.npz", lambda one: one.read()),
        (Quantised, "predictions.npz", lambda one: one.predictions()),
        (Champion, "known.npz", lambda one: one.known()),
    ],
)
def test_results_of_a_run_are_numbers(
    made: Any, name: str, read: Callable[[Any], object], tmp_path: Path, mark: Path
) -> None:
    hostile.arrays(tmp_path / name, mark, "predictions", "known")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read(made(tmp_path))
    assert not mark.exists()


def test_a_piece_that_somebody_left_is_made_again_and_not_opened(
    tmp_path: Path, mark: Path
) -> None:
    path = hostile.arrays(tmp_path / "piece.npz", mark, "tree", "0", "1")
    assert pieces._recall(path, Run) is None
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["parquet", "feather"])
@pytest.mark.parametrize("name", [b"arrow.py_extension_type", b"pandas.period", b"arrow.opaque"])
def test_a_column_of_somebody_elses_type_is_read_as_what_it_is_stored_as(
    kind: str, name: bytes, tmp_path: Path, mark: Path
) -> None:
    """Arrow once unpickled what a file said of such a type."""
    import pickle

    told = {b"ARROW:extension:name": name, b"ARROW:extension:metadata": _pickled(mark)}
    field = pa.field("a", pa.int64(), metadata=told)
    table = pa.table([pa.array([1, 2, 3])], schema=pa.schema([field], {b"pandas": b"{}"}))
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, store_schema=True)
        read = read_parquet
    else:
        feather.write_feather(table, path)
        read = read_feather
    with contextlib.suppress(InputError):
        assert list(read(path)["a"]) == [1, 2, 3]
    assert not mark.exists()
    pickle.loads(_pickled(mark))  # noqa: S301 - to see that it would have
    assert mark.exists()


def _pickled(mark: Path) -> bytes:
    import pickle

    return pickle.dumps(hostile.Touching(mark))
