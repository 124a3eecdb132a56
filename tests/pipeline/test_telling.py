"""What a door tells the journal of a stage."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import journal, telling
from pipeline.errors import EnvironmentFault


def test_a_stage_that_fails_before_it_begins_is_told_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(journal.FOLDER, str(tmp_path))
    monkeypatch.setenv(journal.STAGE, "baseline")
    node: Any = SimpleNamespace(name="search")
    telling.failed(node, EnvironmentFault("search: another process is working.\nWait for it."))
    [line] = [
        json.loads(line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()
    ]
    assert (line["stage"], line["found"]) == ("search", "failed")
    assert line["reason"] == "search: another process is working."
