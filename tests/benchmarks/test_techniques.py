"""What the documents say was measured is what the files beside the benchmark hold."""

from benchmarks.techniques import together
from tests.conftest import ROOT


def test_the_table_of_techniques_is_the_measured_one() -> None:
    table = together()
    assert table.count("\n") > 50
    assert table in (ROOT / "docs" / "techniques.md").read_text(encoding="utf-8")
