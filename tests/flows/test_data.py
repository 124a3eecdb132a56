"""The page about the data, and the small numbers on it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

import flows.main
from dataset import portrait
from dataset.examples import Column, Examples, Schema
from flows.data import WIDTH, _cut, _drawn, _wide, _wrapped, page
from flows.setting import write_params
from pipeline.errors import shown
from pipeline.params_file import PARAMS
from tests.conftest import SHARED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FETTLE_CWD", str(tmp_path))
    return tmp_path


def table(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(1)
    x = random.normal(size=rows).round(3)
    return pd.DataFrame(
        {
            "x": x,
            "näme that is far too long for its column\x1b[31m": random.normal(size=rows),
            "place": random.choice(["Bern\x1b[2J", "漢字の長い地名" * 6], size=rows, p=[0.7, 0.3]),
            "day": [f"2026-01-{1 + row % 28:02}" for row in range(rows)],
            "bought": np.where(x + random.normal(size=rows) > 0, "yes", "no"),
        }
    )


def known(project: Path) -> None:
    table().to_csv(project / "t.csv", index=False)
    write_params(
        {
            "ingest": {
                "path": "t.csv",
                "kind": "table",
                "target": ["bought"],
            }
        }
    )


def require_page(lines: list[str]) -> None:
    assert max(map(_wide, lines)) <= WIDTH
    assert all(line.isprintable() for line in lines)


def test_the_page_shows_columns_classes_and_findings(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known(project)
    assert flows.main.main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    require_page(lines)
    text = "\n".join(lines)
    assert "t.csv: 200 rows, 4 columns" in lines[0]
    assert "classification: bought" in lines
    assert any(line.split()[:1] == ["no"] and "█" in line for line in lines)
    assert any(line.startswith("day ") and "2026-01-01 … 2026-01-28" in line for line in lines)
    assert "\\x1b[2J" in text
    assert "looks wrong" in text


def test_other_data_are_shown_by_the_same_columns_or_without_a_target(project: Path) -> None:
    known(project)
    table(50).to_csv(project / "later.csv", index=False)
    assert "classification: bought" in list(page(project / "later.csv"))
    table(50).drop(columns="bought").to_csv(project / "new.csv", index=False)
    lines = list(page(project / "new.csv"))
    require_page(lines)
    assert "No target is known here" in lines[-1]
    assert not any(line.startswith("tie:") for line in lines)


def test_the_default_digits_are_pictures(project: Path) -> None:
    lines = list(page(None))
    require_page(lines)
    assert any(line.startswith("pictures: 8 x 8 (height x width), 1 (grey)") for line in lines)
    assert any(line.startswith("copies and near copies: ") for line in lines)


@pytest.mark.parametrize("name", ["tabular/penguins_raw.csv", "image/pneumoniamnist.npz"])
def test_real_data_fit_the_page(name: str, project: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    require_page(list(page(SHARED / name)))


def test_what_is_not_there_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flows.main.main(["data", "gone.csv"]) == 3
    assert "there is no such file" in capsys.readouterr().err


# Text on a terminal.


@given(st.text(max_size=300))
def test_no_text_leaves_its_lines_or_the_page(text: str) -> None:
    for line in [_cut(text, 30), *_wrapped(text)]:
        assert _wide(line) <= WIDTH
        assert line.isprintable()
    assert _wide(_cut(text, 30)) <= 30
    kept = "".join(shown(text).split())
    assert "".join("".join(_wrapped(text)).split()) == kept


def test_bars_show_what_is_not_empty() -> None:
    assert _drawn([0, 1, 500, 1000]) == " ▁▄█"
    assert _drawn([0, 0]) == "  "


# Numbers.


def one(values: Any, kind: str, targets: Any, task: str) -> float | None:
    column = Column.model_validate({"name": "x", "type": kind})
    schema = Schema.model_validate(
        {"kind": "table", "task": task, "targets": ("y",), "columns": (column,), "shape": ()}
    )
    known = Examples({"x": np.asarray(values)}, np.asarray(targets), np.arange(len(values)))
    return portrait.ties(known, schema)["x"]


def test_quantities_are_tied_by_their_ranks() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=300).astype(np.float32).round(1)
    y = (-x + random.normal(size=300)).astype(np.float32)
    expected = abs(spearmanr(x, y).statistic)
    assert one(x, "numeric", y[:, None], "regression") == pytest.approx(expected)
    x[::7] = np.nan
    there = np.isfinite(x)
    expected = abs(spearmanr(x[there], y[there]).statistic)
    assert one(x, "numeric", y[:, None], "regression") == pytest.approx(expected)
    assert one(np.exp(y), "numeric", y[:, None], "regression") == pytest.approx(1)


def test_the_correlation_ratio_is_what_analysis_of_variance_says() -> None:
    x = np.array([1, 2, 3, 4, 5, 6], dtype=np.float32)
    labels = np.array(["a", "a", "a", "b", "b", "b"], dtype=object)
    # Ranks: between 2 * 3 * 1.5², in all 17.5.
    expected = np.sqrt(13.5 / 17.5)
    assert one(x, "numeric", labels, "classification") == pytest.approx(expected)
    assert one(labels, "categorical", x[:, None], "regression") == pytest.approx(expected)


def test_categories_are_tied_by_cramers_v() -> None:
    labels = np.array(["a", "b"] * 2000, dtype=object)
    assert one(labels, "categorical", labels, "classification") == pytest.approx(1)
    chance = (
        np.random.default_rng(3)
        .choice(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL"), size=4000)
        .astype(object)
    )
    found = one(chance, "categorical", labels, "classification")
    assert found is not None
    # Uncorrected 0.1: so many categories agree with anything by chance.
    assert found < 0.06
    many = np.array([f"c{row}" for row in range(4000)], dtype=object)
    assert one(many, "categorical", labels, "classification") is not None


def test_what_does_not_vary_is_tied_to_nothing() -> None:
    same, labels = np.ones(6, np.float32), np.array(["a", "b"] * 3, dtype=object)
    assert one(same, "numeric", labels, "classification") is None
    assert one(same * np.nan, "numeric", labels, "classification") is None
    assert one(labels, "text", labels, "classification") is None
    assert one(np.array(["x"] * 6, dtype=object), "categorical", labels, "classification") is None


def test_of_several_labels_the_closest_counts() -> None:
    x = np.arange(8, dtype=np.float32)
    labels = np.array([[0, 1] * 4, [0] * 4 + [1] * 4], dtype=np.float32).T
    column = Column(name="x", type="numeric")
    schema = Schema(
        kind="table", task="multilabel", targets=("a", "b"), columns=(column,), shape=()
    )
    found = portrait.ties(Examples({"x": x}, labels, np.arange(8)), schema)["x"]
    assert found == pytest.approx(one(x, "numeric", labels[:, 1].astype(str), "classification"))


def test_histograms_count_what_is_there() -> None:
    values = np.array([0, 0, 1, 5, 10, np.nan])
    assert portrait.histogram(values, 2) == [3, 2]
    assert portrait.histogram(np.array([np.nan]), 2) == [0, 0]


def test_a_sample_is_even_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portrait, "LOOKED_AT", 5)
    rows = np.arange(101)
    known = Examples({"x": rows}, rows, rows)
    assert portrait.sample(known).rows.tolist() == [0, 25, 50, 75, 100]
    assert portrait.sample(known.take(np.arange(5))).rows.tolist() == [0, 1, 2, 3, 4]


def test_wrong_params_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / PARAMS).read_text()
    (project / PARAMS).write_text(text.replace("kind: pictures", "kind: picture"))
    assert flows.main.main(["data"]) == 3
    assert "params.yaml: ingest.kind: " in capsys.readouterr().err
    (project / PARAMS).write_text("ingest: 5")
    assert flows.main.main(["data"]) == 3
    assert "params.yaml: ingest: 5 was given" in capsys.readouterr().err
