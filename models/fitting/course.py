"""What the epochs of a fit lead to: when it ends, which weights are kept, when its rate falls."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from models.settings import FitSettings


class Patience:
    """Early stopping: the lowest validation loss, and how long ago it was."""

    def __init__(self, epochs: int) -> None:
        """`epochs` without a lower loss are too many."""
        self._epochs = epochs
        self._best: float | None = None
        self._waited = 0

    def improved(self, loss: float) -> bool:
        """Whether an epoch's loss is the lowest so far."""
        better = self._best is None or loss < self._best
        self._best = loss if better else self._best
        self._waited = 0 if better else self._waited + 1
        return better

    @property
    def over(self) -> bool:
        """Whether that was too long ago."""
        return self._waited >= self._epochs

    def restart(self) -> None:
        """Wait anew; the lowest loss stays what it is."""
        self._waited = 0


class Plateau:
    """The share of the learning rate that is left after epochs without a lower loss."""

    def __init__(self, factor: float, epochs: int) -> None:
        """The rate is multiplied by `factor` whenever so many epochs brought nothing."""
        self._factor = factor
        self._patience = Patience(epochs)
        self.share = 1.0

    def after(self, loss: float) -> None:
        """An epoch has ended with this validation loss."""
        self._patience.improved(loss)
        if self._patience.over:
            self.share *= self._factor
            self._patience.restart()


class Course:
    """What is decided after every epoch."""

    def __init__(
        self, settings: FitSettings, stops: Sequence[float], over: Callable[[], bool]
    ) -> None:
        """`stops`: by epoch, the validation loss that the best one so far must not exceed; `over`:
        whether there is no time for another epoch."""
        self._epochs = settings.epochs
        self._stops = stops
        self._over = over
        self._patience = None if settings.patience is None else Patience(settings.patience)
        self._plateau = None
        if settings.schedule == "plateau":
            self._plateau = Plateau(settings.decay, settings.decay_epochs)
        self._best = math.inf
        self._count = 0
        self.kept: Any = None
        """What was given with the best epoch, if there is patience, else with the last."""
        self.ended = False
        self.diverged = False
        self.stopped = False
        self.out_of_time = False

    @property
    def share(self) -> float:
        """Of the planned learning rate, what the next epoch is trained at."""
        return 1.0 if self._plateau is None else self._plateau.share

    def after(self, losses: tuple[float, float], state: Any) -> None:
        """An epoch has ended: its losses in training and validation, and what it leaves."""
        self._count += 1
        self.diverged = not all(map(math.isfinite, losses))
        # No number is no improvement.
        loss = math.inf if self.diverged else losses[1]
        self._best = min(self._best, loss)
        allowed = self._stops[self._count - 1] if self._count <= len(self._stops) else math.inf
        self.stopped = not self.diverged and self._best > allowed
        better = self._patience is None or self._patience.improved(loss)
        if better:
            self.kept = state
        if self._plateau is not None:
            self._plateau.after(loss)
        whole = self.diverged or self.stopped or self._count == self._epochs
        # After its last epoch a fit came to its own end, however late.
        self.out_of_time = not whole and self._over()
        tired = self._patience is not None and self._patience.over and self._count > 1
        self.ended = whole or self.out_of_time or tired
