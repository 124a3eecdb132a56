import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from models.settings import NetworkSpec
from pipeline import pieces, snapshot
from pipeline.executor import Label, Reads, Writes
from pipeline.pieces import FOLDER, Remembering
from tests.in_series import InSeries
from tests.models import small


@dataclass(frozen=True)
class Inner:
    number: int
    share: float | None


@dataclass(frozen=True)
class Found:
    text: str
    array: np.ndarray
    inner: tuple[tuple[Inner, ...], ...]
    pair: tuple[int, str]
    right: bool


@dataclass(frozen=True)
class Item:
    data: Reads
    factor: int
    spec: NetworkSpec = small.SPEC
    name: Label = "a piece"
    folder: Writes = None


@dataclass(frozen=True)
class Told:
    value: int
    lasting: bool = True


CALLS: list[int] = []


def multiply(item: Item) -> Told:
    CALLS.append(item.factor)
    return Told(len(Path(item.data).read_text()) * item.factor, item.factor != 13)


def edit_and_multiply(item: Item) -> Told:
    Path("code.py").write_text("edited")
    return multiply(item)


def change_data_and_multiply(item: Item) -> Told:
    Path(item.data).write_text("changed meanwhile")
    return multiply(item)


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    """A folder whose code is one file, on which everything here depends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pieces, "closure", lambda module, root: ["code.py"])
    monkeypatch.setattr(pieces, "RUNTIME", ("requirements.lock",))
    for name in ("code.py", "requirements.lock", "data.txt"):
        Path(name).write_text(name)
    CALLS.clear()


def remembering(recalled=lambda name: None):
    paths = ["code.py", "requirements.lock"]
    code = snapshot.Snapshot({path: snapshot._content(Path(path)) for path in paths})
    return Remembering(InSeries(), code, Path(), recalled)


def run(*items, function=multiply, **others):
    names = [f"piece {item.factor}" for item in items]
    return [told.value for told in remembering(**others).map(function, items, names, keep=True)]


FIRST, SECOND = Item("data.txt", 2), Item("data.txt", 3)


def test_a_finished_piece_is_recalled_and_the_others_are_run():
    recalled = []

    assert run(FIRST) == [16]
    assert run(SECOND, FIRST, recalled=recalled.append) == [24, 16]

    assert CALLS == [2, 3]
    assert recalled == ["piece 2"]


def test_without_being_asked_nothing_is_kept():
    remembering().map(multiply, [FIRST], ["one"])

    assert not FOLDER.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("code.py").write_text("other"),
        lambda: Path("requirements.lock").write_text("other"),
        lambda: Path("data.txt").write_text("data.tyt"),
        lambda: {"factor": 4},
        lambda: {"spec": small.spec(width=5)},
        lambda: {"function": edit_and_multiply},
    ],
)
def test_what_a_result_follows_from_is_in_its_key(change):
    run(FIRST)
    changed = change()
    changed = changed if isinstance(changed, dict) else {}
    function = changed.pop("function", multiply)

    run(replace(FIRST, **changed), function=function)

    assert len(CALLS) == 2


def test_names_and_places_are_not_in_the_key():
    run(FIRST)
    Path("elsewhere.txt").write_text("data.txt")

    run(replace(FIRST, name="another"))
    # Of a file alone the name is no part of what is read.
    run(replace(FIRST, data="elsewhere.txt"))
    os.utime("data.txt", (1, 1))
    run(FIRST)

    assert len(CALLS) == 1


@pytest.mark.parametrize("function", [edit_and_multiply, change_data_and_multiply])
def test_a_result_whose_sources_moved_meanwhile_is_not_kept(function):
    run(FIRST, function=function)

    assert not FOLDER.exists()


def test_a_result_that_says_so_is_not_kept():
    run(Item("data.txt", 13))

    assert not FOLDER.exists()


def test_pieces_that_leave_files_are_refused():
    with pytest.raises(ValueError, match="leaves files"):
        run(replace(FIRST, folder="somewhere"))


def test_a_damaged_file_is_run_again(caplog):
    run(FIRST)
    [path] = FOLDER.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:50], whole[:-40] + bytes(40), b"nonsense" * 9):
        path.write_bytes(damaged)

        assert run(FIRST) == [16]

    assert len(CALLS) == 5
    assert "damaged" in caplog.text
    assert path.read_bytes() == whole


def test_beyond_the_limit_what_was_used_long_ago_is_removed(monkeypatch):
    run(FIRST, SECOND)
    for place, path in enumerate(sorted(FOLDER.iterdir())):
        os.utime(path, (place + 1, place + 1))
    run(FIRST)  # recalled, and so used lately
    monkeypatch.setattr(pieces, "MOST", 2.5 * path.stat().st_size)

    run(Item("data.txt", 4))
    run(FIRST)

    assert CALLS == [2, 3, 4]
    run(SECOND)
    assert CALLS == [2, 3, 4, 3]


INNER = st.builds(Inner, st.integers(), st.none() | st.floats())
FOUND = st.builds(
    Found,
    st.text(st.characters(exclude_categories=["Cs"])),
    arrays_of.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.bool_, ">f4", "<U3"]),
        arrays_of.array_shapes(min_dims=0, min_side=0, max_side=3),
    ),
    st.lists(st.lists(INNER, max_size=2).map(tuple), max_size=2).map(tuple),
    st.tuples(st.integers(), st.text("ab")),
    st.booleans(),
)


@given(FOUND)
def test_what_is_read_is_what_was_written_bit_for_bit(found):
    path = Path("result.npz")
    pieces.write(found, path)

    back = pieces.read(path, Found)

    assert back.array.dtype == found.array.dtype
    assert back.array.tobytes() == found.array.tobytes()
    assert back.array.shape == found.array.shape
    assert repr(replace(back, array=None)) == repr(replace(found, array=None))


def test_a_loss_that_is_no_number_comes_back():
    pieces.write(Inner(1, math.nan), Path("result.npz"))

    assert math.isnan(pieces.read(Path("result.npz"), Inner).share)


@dataclass(frozen=True)
class Odd:
    value: object = field(default=None)


@pytest.mark.parametrize(
    "value", [np.float64(1.0), [1], {"a": 1}, np.array([None], dtype=object), 1j]
)
def test_what_could_not_be_read_back_is_refused(value):
    with pytest.raises(TypeError, match="cannot be kept"):
        pieces.write(Odd(value), Path("result.npz"))
    assert list(Path().glob("*.npz")) == []
