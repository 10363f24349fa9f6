"""How long a denial takes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from nacre.protocol.asks import (
    Ask,
    AskKeyboardInteractive,
    AskPassword,
    AskUser,
    Challenge,
    Denied,
    Granted,
    UserRequirement,
)
from nacre.server.admission import denials
from nacre.server.admission.denials import DRAWN, LEAST, LOOKUP, ExactTimer, LoginPace, padded
from parties import client_for


def test_the_time_depends_on_the_name_and_hides_what_was_done() -> None:
    names = [f"user{number}" for number in range(200)]
    times = {padded(0.0, name) for name in names}
    assert len(times) > 50
    assert all(LEAST <= time <= LEAST + DRAWN for time in times)
    for name in names:
        least = padded(0.0, name)
        assert padded(0.0004, name) == padded(0.002, name) == least
        assert padded(least * 1.5, name) == 2 * least
        assert padded(least * 3, name) == 4 * least
        assert padded(0.0, name, 0.5) == least / 2


async def test_tasks_are_woken_in_the_order_of_their_times_and_never_before() -> None:
    timer = ExactTimer()
    woken: list[int] = []

    async def sleep(number: int, when: float) -> None:
        await timer.sleep_until(when)
        assert time.monotonic() >= when
        woken.append(number)

    now = time.monotonic()
    async with asyncio.timeout(30):
        times = enumerate((0.34, 0.32, -1.0, 0.33))
        await asyncio.gather(*(sleep(number, now + later) for number, later in times))
    assert woken == [2, 1, 3, 0]
    timer.close()


async def test_one_thread_waits_for_all_and_ends() -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "timer"]

    before = set(threads())
    timer = ExactTimer()
    assert set(threads()) == before
    async with asyncio.timeout(30):
        await asyncio.gather(*(timer.sleep_until(time.monotonic() + 0.01) for _ in range(50)))
    (mine,) = set(threads()) - before
    # A task that is cancelled meanwhile does not disturb the others.
    cancelled = asyncio.ensure_future(timer.sleep_until(time.monotonic() + 0.01))
    await asyncio.sleep(0)
    cancelled.cancel()
    async with asyncio.timeout(30):
        await timer.sleep_until(time.monotonic() + 0.02)
    timer.close()
    mine.join(30)
    assert not mine.is_alive()


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def asked(kind: type[AskPassword] | type[AskUser], number: int, **more: Any) -> Ask:
    ask = kind(user="alice", **more)
    ask.ask_id = number
    return ask


def test_a_denial_counts_from_the_arrival_of_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(), LoginPace()
    monkeypatch.setattr(denials, "time", clock)
    dues: list[float | None] = []
    requirement = UserRequirement((frozenset({"password"}),))

    def at_once(ask: Ask) -> None:
        dues.append(pace.due(ask.ask_id, requirement if isinstance(ask, AskUser) else Denied()))

    def later(ask: Ask) -> None:
        pass

    # What the question about the user took counts for the password in the same request.
    clock.now = 100.0
    pace.take(asked(AskUser, 1), at_once)
    clock.now = 100.001
    pace.take(asked(AskPassword, 2, password="x"), at_once)
    assert dues == [None, 100.0 + padded(0.001, "alice")]
    pace.attempted()
    # The next request has the same user, who is not asked about again.
    clock.now = 200.0
    pace.take(asked(AskPassword, 3, password="x"), later)
    assert pace.due(99, Denied()) is None  # another question than one of a login
    clock.now = 201.0
    assert pace.due(3, Denied()) == 200.0 + padded(1.0, "alice")
    assert pace.due(3, Denied()) is None
    pace.attempted()
    # A user who is looked up in a thread; "none" fails then without another question.
    clock.now = 300.0
    pace.take(asked(AskUser, 4), later)
    clock.now = 300.0001
    assert pace.due(4, requirement) == 300.0 + padded(0.0001, "alice", LOOKUP)
    pace.attempted()
    # Another process has judged it, at once or not.
    for number, quick in ((6, True), (7, False)):
        clock.now = 350.0
        pace.take(asked(AskUser, number), later)
        with pace.judging(quick):
            due = pace.due(number, requirement)
        assert due == (None if quick else 350.0 + padded(0.0, "alice", LOOKUP))
        pace.attempted()
    clock.now = 400.0
    pace.take(asked(AskPassword, 5, password="x"), later)
    assert pace.due(5, Granted()) is None


def test_the_time_that_a_user_takes_to_type_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(), LoginPace()
    monkeypatch.setattr(denials, "time", clock)
    for number, answer in enumerate((Challenge("", "", ()), Denied())):
        ask = AskKeyboardInteractive(user="alice", submethods="", responses=None)
        ask.ask_id = number
        clock.now += 60.0
        pace.take(ask, lambda ask: None)
        due = pace.due(number, answer)
        assert due == (clock.now + padded(0.0, "alice") if answer == Denied() else None)


async def test_a_server_sends_a_denial_when_it_is_due(make_server: Callable[..., Any]) -> None:
    dues: list[float] = []

    class Noting(ExactTimer):
        async def sleep_until(self, when: float) -> None:
            dues.append(when)

    server = await make_server()
    server.timer = Noting()
    begin = time.monotonic()
    with pytest.raises(nacre.AuthenticationFailed):
        await client_for(server, password="wrong")
    assert dues
    assert all(due >= begin + LEAST for due in dues)
    count = len(dues)
    async with client_for(server):
        assert len(dues) == count
