"""Advice by itself: what a rule says of evidence that a whole run seldom gives."""

from types import SimpleNamespace
from typing import Any

import pytest

from metrics.readings import Reading
from tasks.reporting import advice

RMSE = Reading(title="root mean squared error", sign=-1, share=False, unit="price")


@pytest.mark.parametrize(("value", "warned"), [(-0.51, True), (0.0, True), (0.02, False)])
def test_a_model_that_is_worse_than_a_constant_is_not_to_be_relied_on(
    value: float, warned: bool
) -> None:
    found = {"r2": {"value": value, "low": value - 0.1, "high": value + 0.1}}
    evidence: Any = SimpleNamespace(chosen=found)
    told = list(advice._useless(evidence))
    assert [one.what.startswith("Do not rely on this model") for one in told] == [True] * warned
    if value < 0:
        assert "R² is −0.51 there" in told[0].why.replace("-", "−")


def test_of_classes_there_is_no_such_figure() -> None:
    evidence: Any = SimpleNamespace(chosen={"accuracy": {"value": 0.1, "low": 0.0, "high": 0.2}})
    assert list(advice._useless(evidence)) == []


@pytest.mark.parametrize(("size", "advised"), [(1_980, True), (2_550, False)])
def test_a_network_in_8_bits_that_is_no_smaller_is_not_advised(
    monkeypatch: pytest.MonkeyPatch, size: int, advised: bool
) -> None:
    lost = SimpleNamespace(low=0.0, words="nothing")
    monkeypatch.setattr(advice, "quantised", lambda compared, reading: lost)
    student = SimpleNamespace(candidate="distill", decision="chosen", score=10.0)
    evidence: Any = SimpleNamespace(
        ledger=[student],
        objective=RMSE,
        details=SimpleNamespace(tolerance=0.01),
        compared=SimpleNamespace(
            records={"distill": SimpleNamespace(enabled=True)},
            int8=True,
            facts={"bytes": size, "float_bytes": 2_000},
        ),
    )
    assert [one.what[:32] for one in advice._int8(evidence)] == (
        ["Where size counts take the netwo"] * advised
    )


def rows(constant: float, linear: tuple[float, float], network: tuple[float, float]) -> Any:
    """A ledger of errors, of which less is better: the yardsticks and a network that is chosen."""

    def row(candidate: str, low: float, high: float, against: float = 0.0) -> Any:
        value = (low + high) / 2
        told = {"candidate": candidate, "score": value, "score_low": low, "score_high": high}
        ends = {"difference": value - against, "difference_low": low - against}
        return SimpleNamespace(**told, **ends, difference_high=high - against, reference="linear")

    against = sum(linear) / 2
    ledger = [row("mean", constant, constant), row("linear", *linear)]
    ledger.append(row("baseline", *network, against))
    return SimpleNamespace(
        ledger=ledger, objective=RMSE, details=SimpleNamespace(chosen="baseline")
    )


@pytest.mark.parametrize(("linear", "blamed"), [((120.0, 198.0), False), ((500.0, 700.0), True)])
def test_features_are_not_blamed_where_a_linear_model_learns_from_them(
    linear: tuple[float, float], blamed: bool
) -> None:
    told = [one.what for one in advice._constant(rows(621.0, linear, (189.0, 761.0)))]
    assert [what.startswith("Look for other features") for what in told] == [True] * blamed


@pytest.mark.parametrize(
    ("network", "words"),
    [((200.0, 700.0), "is worse than it"), ((100.0, 700.0), "gain over it is not proven")],
)
def test_worse_than_linear_is_not_called_unproven(network: tuple[float, float], words: str) -> None:
    [told] = advice._linear(rows(621.0, (150.0, 170.0), network))
    assert words in told.why
