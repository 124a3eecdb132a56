"""What a training stage may spend at the most, and how its fits share that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from pydantic import Field

from models.settings import FitSettings
from pipeline.params import Section

Settings = TypeVar("Settings", bound=FitSettings)


class Budget(Section):
    """The section `budget`: the bound of every training stage by itself, whatever its values ask
    for; null: none."""

    epochs: int | None = Field(ge=1)
    """Over all fits of a stage together."""
    minutes: float | None = Field(gt=0)
    """Of the clock, over a stage's training; two runs then differ."""

    def among(self, lengths: Sequence[int]) -> "Allowance":
        """What each of a stage's fits may have; `lengths` are the epochs that they ask for."""
        return Allowance(self.epochs, self.minutes, len(lengths), sum(lengths))

    def less(self, epochs: int, minutes: float) -> Self:
        """What is left of it once so much is spent; of nothing every fit still has an epoch."""
        return self.model_copy(
            update={
                "epochs": None if self.epochs is None else max(0, self.epochs - epochs),
                "minutes": None if self.minutes is None else max(0.0, self.minutes - minutes),
            }
        )

    def caution(self) -> str | None:
        """What a plan should say of a stage that keeps to it."""
        if self.minutes is None:
            return None
        return (
            "budget.minutes ends fits by the clock, so another run may train them for more or "
            "fewer epochs and come to other results"
        )


@dataclass(frozen=True)
class Allowance:
    """What each of a stage's fits may have.

    Epochs: every fit has one, and what is left is shared out in proportion to what each asks for
    beyond its first. So all are shortened alike, fits of one length have `epochs // fits` each, and
    together they have no more than the budget's epochs, or than one each where fits are more.

    Minutes: an even share. How many fits run side by side is for whoever runs them, so this is
    what keeps the promise with one worker; with more of them time is left over.
    """

    budget: int | None
    """Epochs of all fits together."""
    clock: float | None
    """Minutes likewise."""
    fits: int
    asked: int
    """Epochs that all fits together ask for."""

    @property
    def minutes(self) -> float | None:
        """Of the clock, for each fit."""
        return None if self.clock is None else self.clock / self.fits

    @property
    def most(self) -> int:
        """Epochs that all fits together are trained for at the most."""
        return self.asked if self.budget is None else min(self.asked, max(self.budget, self.fits))

    def epochs(self, asked: int) -> int:
        """For a fit that asks for so many."""
        if self.budget is None or self.asked <= self.budget:
            return asked
        beyond = max(0, self.budget - self.fits)
        return 1 + (asked - 1) * beyond // max(1, self.asked - self.fits)

    def shorten(self, settings: Settings) -> Settings:
        """Settings with no more epochs than that.

        Before the fit begins, so that schedules of the learning rate end where it does.
        """
        return settings.model_copy(update={"epochs": self.epochs(settings.epochs)})
