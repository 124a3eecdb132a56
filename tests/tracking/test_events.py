"""Journals read as events."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.tracking import told
from tracking import events
from tracking.events import EpochEnded, FitBegun, Names, RunEnded, StageEnded

NAMES = st.text(st.characters(exclude_characters="."), min_size=1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def test_all_files_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    place = told.place(tmp_path)
    told.write(place, told.whole())
    found, offsets = events.read(place.journal, {})
    assert len(found) == sum(map(len, told.whole().values()))
    assert [event.time for event in found] == sorted(event.time for event in found)
    assert len({event.fit for event in found if isinstance(event, FitBegun)}) == 3
    assert events.read(place.journal, offsets) == ([], offsets)
    assert events.left(place.journal, offsets) == 0
    assert events.left(place.journal, {}) == len(found)


def test_what_is_new_is_read_from_where_it_begins(tmp_path: Path) -> None:
    place = told.place(tmp_path)
    told.write(place, {"1-1": told.stage()})
    _, offsets = events.read(place.journal, {})
    told.write(place, {"1-1": [told.END], "2-1": told.fit(1, "a")})
    found, _ = events.read(place.journal, offsets)
    assert len(found) == 5
    assert any(isinstance(event, RunEnded) for event in found)


def test_a_line_under_way_is_left_and_a_strange_one_passed_over(tmp_path: Path) -> None:
    line = json.dumps({"time": 1.0, **told.END})
    path = tmp_path / "1-1.jsonl"
    path.write_text(f'{{"event": "run be\n[1]\nnull\n{{"event": "later"}}\n{line}\n{line[:9]}')
    found, offsets = events.read(tmp_path, {})
    assert [type(event) for event in found] == [RunEnded]
    with path.open("a") as file:
        file.write(line[9:] + "\n")
    found, _ = events.read(tmp_path, offsets)
    assert [type(event) for event in found] == [RunEnded]


def test_no_more_is_read_at_once_than_there_is_room_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(events, "MOST", 1000)
    place = told.place(tmp_path)
    told.write(place, {"1-1": told.fit(1, "a", epochs=20)})
    offsets: dict[str, int] = {}
    count = 0
    while True:
        found, moved = events.read(place.journal, offsets)
        if moved == offsets:
            break
        assert moved["1-1.jsonl"] - offsets.get("1-1.jsonl", 0) <= 1000
        offsets, count = moved, count + len(found)
    assert count == 22


def test_a_line_that_is_longer_than_that_holds_nothing_up(tmp_path: Path, monkeypatch) -> None:
    place = told.place(tmp_path)
    told.write(place, {"1-1": told.fit(1, "a", epochs=2)})
    whole = len(events.read(place.journal, {})[0])
    monkeypatch.setattr(events, "MOST", 16)
    offsets: dict[str, int] = {}
    count = 0
    while (step := events.read(place.journal, offsets))[1] != offsets:
        count, offsets = count + len(step[0]), step[1]
    assert count == whole
    assert events.left(place.journal, offsets) == 0
    # One whose end is not written yet is left.
    with (place.journal / "1-1.jsonl").open("a") as file:
        file.write('{"event": "run ended", ' + 100 * " ")
    assert events.read(place.journal, offsets) == ([], offsets)


def test_figures_of_a_diverged_fit_are_numbers(tmp_path: Path) -> None:
    line = told.fit(1, "a")[1] | {"time": 1.0, "val_loss": float("inf"), "accuracy": None}
    (tmp_path / "1-1.jsonl").write_text(json.dumps(line) + "\n")
    [event], _ = events.read(tmp_path, {})
    assert isinstance(event, EpochEnded)
    assert event.figures()["val_loss"] == float("inf")
    assert "accuracy" not in event.figures()


def test_a_fit_outside_of_stages_has_a_place(tmp_path: Path) -> None:
    line = told.fit(1, "a")[0] | {"time": 1.0, "stage": None}
    (tmp_path / "1-1.jsonl").write_text(json.dumps(line) + "\n")
    [event], _ = events.read(tmp_path, {})
    assert isinstance(event, FitBegun)
    assert event.stage == events.NOWHERE


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_flat_values_are_found_by_their_path(values) -> None:
    for path, value in events.flat(values).items():
        found = values
        for name in path.split("."):
            found = found[name]
        assert found == value


def test_numbers_are_neither_truths_nor_texts() -> None:
    assert events.numbers({"a": {"b": 1, "c": True}, "d": "2", "e": 0.5}) == {"a.b": 1.0, "e": 0.5}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=4)), max_size=9))
def test_fits_have_folders_of_their_own(called) -> None:
    names, seen = Names(), set()
    for number, (stage, name) in enumerate(called):
        line = told.fit(number, name)[0] | {"time": 1.0, "stage": stage, "fit": f"1:{number}"}
        event = FitBegun.model_validate(line)
        folder = names.of(event)
        assert names.of(event) == folder
        assert (stage, folder) not in seen
        assert folder not in ("", ".", "..")
        assert "/" not in folder
        seen.add((stage, folder))


def test_a_stage_that_failed_needs_no_figures(tmp_path: Path) -> None:
    line = {"event": "stage ended", "stage": "search", "found": "failed", "reason": "no", "time": 1}
    (tmp_path / "1-1.jsonl").write_text(json.dumps(line) + "\n")
    [event], _ = events.read(tmp_path, {})
    assert isinstance(event, StageEnded)
    assert event.metrics == {}
