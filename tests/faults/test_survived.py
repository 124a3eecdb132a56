"""One fault of each kind; `make faults` injects hundreds, at other moments each time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import clocks, corrupted, forbidden, full_disk, kills, servers, together
from tests.faults.injection import Fault, Lab
from tests.faults.table import summary

pytestmark = pytest.mark.doors


def at(kind: str, stage: str, place: str, event: int = 2) -> dict[str, object]:
    """A strike at a place that every run comes to."""
    return {"at": [kind, stage, place], "event": event, "delay": 0.0}


OK, REFUSED = frozenset({0}), frozenset({0, 4})
FAULTS = (
    Fault(
        "kill -9 of the run",
        "in a commit",
        kills.killing(at("run", "search", "commit", 9), "kill"),
        frozenset({-9}),
    ),
    Fault(
        "kill -9 of a worker",
        "in a piece",
        kills.killing(at("worker", "search", "piece"), "kill"),
        OK,
    ),
    Fault(
        "kill -9 of the Prefect server",
        "in a body",
        kills.killing(at("run", "baseline", "body"), "kill server"),
        REFUSED,
        "The Prefect server does not answer",
        own_server=True,
    ),
    Fault(
        "a full disk",
        "after 25 pages",
        full_disk.filling("pages", 25),
        frozenset({4}),
        "The disk is full",
    ),
    Fault(
        "a corrupt file",
        "an object in DVC's cache",
        corrupted.spoiling(".dvc/cache/files/md5/*/*.dir", corrupted.flipped, 1, wanted=True),
        OK,
        done=True,
    ),
    Fault(
        "a torn lock",
        "dvc.lock",
        corrupted.spoiling("dvc.lock", corrupted.truncated, 1, wanted=False),
        OK,
        done=True,
    ),
    Fault(
        "two runs at once",
        "by both doors",
        together.running("run", "repro", 0.0),
        together.CODES,
    ),
    Fault(
        "the clock is set", "in mid-run", clocks.jumping(at("run", "split", "body"), -3600.0), OK
    ),
    Fault("a read-only folder", "artifacts", forbidden.read_only("artifacts"), frozenset({4})),
    Fault(
        "a Prefect server that answers 500",
        "for a second",
        servers.ill(at("run", "regularize", "commit"), 1.0),
        REFUSED,
        "The Prefect server",
    ),
)


def test_one_fault_of_each_kind_is_survived(
    tmp_path: Path, toy_template: Path, prefect_server: str
) -> None:
    lab = Lab(tmp_path, toy_template, prefect_server)
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lab.attempt, FAULTS))
    told = "\n".join([*summary(outcomes), *map(str, outcomes)])
    assert {outcome.verdict for outcome in outcomes} <= {"survived", "skipped"}, told
