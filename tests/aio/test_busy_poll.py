"""A loop that stays awake, with a clock and a queue of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nacre.aio import busy_poll
from nacre.aio.busy_poll import BusyPoll

AWAKE = 8.0


class Loop:
    """As much of a loop as staying awake needs."""

    def __init__(self) -> None:
        self.now = 5.0
        self.ready: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    def turn(self, seconds: float) -> bool:
        """Let time pass and run what is ready; return whether the next turn would not wait."""
        self.now += seconds
        ready, self.ready = self.ready, []
        for callback in ready:
            callback()
        return bool(self.ready)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_it_stays_awake_for_its_seconds_and_no_longer(loop: Loop) -> None:
    poll = BusyPoll(loop, AWAKE)  # type: ignore[arg-type]
    poll.stay_awake(loop.now)
    assert [loop.turn(2) for _ in range(4)] == [True, True, True, False]


def test_another_message_begins_it_anew_and_adds_nothing_to_a_turn(loop: Loop) -> None:
    poll = BusyPoll(loop, AWAKE)  # type: ignore[arg-type]
    poll.stay_awake(loop.now)
    loop.turn(4)
    poll.stay_awake(loop.now)
    assert len(loop.ready) == 1
    assert [loop.turn(4) for _ in range(2)] == [True, False]


def test_others_go_first_each_time(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    gave_way: list[float] = []
    monkeypatch.setattr(busy_poll, "_yield_processor", lambda: gave_way.append(loop.now))
    BusyPoll(loop, AWAKE).stay_awake(loop.now)  # type: ignore[arg-type]
    while loop.turn(1):
        pass
    assert len(gave_way) == 7


def test_a_loop_that_may_not_does_not(loop: Loop) -> None:
    BusyPoll.forbid(loop)  # type: ignore[arg-type]
    poll = BusyPoll.of(loop)  # type: ignore[arg-type]
    assert poll is BusyPoll.of(loop)  # type: ignore[arg-type]
    poll.stay_awake(loop.now)
    assert not loop.turn(0)
