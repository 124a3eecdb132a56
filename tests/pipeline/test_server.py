"""What is said where the project's server does not come up."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import server


@pytest.mark.parametrize(
    ("free_mib", "said"), [(2.5, ": the disk is full (2.5 MiB free)"), (500, "")]
)
def test_a_full_disk_is_named_as_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mib: float, said: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_mib * 2**20))
    assert server._no_room(tmp_path) == said
