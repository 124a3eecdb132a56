"""`make faults`: injects every fault, and prints and writes the table of what became of them.

.venv/bin/python -m tests.faults [--seed N] [--kind WORDS] [--jobs N] [--write]
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from pipeline import server
from tests.conftest import Checkout, make_toy
from tests.faults import clocks, corrupted, forbidden, full_disk, kills, servers, together
from tests.faults.injection import Event, Fault, Lab, Outcome
from tests.faults.table import summary, write

APART = "FAULTS_APART"
"""Environment variable that says that mounts are this process's own."""


def every_fault(seed: int, events: dict[Event, int]) -> Iterator[Fault]:
    """All faults; each module draws its own, so that one more in one changes none in another."""

    def chance(module: str) -> random.Random:
        return random.Random(f"{seed} {module}")

    yield from kills.faults(chance("kills"), events)
    yield from full_disk.faults(chance("full_disk"))
    yield from corrupted.faults(chance("corrupted"))
    yield from together.faults(chance("together"))
    yield from clocks.faults(chance("clocks"), events)
    yield from forbidden.faults(chance("forbidden"))
    yield from servers.faults(chance("servers"), events)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a fault was lost."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the random moments (default: another one)")
    parser.add_argument(
        "--kind", action="append", help="only kinds with these words; may be given again"
    )
    parser.add_argument("--most", type=int, default=10_000, help="of each kind")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time")
    parser.add_argument("--write", action="store_true", help="write benchmarks/faults.json")
    options = parser.parse_args(arguments)
    apart(sys.argv[1:] if arguments is None else arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    became: list[Outcome] = []
    try:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            became.extend(attempted(Path(folder).resolve(), options, seed))
    finally:
        for line in summary(became):
            print(line)
        if options.write and became:
            write(seed, became)
    return int(any(outcome.verdict == "lost" for outcome in became))


def apart(arguments: Sequence[str]) -> None:
    """Start again where mounts are this process's own, if that is allowed: no small or read-only
    file system can then be seen by, or outlive into, the rest of the machine."""
    command = shutil.which("unshare")
    if os.geteuid() or command is None or APART in os.environ:
        return
    os.environ[APART] = "1"
    again = [sys.executable, "-B", "-m", "tests.faults", *arguments]
    os.execv(command, [command, "--mount", "--propagation", "private", *again])


def attempted(folder: Path, options: argparse.Namespace, seed: int) -> Iterator[Outcome]:
    """Makes the lab, and injects."""
    make_toy(folder / "fresh")
    # One worker starts sooner than two, and dies as well.
    Checkout(folder / "fresh").replace("params.yaml", "workers: 2", "workers: 1")
    (folder / "server").mkdir()
    try:
        lab = Lab(folder, folder / "fresh", server.start(folder / "server").api_url)
        yield from outcomes(lab, options, seed)
    finally:
        server.stop(folder / "server")


def outcomes(lab: Lab, options: argparse.Namespace, seed: int) -> Iterator[Outcome]:
    """What became of each fault that is wanted, as it comes."""
    wanted: list[Fault] = []
    for fault in every_fault(seed, lab.events()):
        same = sum(one.kind == fault.kind for one in wanted)
        asked = any(kind in fault.kind for kind in options.kind or [""])
        if asked and same < options.most:
            wanted.append(fault)
    with ThreadPoolExecutor(options.jobs) as threads:
        running = [threads.submit(lab.attempt, fault) for fault in wanted]
        for number, done in enumerate(as_completed(running), 1):
            outcome = done.result()
            code = "" if outcome.code is None else f" (exit code {outcome.code})"
            why = f": {outcome.why}" if outcome.why else ""
            print(
                f"{number} of {len(wanted)}: {outcome.kind}, {outcome.where}: "
                f"{outcome.verdict}{code}{why}",
                flush=True,
            )
            yield outcome


if __name__ == "__main__":
    sys.exit(main())
