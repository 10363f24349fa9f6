"""How a run goes about its hosts."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.made import hosts
from nacre.errors import ConfigurationError
from nacre.fleet.plan import LONGEST_PAUSE, FleetPlan, StartRate


def batches(plan: FleetPlan, count: int) -> list[tuple[str, bool]]:
    names = hosts(*"abcdefgh"[:count])
    return [("".join(host.name for host in part), alone) for part, alone in plan.batches(names)]


def test_canaries_come_first_and_alone() -> None:
    assert batches(FleetPlan(), 3) == [("abc", False)]
    assert batches(FleetPlan(canaries=1, batch=2), 4) == [("a", True), ("bc", False), ("d", False)]
    assert batches(FleetPlan(canaries=5), 2) == [("ab", True)]
    assert batches(FleetPlan(canaries=1), 0) == []


def test_each_pause_is_twice_as_long_up_to_a_bound() -> None:
    plan = FleetPlan(backoff=1.5)
    assert [plan.pause(n) for n in (1, 2, 3)] == [1.5, 3.0, 6.0]
    assert plan.pause(10_000) == LONGEST_PAUSE


def test_a_rate_gives_each_attempt_its_turn() -> None:
    rate = StartRate(4)
    assert [rate.wait(10.0), rate.wait(10.0), rate.wait(10.1), rate.wait(99.0)] == [
        0.0,
        0.25,
        pytest.approx(0.4),
        0.0,
    ]
    assert StartRate(None).wait(0.0) == 0.0


@pytest.mark.parametrize(
    "figures",
    [{"parallel": 0}, {"rate": 0}, {"timeout": -1}, {"deadline": float("inf")}, {"batch": 0}],
)
def test_a_figure_that_is_not_possible_is_named(figures: dict[str, Any]) -> None:
    (name,) = figures
    with pytest.raises(ConfigurationError, match=f"{name}=.*give a number"):
        FleetPlan(**figures).check()
    FleetPlan().check()
