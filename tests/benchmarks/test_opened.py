"""Data that a benchmark measures on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import opened
from tests.conftest import ROOT
from tests.models import small


def test_what_was_measured_can_be_told_after_the_clone_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "clone"

    @contextmanager
    def clone() -> Iterator[Path]:
        small.table(root / "artifacts" / "split" / "development")
        shutil.copy(ROOT / "params.yaml", root)
        yield root
        shutil.rmtree(root)

    monkeypatch.setattr(opened, "clone", clone)
    monkeypatch.setattr(opened, "call", lambda root, *command: "")
    with opened.opened([]) as data:
        assert data.development.count("train") > 0
    assert not root.exists()
    assert data.measure.name == "accuracy"
    assert data.measure.reading.title
