"""Running many independent pieces: trials, seeds, folds."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Mark(Enum):
    """What a field of an item is, where it is not simply a value that the result follows from."""

    READS = "reads"
    WRITES = "writes"
    LABEL = "label"


Reads = Annotated[str, Mark.READS]
"""Field of an item: a file or folder whose content the result follows from, wherever it lies."""
Writes = Annotated[str | None, Mark.WRITES]
"""Field of an item: where the piece leaves files besides its result; None: it leaves none."""
Label = Annotated[str, Mark.LABEL]
"""Field of an item: words for people, from which nothing follows."""


class Executor(Protocol):
    """What a task that fans out is handed; it does not know who runs the pieces, or where."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        keep: bool = False,
    ) -> list[Result]:
        """`function(item)` for every item, perhaps in other processes; results in their order.

        `function` is a module's top-level function; items and results can be pickled and are
        small: hand over paths, not arrays. `names` label the pieces for people. An exception in
        a piece is raised here.

        `keep`: results may be kept as soon as they are there, and recalled instead of made again
        when the task is run once more after it was interrupted. Then items are dataclasses whose
        fields are marked by `Reads`, `Writes` (None) and `Label` or are values, `function` says
        what type it returns, and that is made of dataclasses, tuples, numbers, texts and arrays.
        A result whose attribute `lasting` is False is not kept.
        """
        ...


Landed = Callable[[int, Result], None]
"""Told of a piece's place and result as soon as it is there."""


def unheard(place: int, result: object) -> None:
    """Of results that are awaited all together."""


class Spread(Protocol):
    """What runs pieces, here or elsewhere, and says of each when it is done."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        landed: Landed[Result] = unheard,
    ) -> list[Result]:
        """As `Executor.map`, but that it keeps nothing."""
        ...
