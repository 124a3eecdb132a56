"""What tests of flows share."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows import study
from tests.conftest import ROOT
from tests.models import small


@pytest.fixture
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with the small recipe and the parts of 160 digits."""
    monkeypatch.chdir(tmp_path)
    yaml = YAML()
    params: Any = yaml.load(ROOT / "params.yaml")
    params["recipe"].update(small.RECIPE.model_dump())
    yaml.dump(params, Path("params.yaml"))
    small.pictures(study.DEVELOPMENT)
