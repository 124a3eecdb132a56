"""Wall-clock seconds spent in named spans of this process.

They are shown to people and never enter a result: two runs of the same inputs differ in them.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

_seconds: defaultdict[str, float] = defaultdict(float)


@contextmanager
def span(name: str) -> Iterator[None]:
    """Add the block's duration in seconds to the span called `name`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        _seconds[name] += time.perf_counter() - start


def take() -> dict[str, float]:
    """The seconds by span since the last call, which starts them anew."""
    taken = dict(_seconds)
    _seconds.clear()
    return taken


def add(spans: dict[str, float]) -> None:
    """Add seconds by span that another process counted."""
    for name, seconds in spans.items():
        _seconds[name] += seconds
