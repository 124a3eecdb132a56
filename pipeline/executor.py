"""Running many independent pieces: trials, seeds, folds."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """What a task that fans out is handed; it does not know who runs the pieces, or where."""

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str]
    ) -> list[Result]:
        """`function(item)` for every item, perhaps in other processes; results in their order.

        `function` is a module's top-level function; items and results can be pickled and are
        small: hand over paths, not arrays. `names` label the pieces for people. An exception in
        a piece is raised here.
        """
        ...


class InSeries:
    """Runs the pieces one after the other in this process."""

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str]
    ) -> list[Result]:
        """As `Executor.map`."""
        return [function(item) for item in items]
