"""Processes that run a stage's pieces: what they say."""

import logging
import re

import pytest

from pipeline.workers import ProcessPool


def _say(name: str) -> None:
    logging.getLogger("fettle.progress").info("%s: epoch 2 of 6", name)
    logging.getLogger("fettle").info("for the run alone")


def test_a_worker_says_in_the_terminal_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with ProcessPool(1) as pool:
        pool.map(_say, ["seed 1"], ["seed 1"])
    [line] = [line for line in capfd.readouterr().err.splitlines() if "epoch" in line]
    assert re.fullmatch(r"\d\d:\d\d:\d\d  seed 1: epoch 2 of 6", line)
