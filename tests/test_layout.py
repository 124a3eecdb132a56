"""docs/layout.md names every module, once, and no other."""

import re
from pathlib import Path

from pipeline.closure import PACKAGES
from tests.conftest import ROOT


def test_the_layout_lists_every_module() -> None:
    listed, folder = [], ""
    for line in (ROOT / "docs" / "layout.md").read_text().splitlines():
        if heading := re.match(r"## (\S+)/$", line):
            folder = heading[1]
        elif row := re.match(r"\| `(\w+\.py)` \| \S", line):
            listed.append(f"{folder}/{row[1]}")
    modules = [
        path.relative_to(ROOT).as_posix()
        for package in (*PACKAGES, "benchmarks")
        for path in Path(ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert sorted(listed) == sorted(modules)
