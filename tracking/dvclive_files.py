"""DVCLive's files: a folder for the run and one for each of its stages, below .fettle/dvclive.

In a stage's folder every fit's figures by epoch are plots/metrics/FIT/*.tsv, its last ones stand
in metrics.json and its settings in params.yaml.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dvclive import Live

from tracking.events import (
    EpochEnded,
    Event,
    FitBegun,
    FitEnded,
    Names,
    RunBegun,
    RunEnded,
    StageBegun,
    StageEnded,
    flat,
    numbers,
    word,
)
from tracking.tracker import FOLDER, Place


class _Files(Live):  # type: ignore[misc]
    """DVCLive without what it does to repositories: it would look for git and DVC, and where there
    is no DVC make one, note itself in the experiment under way, and send figures to DVC Studio."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), save_dvc_exp=False, dvcyaml=False, report=None)

    def _init_dvc(self) -> None:
        self._dvc_file = "dvc.yaml"

    def make_summary(self) -> None:
        """Write metrics.json, without the step: every fit has its own."""
        self._step = None
        super().make_summary()

    def _init_studio(self) -> None:
        self._studio_events_to_skip.update(("start", "data", "done"))


class DvcliveFiles:
    """Figures, settings and what they lead back to, as DVC and its extensions read them."""

    resumes: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        self._folder = place.root / FOLDER / "dvclive" / place.run
        if self._folder.is_symlink():
            raise NotADirectoryError(f"{self._folder} is a symbolic link")
        if self._folder.exists():
            # Events are told again from the first one on.
            shutil.rmtree(self._folder)
        self._names = Names()
        self._open: dict[str, _Files] = {}

    def take(self, events: Sequence[Event]) -> None:
        """As `Tracker.take`; what stands in one file is written once."""
        touched = {self._one(event) for event in events}
        for name in sorted(touched):
            self._at(name).make_summary()

    def _at(self, stage: str) -> _Files:
        """The files of a stage; of the run itself where it has no name."""
        if stage not in self._open:
            self._open[stage] = _Files(self._folder / stage)
        return self._open[stage]

    def _one(self, event: Event) -> str:
        stage = "" if isinstance(event, RunBegun | RunEnded) else event.stage
        live = self._at(stage)
        match event:
            case RunBegun():
                _settings(live, "params", event.params)
                lead = {"commit": event.commit, "dirty": event.dirty, "dvc.lock before": event.lock}
                live.log_params({name: word(value) for name, value in lead.items()})
            case RunEnded():
                live.log_params({"dvc.lock": event.lock or "none", "ended": event.state})
            case StageBegun():
                _settings(live, "params", event.params)
            case StageEnded():
                _settings(live, "params", event.params)
                live.log_params({"found": event.found})
                for name, value in numbers(event.metrics).items():
                    live.log_metric(f"stage/{name}", value, plot=False)
                live.log_params({"counted": dict(event.counted)})
            case FitBegun():
                about = {name: getattr(event, name) for name in ("seed", "examples", "parameters")}
                _settings(live, self._names.of(event), event.settings | about)
            case EpochEnded():
                live.step = event.epoch
                for name, value in event.figures().items():
                    live.log_metric(f"{self._names.of(event)}/{name}", value)
            case FitEnded():
                live.log_params({f"{self._names.of(event)} ended": event.how})
                for name, value in event.figures().items():
                    live.log_metric(f"{self._names.of(event)}/{name}", value, plot=False)
        return stage


def _settings(live: _Files, name: str, settings: Mapping[str, Any]) -> None:
    """Under one name, as texts where they are no plain values."""
    plain = {
        key: value if isinstance(value, bool | int | float | str) else word(value)
        for key, value in flat(settings).items()
    }
    if plain:
        live.log_params({name: plain})
