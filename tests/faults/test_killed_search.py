"""A search that is killed three times ends with the files of one that was left in peace."""

import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.models import small

pytestmark = pytest.mark.faults

SCRIPT = """
import os, signal, sys
from pathlib import Path

from pipeline import executor, pieces, snapshot
from tests.in_series import InSeries
from pipeline.render import RUNTIME

root, development, folder, memory, lives = Path(sys.argv[1]), *sys.argv[2:]
code = snapshot.of_code(root, RUNTIME)
pieces.FOLDER = Path(memory)

from dataset.examples import Development
from tests.tasks.test_search import searched


class Mortal(InSeries):
    done = 0

    def map(self, function, items, names, *, keep=False, landed=executor.unheard):
        results = []
        for place, item in enumerate(items):
            results.append(function(item))
            landed(place, results[-1])
            self.done += 1
            if self.done == int(lives):
                os.kill(os.getpid(), signal.SIGKILL)
        return results


recalled = []
searched(
    Path(folder),
    Development(Path(development)),
    executor=pieces.Remembering(Mortal(), code, root, recalled.append),
    method="bayesian",
    retrain=2,
)
print(recalled)
"""


def run(tmp_path, folder, lives):
    """The search in a process that dies after training so many networks."""
    arguments = [ROOT, tmp_path / "development", tmp_path / folder, tmp_path / f"{folder} memory"]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments), str(lives)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_killed_three_times(tmp_path):
    small.table(tmp_path / "development")
    undisturbed = run(tmp_path, "undisturbed", 0)
    assert undisturbed.stdout == "[]\n", undisturbed.stderr

    # Of five trials the first two; two more; the last one, and the first of two retrainings.
    for lives in (2, 2, 2):
        assert run(tmp_path, "killed", lives).returncode == -signal.SIGKILL
    last = run(tmp_path, "killed", 0)

    assert last.stdout == f"{[f'search trial {number}' for number in range(1, 6)]}\n", last.stderr
    assert small.contents(tmp_path / "killed") == small.contents(tmp_path / "undisturbed")
