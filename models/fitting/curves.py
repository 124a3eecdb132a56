"""Learning curves as rows: what a fit leaves of every epoch. Free of Keras."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Epoch:
    """One epoch of a fit."""

    epoch: int
    """From 1."""
    loss: float
    """What was minimised, penalties included: the mean over the epoch's batches."""
    accuracy: float | None
    val_loss: float
    """By `Criterion.measure`: without penalties, after the epoch."""
    val_accuracy: float | None
    learning_rate: float


@dataclass(frozen=True)
class Line(Epoch):
    """One row of fits.csv but for the number of the fit."""

    phase: str
    seed: int


def lines(phases: Sequence[tuple[str, Sequence[Epoch]]], seed: int) -> tuple[tuple[Line, ...], ...]:
    """The epochs of several fits of one network, by the phase's name, counted on over them."""
    before = 0
    numbered = []
    for phase, epochs in phases:
        numbered.append(
            tuple(
                Line(**asdict(row) | {"epoch": before + row.epoch}, phase=phase, seed=seed)
                for row in epochs
            )
        )
        before += len(epochs)
    return tuple(numbered)
