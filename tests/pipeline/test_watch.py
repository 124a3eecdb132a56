"""What ends a stage from outside."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest

from pipeline.watch import RunCancelled, TookTooLong, time_limit, watched


def busy() -> None:
    """Work, and take every failure for a result, as tasks do."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            sum(range(1000))
        except Exception:
            continue
    pytest.fail("nobody ended it")


def cancelled() -> None:
    raise RunCancelled("enough")


def wait() -> None:
    while True:
        time.sleep(0.01)


@pytest.mark.parametrize("work", [busy, wait])
def test_a_look_that_raises_ends_the_block_whatever_it_catches(work: Callable[[], None]) -> None:
    with pytest.raises(RunCancelled, match="enough"):
        watched(work, [cancelled], 0.01)


def test_without_a_reason_the_block_ends_by_itself() -> None:
    looked = threading.Event()
    watched(lambda: None if looked.wait(20) else pytest.fail("nobody looked"), [looked.set], 0.01)


@pytest.mark.parametrize("number", range(20))
def test_what_is_found_at_the_very_end_strikes_the_block_or_nothing(number: int) -> None:
    with contextlib.suppress(RunCancelled):
        watched(lambda: time.sleep(0.0002 * number), [cancelled], 0.002)
    # Were it still to come, it would be raised here.
    for _ in range(1000):
        time.sleep(0)


def test_an_error_of_the_block_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        watched(lambda: divmod(1, 0) and None, [lambda: None], 0.01)


def test_a_time_limit_names_the_stage_and_what_to_do() -> None:
    [look] = time_limit("search", 0.0001)
    time.sleep(0.01)
    with pytest.raises(TookTooLong, match=r"search: took longer than the 0.0001 minutes"):
        look()
    assert time_limit("search", None) == ()
