"""A run's part on a Ray node: an actor that holds a `Host`.

Sent to the nodes as it is, with `host.py`: see `ray_pool.py`.
"""

import queue
import threading
from collections.abc import Iterator
from typing import Any

from pipeline.runners.host import Host, Manifest, Order, Terms


class HostActor:
    """Ends with the run, and its worker process with it."""

    def __init__(self, terms: Terms) -> None:
        self._host = Host(terms)

    def carry(self, key: str, order: Order) -> Iterator[tuple[Any, ...]]:
        """Run a piece: ("said", …) for each of its log lines, then ("ended", …), see `Host`."""
        told: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

        def run() -> None:
            try:
                end = self._host.carry(key, order, lambda line: told.put(("said", *line)))
            except Exception as error:
                end = ("raised", error)
            told.put(("ended", *end))

        threading.Thread(target=run, daemon=True).start()
        while (one := told.get())[0] == "said":
            yield one
        yield one

    def lacking(self, manifest: Manifest) -> list[str]:
        """As `Host.lacking`."""
        return self._host.lacking(manifest)

    def keep(self, mark: str, part: bytes, first: bool, last: bool) -> bool:
        """As `Host.keep`."""
        return self._host.keep(mark, part, first=first, last=last)

    def close(self) -> None:
        """As `Host.close`: whoever kills the actor gives it no time for that."""
        self._host.close()
