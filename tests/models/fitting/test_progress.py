"""A long fit says how far it is, now and then; a short one says nothing."""

import logging

import pytest

from models.fitting import progress
from models.fitting.progress import SECONDS, Progress


def said(
    taken: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> list[str]:
    """The lines of a fit of six epochs of so many seconds."""
    clock = 0.0
    monkeypatch.setattr(progress, "monotonic", lambda: clock)
    callback = Progress("regularize seed 1")
    callback.set_params({"epochs": 6})
    with caplog.at_level(logging.INFO, "fettle.progress"):
        for epoch in range(6):
            clock += taken
            callback.on_epoch_end(epoch, {"val_loss": 0.25})
    return [record.getMessage() for record in caplog.records]


def test_nothing_is_said_of_a_fit_that_is_soon_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert not said(SECONDS / 6, monkeypatch, caplog)


def test_a_long_fit_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(SECONDS / 2, monkeypatch, caplog) == [
        "regularize seed 1: epoch 2 of 6 at most, validation loss 0.2500",
        "regularize seed 1: epoch 4 of 6 at most, validation loss 0.2500",
    ]
    caplog.clear()
    # Not of the last epoch: the fit's own line follows.
    assert len(said(SECONDS, monkeypatch, caplog)) == 5
