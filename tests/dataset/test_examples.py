"""Examples on disk come back as they were, whole and a block at a time."""

from pathlib import Path

import numpy as np
import pytest

from dataset import examples as module
from dataset.examples import GIVEN, PICTURE, Column, Development, Examples, Holdout, Schema, Table

GENERATOR = np.random.default_rng(2)
COUNT = 100
TABLE = Schema(
    kind="table",
    task="classification",
    targets=("y",),
    columns=tuple(
        Column(name=name, type=name) for name in ("numeric", "categorical", "text", "time")
    ),
    shape=(),
)
PICTURES = Schema(
    kind="pictures", task="regression", targets=("a", "b"), columns=(), shape=(5, 4, 3)
)


def rows() -> Examples:
    number = GENERATOR.normal(size=COUNT).astype(np.float32)
    number[3] = np.nan
    return Examples(
        {
            "numeric": number,
            "categorical": GENERATOR.choice(["a", "", "NA"], COUNT).astype(object),
            "text": np.array([f"text {place}" for place in range(COUNT)], dtype=object),
            "time": GENERATOR.uniform(0, 3e4, COUNT),
        },
        GENERATOR.choice(["p", "q"], COUNT).astype(object),
        np.arange(COUNT),
    )


def pictures(kind: type) -> Examples:
    return Examples(
        {PICTURE: GENERATOR.integers(0, 255, (COUNT, 5, 4, 3)).astype(kind)},
        GENERATOR.normal(size=(COUNT, 2)).astype(np.float32),
        np.arange(COUNT),
        GENERATOR.random(COUNT).astype(np.float32),
    )


def same(one: Examples, other: Examples) -> None:
    assert one.features.keys() == other.features.keys()
    for name, values in one.features.items():
        assert values.dtype == other.features[name].dtype
        np.testing.assert_array_equal(values, other.features[name])
    np.testing.assert_array_equal(one.targets, other.targets)
    np.testing.assert_array_equal(one.rows, other.rows)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None:
        np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize(
    ("given", "schema"),
    [(rows(), TABLE), (pictures(np.uint8), PICTURES), (pictures(np.float32), PICTURES)],
)
def test_a_table_comes_back_whole_and_in_blocks(
    tmp_path: Path, given: Examples, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = np.array(["train", "test"] * (COUNT // 2), dtype=object)
    table = Table(tmp_path / "table")
    table.write(given, schema, {GIVEN: parts})
    read, known = table.read()
    assert known == schema
    same(read, given)
    assert table.aside()[GIVEN].tolist() == parts.tolist()

    monkeypatch.setattr(module, "BLOCK_ROWS", 32)
    blocks = list(table.blocks())
    assert [len(examples) for examples, _ in blocks] == [32, 32, 32, 4]
    for place, (examples, aside) in enumerate(blocks):
        part = np.arange(32 * place, min(32 * place + 32, COUNT))
        same(examples, given.take(part))
        assert aside[GIVEN].tolist() == parts[part].tolist()


def test_written_in_blocks_it_reads_the_same(tmp_path: Path) -> None:
    given = rows()
    holdout = Holdout(tmp_path)
    with holdout.writing(TABLE) as writer:
        for start in range(0, COUNT, 7):
            writer.append(given.take(np.arange(start, min(start + 7, COUNT))))
    same(holdout.read(), given)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with Table(tmp_path).writing(TABLE) as writer:
            writer.append(rows())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_target_is_learned_from_the_training_examples_alone(tmp_path: Path) -> None:
    given = rows()
    development = Development(tmp_path)
    is_p = np.flatnonzero(given.targets == "p")
    development.write(given.take(is_p), given, TABLE, "none")
    assert development.target().names == ("p",)
    truth, weights = development.truth("train")
    assert truth.tolist() == [0] * len(is_p)
    assert weights is None
