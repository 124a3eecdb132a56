"""Looks out while a stage's body is at work: was the run cancelled, is the server there, how long?

The looking is done by a thread of its own, since a body may be anywhere: in a fit, or waiting for
workers. What it finds ends the body, by an exception in the body's own thread.
"""

import ctypes
import threading
import time
from collections.abc import Callable, Sequence

from pipeline.errors import ExitCode, FettleError

SECONDS = 2.0
"""Between two looks."""

Look = Callable[[], None]
"""Raises FettleError where the body must end."""


class TookTooLong(FettleError):
    """A stage was at work for longer than `run.timeouts` allows."""


class RunCancelled(FettleError):
    """Somebody cancelled the run."""

    exit_code = ExitCode.INTERRUPTED


class Ended(BaseException):
    """Raised in the body; no handler of a task's may take it for a defect of a piece."""

    why: FettleError
    """What a look raised."""


def watched(body: Callable[[], None], looks: Sequence[Look], seconds: float = SECONDS) -> None:
    """Run the body and look now and then; raises what a look raised, and ends the body.

    A function rather than a context manager, so that there is no moment between the two in which
    the exception could strike the caller.
    """
    guard, over = threading.Lock(), threading.Event()
    thread = threading.get_ident()
    found: list[FettleError] = []

    def look() -> None:
        while not over.wait(seconds):
            try:
                for one in looks:
                    one()
            except FettleError as error:
                with guard:
                    if not over.is_set():
                        found.append(error)
                        # Only a class can be raised in another thread, so it bears the reason.
                        _raise_in(thread, type("EndedHere", (Ended,), {"why": error}))
                return

    try:
        try:
            threading.Thread(target=look, name="watch", daemon=True).start()
            body()
        finally:
            with guard:
                over.set()
                if found:
                    # If the body ended by itself meanwhile, it is not to strike what comes after.
                    _raise_in(thread, None)
    except Ended as ended:
        raise ended.why from None
    if found:
        raise found[0]


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have an exception raised in a thread at its next step; None takes one back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None
    )


def time_limit(stage: str, minutes: float | None) -> Sequence[Look]:
    """A look that ends a stage after so many minutes from now; none without a limit."""
    if minutes is None:
        return ()
    end = time.monotonic() + 60 * minutes

    def look() -> None:
        if time.monotonic() > end:
            raise TookTooLong(
                f"{stage}: took longer than the {minutes:g} minutes that run.timeouts in "
                "params.yaml allows.\nFinished stages and finished pieces are kept: raise the "
                "limit, or give the stage less to do, and run again."
            )

    return (look,)
