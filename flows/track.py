"""`fettle track`: hand on what trackers were not told while a run lasted."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import EnvironmentFault, InputError
from tracking import keeping
from tracking.delivery import Progress
from tracking.keeping import TITLES
from tracking.tracker import Place


def track(run: str | None, root: Path) -> None:
    """Hand on what is left of one run, or of all; says a line a run.

    Raises InputError where there is no such run, EnvironmentFault where a tracker still does not
    take it.
    """
    every = keeping.runs(root)
    if run is not None and run not in [place.run for place in every]:
        kept = ", ".join(place.run for place in every) or "none"
        raise InputError(f"{run}: no journal of such a run is kept. There are: {kept}.")
    left = [place for place in every if run in (None, place.run)]
    faults = [fault for place in left for fault in _hand_on(place, named=run is not None)]
    if faults:
        raise EnvironmentFault("\n".join(faults))


def _hand_on(place: Place, *, named: bool) -> Sequence[str]:
    """What a follower of the run still could not do, a line each."""
    told = json.loads((place.journal / "run.json").read_text(encoding="utf-8"))
    trackers = [
        name
        for name in told["trackers"]
        if name in TITLES and not Progress.read(place.journal, name).whole
    ]
    if not trackers:
        if named:
            print(f"{place.run}: nothing is left.")
        return []
    if keeping.lasts(place):
        print(f"{place.run}: still under way.")
        return []
    if "mlflow" in trackers and keeping.shown_uri() != told["mlflow"]:
        raise InputError(
            f"{place.run} was told to MLflow at {told['mlflow']}; MLFLOW_TRACKING_URI now means "
            f"{keeping.shown_uri()}.\nSet it as it was and try again."
        )
    follower = keeping.start(place, trackers, subprocess.DEVNULL)
    follower.wait()
    lines = list(keeping.not_told(place, trackers))
    if not lines:
        print(f"{place.run}: handed on to {', '.join(TITLES[name] for name in trackers)}.")
    return lines
