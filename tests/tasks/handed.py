"""An executor that trains nothing: it notes what a stage hands out, and makes up the results."""

from pathlib import Path

import numpy as np

from dataset.examples import Development
from models.distillation.quantising import Quantising
from models.distillation.student_size import Cost as Costs
from models.distillation.student_size import Sized, Sizing
from models.distillation.teachers import Taught, Teaching
from models.fitting.curves import Line
from models.training import Run, SeedRun
from models.transfer.phases import Transferred, TransferRun
from models.transfer.probe import Probed, ProbeRun, places
from models.transfer.sources import SourceResult, SourceRun


class Handed:
    """Every fit is trained for as many epochs as it may be."""

    def __init__(self):
        self.fits = []
        """Items that train a network, as they came."""

    @property
    def epochs(self):
        """By the item's name, in the order of its phases."""
        return {item.name: [one.epochs for one in _phases(item)] for item in self.fits}

    @property
    def minutes(self):
        """Different ones, of one fit each."""
        return {item.minutes for item in self.fits}

    def map(self, function, items, names, *, keep=False):
        return [self._result(function, item) for item in items]

    def _result(self, function, item):  # noqa: PLR0911  one for each kind of piece
        if isinstance(item, Teaching):
            Path(item.outputs).write_text("outputs")
            return Taught(parameters=1000, multiply_adds=1000, unlabelled=0)
        if isinstance(item, Sizing):
            return Sized(item.spec.width, Costs(10, 20), ())
        if isinstance(item, Quantising):
            return None
        if isinstance(item, ProbeRun):
            count = len(places(Development(Path(item.development)).count("train")))
            return Probed(np.full((count, 2), 0.5, np.float32), 4, 10, 20)
        if not isinstance(item, SeedRun | SourceRun):
            return function(item)
        self.fits.append(item)
        lines = tuple(_lines(item.seed, settings.epochs) for settings in _phases(item))
        if isinstance(item, SourceRun):
            Path(item.model).write_text("source")
            return SourceResult(lines[0], 1, diverged=False)
        if item.folder is not None:
            (Path(item.folder) / f"seed-{item.seed}.keras").write_text(item.name)
        count = Development(Path(item.development)).count("validation")
        told = np.full((count, 2), 0.5, np.float32)
        runs = [
            Run(item.seed, lines[:fits], told, 0.5, 10, 20, 1, diverged=False)
            for fits in range(1, len(lines) + 1)
        ]
        return Transferred(*runs) if isinstance(item, TransferRun) else runs[-1]


def _phases(item):
    return [item.frozen, item.settings] if isinstance(item, TransferRun) else [item.settings]


def _lines(seed, epochs):
    return tuple(Line(at, 0.5, 0.5, 0.5, 0.5, 0.01, "train", seed) for at in range(1, epochs + 1))
