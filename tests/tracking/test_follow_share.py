"""How long the follower rests."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.follow import SHARE, TICK, rest


@given(st.floats(0, 1000))
def test_it_computes_no_more_than_its_share_of_the_cores(computed: float) -> None:
    cores = len(os.sched_getaffinity(0))
    assert rest(computed) >= TICK
    assert computed / rest(computed) <= SHARE * cores * (1 + 1e-9)


def test_after_a_little_it_looks_again_after_a_tick() -> None:
    assert rest(0.0) == TICK
    assert rest(1.0) == pytest.approx(1 / (SHARE * len(os.sched_getaffinity(0))))
