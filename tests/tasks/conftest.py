import pytest

from pipeline.picture import draw
from tests.tasks import pages


@pytest.fixture
def in_a_project(tmp_path, monkeypatch):
    """The working directory is a project's, with a picture of its stages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "dag.svg").write_text(draw(pages.STAGES, {"split": "as in the README"}))
