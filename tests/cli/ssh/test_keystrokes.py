"""Keystrokes leave at fixed intervals, and PINGs fill the places between them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nacre.cli.ssh import keystrokes
from nacre.cli.ssh.keystrokes import Keystrokes
from nacre.errors import StreamClosed
from nacre.wire.codec import Buffer


class Recorded:
    """What was sent, in order, and whether the process still takes input."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    async def write(self, data: Buffer) -> None:
        if self.closed:
            raise StreamClosed("closed")
        self.sent.append(bytes(data))

    def chaff(self) -> None:
        self.sent.append(b"<ping>")


class Clock:
    """Lets the task on the grid go on from place to place, as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        monkeypatch.setattr(self._loop, "time", lambda: self.now)
        monkeypatch.setattr("nacre.cli.ssh.keystrokes.asyncio.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        self._delay = seconds
        await future

    async def place(self) -> None:
        """Go on to the next place of the grid."""
        for _ in range(5):
            await _turn()
        (future,) = self._waiting
        self._waiting.clear()
        self.now += self._delay
        future.set_result(None)
        for _ in range(5):
            await _turn()


async def _turn() -> None:
    """Let every task that is ready run once."""
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    await turned


@pytest.fixture
async def typing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(keystrokes, "_TAIL", (0.05, 0.05))
    recorded = Recorded()
    clock = Clock(monkeypatch)
    found = Keystrokes(recorded.write, recorded.chaff, 0.02)
    yield found, recorded, clock
    await found.flush()


async def test_the_first_leaves_at_once_and_the_others_at_their_places(typing: Any) -> None:
    keys, recorded, clock = typing
    await keys.send(b"a")
    assert recorded.sent == [b"a"]
    await keys.send(b"b")
    await keys.send(b"c")
    assert recorded.sent == [b"a"]
    await clock.place()
    assert recorded.sent == [b"a", b"bc"]


async def test_pings_take_the_empty_places_until_some_time_after_the_last(typing: Any) -> None:
    keys, recorded, clock = typing
    await keys.send(b"a")
    await clock.place()
    await clock.place()
    assert recorded.sent == [b"a", b"<ping>", b"<ping>"]
    await clock.place()
    assert recorded.sent == [b"a", b"<ping>", b"<ping>"]
    await keys.send(b"b")
    assert recorded.sent[-1] == b"b"


async def test_much_input_is_no_typing(typing: Any) -> None:
    keys, recorded, _ = typing
    await keys.send(b"a")
    await keys.send(b"b")
    await keys.send(bytes(257))
    assert recorded.sent == [b"a", b"b", bytes(257)]


async def test_a_process_that_takes_no_more_input(typing: Any) -> None:
    keys, recorded, clock = typing
    await keys.send(b"a")
    recorded.closed = True
    await keys.send(b"b")
    await clock.place()
    with pytest.raises(StreamClosed):
        await keys.send(b"c")
