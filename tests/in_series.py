"""An executor for tests: pieces one after the other, in their process."""

from collections.abc import Callable, Sequence

from pipeline.executor import Item, Landed, Result, unheard


class InSeries:
    """Runs the pieces one after the other in this process, and keeps none."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        names: Sequence[str],
        *,
        keep: bool = False,
        landed: Landed[Result] = unheard,
    ) -> list[Result]:
        """As `Executor.map`."""
        results = []
        for place, item in enumerate(items):
            results.append(function(item))
            landed(place, results[-1])
        return results
