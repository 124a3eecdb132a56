"""The promotion part: taken from the training rows, and nothing else moves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset import partition
from dataset.examples import Examples
from dataset.partition import HOLDOUT, LEFT_OUT, PROMOTION, TRAIN, VALIDATION
from pipeline.errors import InputError
from tests.dataset import tabled
from tests.tasks.test_split import assigned, examples, params, run, texts


@given(st.integers(0, 50), st.floats(0.05, 0.4))
def test_whoever_begins_to_want_it_takes_it_from_the_training_rows(seed: int, share: float) -> None:
    keys = np.random.default_rng(seed).integers(0, 2**63, 400).astype(np.uint64)
    without = partition.by_fractions(keys, 0.2, 0.2, seed)
    wanted = partition.by_fractions(keys, 0.2, 0.2, seed, share)
    moved = without != wanted
    assert set(without[moved].tolist()) <= {TRAIN}
    assert set(wanted[moved].tolist()) <= {PROMOTION}
    # Rows added later move no old one.
    added = np.concatenate([keys, keys + np.uint64(1)])
    assert partition.by_fractions(added, 0.2, 0.2, seed, share)[:400].tolist() == wanted.tolist()


def test_it_has_its_fraction_on_average() -> None:
    codes = partition.by_fractions(np.arange(100_000, dtype=np.uint64), 0.2, 0.1, 1, 0.15)
    assert abs((codes == PROMOTION).mean() - 0.15) < 0.005


@given(st.integers(1, 30), st.integers(0, 9))
def test_by_counts_it_has_at_least_so_many_and_equal_keys_stay_together(
    count: int, seed: int
) -> None:
    keys = np.random.default_rng(seed).integers(0, 60, 100).astype(np.uint64)
    codes = partition.by_counts(keys, 10, 10, seed, count)
    assert (codes == PROMOTION).sum() >= count
    assert all(len(set(codes[keys == key].tolist())) == 1 for key in set(keys.tolist()))
    without = partition.by_counts(keys, 10, 10, seed)
    assert set(without[without != codes].tolist()) <= {TRAIN}


def test_of_times_the_newest_are_for_promotion() -> None:
    codes, begins = partition.by_time(np.arange(20), 0.2, 0.2, 1, 0.1)
    expected = [TRAIN] * 9 + [LEFT_OUT] + [VALIDATION] * 3 + [LEFT_OUT]
    expected += [HOLDOUT] * 3 + [LEFT_OUT] + [PROMOTION] * 2
    assert codes.tolist() == expected
    assert begins == (10, 14, 18)


def test_a_column_may_name_it_and_is_left_in_peace_if_it_does() -> None:
    names = texts(*["train"] * 40, *["test"] * 10, *["val"] * 10, *["Promotion"] * 5)
    many = examples(["a", "b"] * 32 + ["a"])
    settings: dict[str, Any] = {"method": "column", "part": "which"}
    for promotion in (0, 0.2):
        codes, notes = assigned(many, {"which": names}, params(**settings, promotion=promotion))
        assert np.flatnonzero(codes == PROMOTION).tolist() == [60, 61, 62, 63, 64]
        assert notes == []
    names[60:] = "train"
    codes, notes = assigned(many, {"which": names}, params(**settings, promotion=0.2))
    assert 0 < (codes == PROMOTION).sum() < 30
    assert set(names[codes == PROMOTION].tolist()) == {"train"}
    assert (codes == HOLDOUT).sum() == 10
    assert notes == ["'which' names no promotion rows: taken from the training rows"]


def test_it_is_written_with_what_belongs_together(tmp_path: Path) -> None:
    many = examples(["a", "b"] * 100)
    who = texts(*(f"patient {row % 40}" for row in range(200)))
    settings = params(group="who", promotion=0.2)
    out = run(tmp_path, many, settings, {"who": who})
    codes, _ = assigned(many, {"who": who}, settings)
    blocks = list(out.promotion.blocks())
    rows = np.concatenate([block.rows for block, _ in blocks])
    units = np.concatenate([units for _, units in blocks])
    assert rows.tolist() == np.flatnonzero(codes == PROMOTION).tolist()
    assert units.tolist() == partition.text_keys(who[rows]).tolist()
    others = [out.development.train(), out.development.validation(), out.holdout.read()]
    assert not set(rows.tolist()) & {row for one in others for row in one.rows.tolist()}
    summary = out.summary.read()
    assert summary["rows"]["promotion"] == len(rows) == sum(summary["parts"]["promotion"].values())
    assert f"{len(rows)} rows are kept for the comparison of" in " ".join(summary["notes"])


def test_without_it_there_is_a_schema_and_no_more(tmp_path: Path) -> None:
    out = run(tmp_path, examples(["a", "b", "b"] * 60), params())
    assert [path.name for path in out.promotion.path.iterdir()] == ["schema.json"]
    assert list(out.promotion.blocks()) == []
    assert set(out.summary.read()["rows"]) == {"train", "validation", "holdout"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"promotion": 0.6}, "must leave rows to train on"),
        ({"promotion": 10}, "promotion must be a fraction or a count as"),
        ({"promotion": 1.0}, "promotion"),
        ({"promotion": -1}, "promotion"),
    ],
)
def test_shares_that_cannot_be_are_told(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        params(**changed)


def test_a_part_that_stays_empty_is_told(tmp_path: Path) -> None:
    few: Examples = tabled.table(["a", "b", "a"], {"x": [1, 2, 3]})[0]
    with pytest.raises(InputError, match="4 are needed"):
        run(tmp_path, few, params(method="random", promotion=0.2))
    times = texts(*"123" * 3)
    with pytest.raises(InputError, match="validation, holdout and promotion need one each"):
        assigned(
            examples(["a"] * 9),
            {"day": times},
            params(method="time", time=("day",), promotion=0.2),
        )
