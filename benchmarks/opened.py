"""A data set to measure on: as `./fettle init` sets it, parted, in a clone that is then removed."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, call, clone
from dataset.examples import Development
from metrics.objective import Measure, Objective
from pipeline.params_file import read_raw


@dataclass(frozen=True)
class Opened:
    """What there is to measure on; the holdout stays closed."""

    raw: Mapping[str, Any]
    """params.yaml's content."""
    development: Development
    """Gone with the clone."""
    objective: Objective
    measure: Measure
    """The objective on these data."""


@contextmanager
def opened(told: Sequence[str] | None = None) -> Iterator[Opened]:
    """The data that `told` names, as for `./fettle init`, or the command line where that is None;
    without a word the digits."""
    words = sys.argv[1:] if told is None else told
    with clone() as root:
        if words:
            print(call(root, "./fettle", "init", *words))
        for stage in ("ingest", "split"):
            call(root, "./fettle", "stage", stage)
        raw = read_raw(root / "params.yaml")
        development = Development(root / "artifacts" / "split" / "development")
        objective = Objective.model_validate_json(json.dumps(raw["objective"]))
        yield Opened(raw, development, objective, objective.metric_for(development.target()))


def write(what: str, found: Mapping[str, Any]) -> None:
    """Write what was found beside this module, as WHAT-NAME.json by the name of the data."""
    name = Path(sys.argv[1]).stem if len(sys.argv) > 1 else "digits"
    path = ROOT / "benchmarks" / f"{what}-{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
