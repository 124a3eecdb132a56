"""A line now and then while a long fit goes on."""

import logging
from time import monotonic

import keras

log = logging.getLogger("fettle.progress")
"""Shown in the terminal by workers as well, whose other lines are for the run alone."""
SECONDS = 30.0
"""Between two lines: fits that end sooner say nothing on the way."""


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Says how far the fit called `name` is. Stands behind what puts `val_loss` into the logs."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.said = monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """As the class says, if nothing was said for so long and there is more to come."""
        now, epochs = monotonic(), self.params["epochs"]
        if now - self.said < SECONDS or epoch + 1 == epochs:
            return
        self.said = now
        log.info(
            "%s: epoch %d of %d at most, validation loss %.4f",
            self.name,
            epoch + 1,
            epochs,
            logs["val_loss"],
        )
