"""`fettle study depth`: it goes deeper as long as validation gains, and no further."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows import study, study_depth
from flows.main import main
from models import training
from models.settings import NetworkSpec
from tests.in_series import InSeries
from tests.models import small

pytestmark = pytest.mark.usefixtures("studied")


def right(spec: NetworkSpec, shares: dict[int, float]) -> np.ndarray:
    """Predictions of which a share, by depth, is right."""
    opened = study.opened(None, (1, 2))
    truth, _ = opened.development.truth("validation")
    count, classes = len(truth), opened.development.target().outputs
    answers = np.where(np.arange(count) < shares[spec.depth] * count, truth, (truth + 1) % classes)
    return np.eye(classes, dtype=np.float32)[answers]


def grown(shares: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The depths that are tried where networks are right so often."""
    run = training.train(
        training.SeedRun(
            str(study.DEVELOPMENT), None, small.spec(), small.settings(), 1, "a network"
        )
    )

    def train(item: training.SeedRun) -> training.Run:
        diverged = shares[item.spec.depth] < 0
        return replace(run, predictions=right(item.spec, shares), diverged=diverged)

    monkeypatch.setattr(training, "train", train)
    opened = study.opened(None, (1, 2))
    return [one.depth for one in study_depth._growing(opened, InSeries())]


@pytest.mark.parametrize(
    ("shares", "tried"),
    [
        ({1: 0.3, 2: 0.6, 3: 0.9, 4: 0.9}, [1, 2, 3, 4]),
        ({1: 0.9, 2: 0.9}, [1, 2]),
        ({1: 0.9, 2: 0.3}, [1, 2]),
        ({1: 0.3, 2: -1.0}, [1, 2]),
        ({1: -1.0}, [1]),
    ],
)
def test_it_grows_as_long_as_validation_gains(
    shares: dict[int, float], tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grown(shares, monkeypatch) == tried


@pytest.mark.doors
def test_it_is_said_which_depth_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    before = small.contents(Path.cwd())
    assert main(["study", "depth", "--epochs", "2"]) == 0
    said = capsys.readouterr().out
    assert "From shallow to deep with the recipe of params.yaml, 2 epochs, 2 seeds" in said
    assert "enough" in said or "recipe.depth" in said
    assert small.contents(Path.cwd()) == before


def test_what_is_of_batch_sizes_is_not_asked_of_depths(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "depth", "--sizes", "32"]) == 3
    assert "--sizes is of batch sizes" in capsys.readouterr().err
