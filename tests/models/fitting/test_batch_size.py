import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fitting import batch_size
from models.fitting.batch_size import MIB, Pace, PaceRun
from models.fitting.rows import IN_MEMORY_BYTES
from tests.models import small


def paces(*speeds, first=16, peak=MIB):
    """Sizes that double, with these speeds."""
    return [Pace(first << place, (speed,), peak) for place, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("speeds", "size"),
    [
        ((100, 190, 360, 390), 64),  # the last gains 8 %
        ((100, 190, 360, 397), 128),  # and here 10 %
        ((100, 190, 195, 250), 128),  # gains again over half its size
        ((100, 105, 110), 16),  # none gains
        ((100, 90, 80), 16),
        ((100,), 16),
    ],
)
def test_the_largest_that_gains_a_tenth_over_half_its_size(speeds, size):
    found = batch_size.largest_gaining(paces(*speeds), math.inf)

    assert found is not None
    assert found.size == size


def test_what_does_not_fit_is_not_chosen():
    measured = [*paces(100, 200, peak=MIB), *paces(400, 800, first=64, peak=3 * MIB)]

    assert batch_size.largest_gaining(measured, 4 * MIB).size == 128
    assert batch_size.largest_gaining(measured, 3 * MIB).size == 128
    assert batch_size.largest_gaining(measured, 2 * MIB).size == 32
    assert batch_size.largest_gaining(measured, MIB - 1) is None
    assert batch_size.largest_gaining([], MIB) is None


def test_more_is_asked_of_more_than_a_doubling():
    def chosen(speed):
        measured = [Pace(16, (100.0,), 1), Pace(64, (speed,), 1)]
        return batch_size.largest_gaining(measured[::-1], 1).size

    assert chosen(120.9) == 16
    assert chosen(121.1) == 64


def test_a_speed_is_the_median_of_its_epochs():
    assert Pace(16, (1.0, 100.0, 3.0), 1).speed == 3.0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (10, (10,)),
        (16, (16,)),
        (1063, (16, 32, 64, 128, 256, 512, 1024)),
        (10**7, (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)),
    ],
)
def test_sizes_double_up_to_the_rows_or_4096(rows, expected):
    assert batch_size.sizes(rows) == expected


def test_rates_are_about_the_scaled_ones():
    assert batch_size.scaled(0.001, 32, 128) == (0.002, 0.004)
    assert batch_size.scaled(0.001, 32, 32) == (0.001,)
    assert batch_size.rates(0.001, 32, 32) == (0.00025, 0.0005, 0.001, 0.002, 0.004)
    assert batch_size.rates(0.001, 32, 512) == (0.001, 0.002, 0.004, 0.008, 0.016)
    assert batch_size.rates(0.001, 32, 64)[2:4] == (0.00141, 0.002)


@given(st.floats(1e-6, 10), st.integers(1, 4096), st.integers(1, 4096))
def test_rates_go_up_within_what_is_allowed(rate, before, size):
    found = batch_size.rates(rate, before, size)

    assert list(found) == sorted(found)
    assert all(0 < one <= 10 for one in found)
    assert all(larger / smaller > 1.1 for smaller, larger in pairwise(found))
    for one in batch_size.scaled(rate, before, size):
        assert min(abs(math.log(one / other)) for other in found) <= math.log(1.11)


def test_each_band_gives_its_ends():
    assert batch_size.banded(batch_size.sizes(5000)) == [
        ("small", 16),
        ("small", 32),
        ("middle", 64),
        ("middle", 128),
        ("large", 256),
        ("large", 4096),
    ]
    assert batch_size.banded([48, 256]) == [("small", 48), ("large", 256)]


def test_restlessness_is_that_of_the_last_half():
    losses = [9.0, 5.0, 7.0, 1.0, 2.0, 1.0, 2.0, 1.0]

    # Of 2, 1, 2, 1 the changes are -1, 1 and -1: mean -1/3, mean square 1.
    assert batch_size.restlessness(losses) == pytest.approx(math.sqrt(1 - 1 / 9))
    assert batch_size.restlessness(np.linspace(1, 0, 20)) == pytest.approx(0, abs=1e-12)
    assert math.isnan(batch_size.restlessness([1.0, 2.0, 3.0]))


def test_an_epoch_to_be_timed_is_no_longer_than_it_has_to_be():
    short, long = np.zeros((500, 4)), np.zeros((10**6, 1), dtype=np.int8)
    large = np.broadcast_to(np.float32(0), (10**6, 100, 100, 3))

    assert batch_size._timed_rows(short, 16) == 500
    assert batch_size._timed_rows(long, 16) == batch_size.ROWS
    assert batch_size._timed_rows(long, 4096) == 8 * 4096
    assert batch_size._timed_rows(large, 16) == IN_MEMORY_BYTES // 120_000
    assert batch_size._timed_rows(large, 4096) == 2 * 4096


def test_the_fit_loop_is_timed_epoch_by_epoch(tmp_path):
    development = small.table(tmp_path / "development")

    # The small recipe's rate makes no difference, nor does patience: all epochs are timed.
    recipe = small.RECIPE.changed({"learning_rate": 10.0, "patience": 1})
    found = batch_size.pace(PaceRun(str(development.path), recipe, 32, (1, 2)))

    assert found.size == 32
    assert len(found.speeds) == 2 * batch_size.TIMED
    assert all(speed > 0 for speed in found.speeds)
    assert 100 * MIB < found.peak < batch_size.room() * 1024


def test_many_networks_in_one_are_timed_too(tmp_path):
    development = small.table(tmp_path / "development")
    recipe = small.RECIPE.changed({"architecture": "tabm", "members": 4})
    assert batch_size.pace(PaceRun(str(development.path), recipe, 32, (1,))).speeds


def test_rows_that_lie_in_memory_are_reckoned_in(tmp_path, monkeypatch):
    development = small.table(tmp_path / "development")
    monkeypatch.setattr(batch_size, "_timed_rows", lambda rows, size: 40)
    monkeypatch.setattr(batch_size, "peak", lambda: 1000)
    monkeypatch.setattr(batch_size, "TIMED", 1)

    found = batch_size.pace(PaceRun(str(development.path), small.RECIPE, 16, (1,)))

    # 80 others of 120, each a number, its mark, and four categories' places, of four bytes.
    assert found.peak == 1000 + 80 * 6 * 4


def test_a_peak_is_the_process_s_own():
    ours = batch_size.peak()
    held = np.ones(64 * MIB, dtype=np.uint8)
    script = "from models.fitting import batch_size; print(batch_size.peak())"

    assert batch_size.peak() >= min(ours, held.nbytes)
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    # Without TensorFlow, whatever the process that started it holds.
    assert 10 * MIB < int(told.stdout) < 250 * MIB
