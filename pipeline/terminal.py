"""The pipeline's own log lines in the terminal, and no library's."""

import logging


def show(log: logging.Logger) -> None:
    """Send what a logger is told to stderr, with the time of day."""
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
