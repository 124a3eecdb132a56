"""What tests of several runners share."""

from pathlib import Path

import pytest

from pipeline.runners import pool as pools
from pipeline.runners.freight import Freight
from tests.pipeline import spread


@pytest.fixture
def freight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Freight:
    """A small project, in which we are."""
    monkeypatch.setattr(pools, "PAUSE", 0.0)
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return spread.project(root)
