"""What the report's diagnosis is drawn from."""

from dataclasses import replace

import pytest

from models.judging.diagnosis import Limits
from tasks.reporting import diagnosis
from tasks.reporting.diagnosis import Seen

SEEN = Seen(
    task="classification",
    records={},
    curves={},
    fits={},
    learning=[],
    findings=[],
    train={"well": 94, "sick": 6},
    balanced=False,
    validation=100,
    level=0.95,
    limits=Limits(0.05, 0.25, 0.1),
)


def test_a_constant_answer_is_no_measure_where_classes_are_made_to_count_alike() -> None:
    """A network that minds the rare class is right less often than one that never names it."""
    assert diagnosis._constant(SEEN) == pytest.approx(0.94)
    assert diagnosis._constant(replace(SEEN, balanced=True)) is None
