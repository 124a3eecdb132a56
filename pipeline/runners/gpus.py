"""Which GPUs of a machine a worker process sees.

Sent to clusters as it is, with `host.py`: so it imports nothing of the project.
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable by which CUDA is told which GPUs a process may use."""
SECONDS = 20.0
"""That the driver may take to answer; it is slow where a GPU sleeps."""


def visible() -> list[str]:
    """Names of the GPUs that this process may use: those of `VISIBLE` where it is set, else all
    that NVIDIA's driver knows; none where there is no driver."""
    told = os.environ.get(VISIBLE)
    if told is not None:
        named = [name.strip() for name in told.split(",")]
        # CUDA takes those before the first that means nothing.
        ends = (place for place, name in enumerate(named) if name in ("", "-1"))
        return named[: next(ends, len(named))]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return []
    # Numbers from 0 on, whatever order the driver lists them in: CUDA has an order of its own.
    return [str(place) for place, _ in enumerate(done.stdout.split())]


def shares(each: int) -> list[str]:
    """What `VISIBLE` says in worker processes of which none shares a GPU: `each` for every one,
    or all there are for a single one. [""] where there are no GPUs, or `each` is 0: then any number
    of processes see whatever there is."""
    there = visible()
    if not there or not each:
        return [""]
    count = max(1, len(there) // each)
    return [",".join(there[place * each : (place + 1) * each]) for place in range(count)]


def claim(share: str, folder: Callable[[], Path]) -> list[int] | None:
    """Take the GPUs of a share for this process, whoever else of this user works on the machine:
    locks on files in `folder()`, which the system takes back when the process ends. None where
    another has one of them."""
    held: list[int] = []
    for name in filter(None, share.split(",")):
        held.append(os.open(folder() / f"gpu-{name}.lock", os.O_CREAT | os.O_RDWR, 0o600))
        try:
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            release(held)
            return None
    return held


def release(held: list[int]) -> None:
    """Give back what `claim` took."""
    for handle in held:
        with contextlib.suppress(OSError):
            os.close(handle)
    held.clear()
