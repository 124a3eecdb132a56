"""What the toy stages write."""

from dataclasses import dataclass

from pipeline.artifacts import Bundle, Csv, Folder, Json, Metrics, Page
from pipeline.params import Section


class Objective(Section):
    """What several toy stages are told."""

    metric: str


@dataclass(frozen=True)
class Text(Bundle):
    """A folder with one text."""

    text: Folder

    def write(self, content: str) -> None:
        """Write the text."""
        (self.text.make() / "text.txt").write_text(content)

    def read(self) -> str:
        """Read the text."""
        return (self.text.path / "text.txt").read_text()


@dataclass(frozen=True)
class Looked(Text):
    """A text, and what was found in the data."""

    findings: Json

    def write(self, content: str) -> None:
        """Write the text, and that nothing was found."""
        super().write(content)
        self.findings.write([])


@dataclass(frozen=True)
class Evaluated(Bundle):
    """What the doors publish."""

    ledger: Csv
    metrics: Metrics
    details: Json
    chosen: Folder


@dataclass(frozen=True)
class Reported(Bundle):
    """A page."""

    index: Page
