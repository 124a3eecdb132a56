"""`kill -9` at many moments of a run: the next run ends with the bytes of an undisturbed one."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.conftest import Checkout

MOMENTS = [round(0.5 + 0.35 * step, 2) for step in range(30)]
"""Seconds after the start of a run that takes about ten."""


@pytest.mark.faults
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_after(clone: Callable[[str], Checkout], moment: float) -> None:
    undisturbed, killed = clone("undisturbed"), clone("killed")
    undisturbed.fettle("run")
    run = killed.start("./fettle", "run")
    time.sleep(moment)
    if run.poll() is None:
        os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    killed.fettle("run")
    assert killed.lock == undisturbed.lock
    assert "up to date" in killed.dvc("status")
