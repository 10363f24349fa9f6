"""The process of hooks: how it goes on after failures."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from daemon.hooks.made import plan, told
from daemon.hooks.receiver import HANG, Receiver, receiving
from nacre.config.values import LogLevel
from nacre.daemon.hooks import hook_process
from nacre.daemon.hooks.hook_process import (
    LONGEST_PAUSE,
    HookServer,
    HookSettings,
    pause,
)
from nacre.daemon.hooks.values import HookPlan
from nacre.daemon.separate.link import Link
from nacre.daemon.separate.messages import (
    FROM_HOOKS,
    HooksAre,
    HookTold,
    LogRecord,
    Retire,
    StartWith,
    TellHook,
    packed,
)
from nacre.wire.message import Message


class Parent:
    """The other end: what the process has said."""

    def __init__(self, sock: socket.socket) -> None:
        self.said: list[Message] = []
        self._changed = asyncio.Event()
        self.link = Link(sock, self._receive, lambda reason: None)

    def _receive(self, data: bytes) -> None:
        self.said.append(FROM_HOOKS[data[0]].decode(data))
        self._changed.set()

    @property
    def outcomes(self) -> list[tuple[int, int, str]]:
        found = [one for one in self.said if isinstance(one, HookTold)]
        return [(one.hook, one.number, one.outcome) for one in found]

    def send(self, *numbers: int, hook: int = 1, **more: Any) -> None:
        for number in numbers:
            self.link.send(TellHook(hook, number, told(number, **more).body).encode())

    def change(self, *plans: HookPlan) -> None:
        self.link.send(HooksAre(packed(list(plans))).encode())

    async def until(self, found: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not found():
                await self._changed.wait()
                self._changed.clear()


@asynccontextmanager
async def process() -> AsyncIterator[Parent]:
    ours, theirs = socket.socketpair()
    parent = Parent(ours)
    running = asyncio.create_task(HookServer(theirs).run())
    settings = HookSettings(rights=None, log_level=LogLevel.INFO)
    parent.link.send(StartWith(packed(settings)).encode())
    await parent.until(lambda: len(parent.said) >= 2)
    try:
        yield parent
        parent.link.send(Retire(0).encode())
    finally:
        async with asyncio.timeout(30):
            if not running.done():
                parent.link.close()
            await running
        parent.link.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_process, "FIRST_PAUSE", 0.01)


def url_plan(receiver: Receiver, **more: Any) -> HookPlan:
    return plan(**{"kind": "url", "target": receiver.url, **more})


async def test_events_are_told_one_after_the_other() -> None:
    async with receiving() as receiver, process() as parent:
        parent.change(url_plan(receiver))
        parent.send(1, 2, 3)
        await parent.until(lambda: len(parent.outcomes) == 3)
        assert parent.outcomes == [(1, number, "done") for number in (1, 2, 3)]
        assert [one.told["number"] for one in receiver.taken] == [1, 2, 3]
        assert all(one.signed for one in receiver.taken)


async def test_what_fails_is_tried_until_it_works_and_holds_up_its_hook_alone() -> None:
    async with receiving() as receiver, receiving() as other, process() as parent:
        answers = iter(["500 No", HANG, "429 Later\r\nRetry-After: 0", "200 OK", "200 OK"])
        receiver.answer = lambda request: next(answers)
        parent.change(url_plan(receiver, timeout=1), url_plan(other, number=2))
        parent.send(1, 2)
        parent.send(1, 2, 3, hook=2)
        await parent.until(lambda: parent.outcomes.count((1, 2, "done")))
        mine = [one for one in parent.outcomes if one[0] == 1]
        assert mine == [*[(1, 1, "failing")] * 3, (1, 1, "done"), (1, 2, "done")]
        assert [one for one in parent.outcomes if one[0] == 2][-1] == (2, 3, "done")
        failures = [one for one in parent.said if isinstance(one, HookTold) and one.reason]
        assert [one.attempts for one in failures] == [1, 2, 3]
        assert failures[1].reason == "it was not done within 1 seconds"
        assert [one.told["number"] for one in receiver.requests] == [1, 1, 1, 1, 2]
        assert len({one.headers["nacre-id"] for one in receiver.requests[:4]}) == 1


async def test_what_is_refused_or_too_old_is_given_up() -> None:
    async with receiving() as receiver, process() as parent:
        answers = iter(["400 No", "500 No", "200 OK"])
        receiver.answer = lambda request: next(answers)
        parent.change(url_plan(receiver, give_up=60))
        parent.send(1, 2, 3, time="2020-12-31T18:00:00.000000Z")
        await parent.until(lambda: len(parent.outcomes) == 3)
        assert [outcome for _, _, outcome in parent.outcomes] == ["dead", "dead", "done"]


async def test_what_a_hook_says_goes_to_the_log_and_can_be_shown() -> None:
    async with process() as parent:
        parent.change(plan(target="/usr/bin/printf '\\033[2Jx'"))
        parent.send(1)
        await parent.until(lambda: any(isinstance(one, LogRecord) for one in parent.said))
        (record,) = (one.fields for one in parent.said if isinstance(one, LogRecord))
        assert b"\\\\x1b[2Jx" in record


async def test_a_hook_that_is_removed_is_told_nothing_more() -> None:
    async with receiving() as receiver, receiving() as other, process() as parent:
        receiver.answer = lambda request: HANG
        parent.change(url_plan(receiver), url_plan(other, number=2))
        parent.send(1, 2)
        await receiver.until(lambda: receiver.requests)
        parent.change(url_plan(other, number=2))
        parent.send(3)
        parent.send(1, hook=2)
        await parent.until(lambda: parent.outcomes)
        assert parent.outcomes == [(2, 1, "done")]
        assert len(receiver.requests) == 1


async def test_a_key_that_has_changed_signs_the_next_attempt() -> None:
    async with receiving() as receiver, process() as parent:
        receiver.answer = lambda request: "200 OK" if request.signed else "500 No"
        parent.change(url_plan(receiver, secret=b"another one, of some length"))
        parent.send(1)
        await parent.until(lambda: parent.outcomes)
        parent.change(url_plan(receiver))
        await parent.until(lambda: (1, 1, "done") in parent.outcomes)


async def test_it_ends_with_the_server_and_leaves_no_command_behind() -> None:
    async with process() as parent:
        parent.change(plan(target="/bin/sleep 1000"))
        parent.send(1)
        parent.link.close()


def test_pauses_grow_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_process, "FIRST_PAUSE", 1.0)
    for attempts, most in ((1, 1), (2, 2), (5, 16), (30, LONGEST_PAUSE), (10**9, LONGEST_PAUSE)):
        assert most / 2 <= pause(attempts) <= most
    assert pause(1, 100.0) == 100.0
    assert pause(1, 1e9) == LONGEST_PAUSE
