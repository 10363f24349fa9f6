"""Turns: a peer that sends without end keeps the loop for a while, and then others have theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aio.test_driver import Engine, Owner, Transport
from nacre.aio.driver import PORTION, TURN, Driver
from nacre.protocol.asks import Answer, Granted
from nacre.protocol.events import DebugReceived
from nacre.protocol.phases import Phase

STEPS = 5
"""Portions of a turn: the first, at whose end its time begins, and four of a quarter each."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(Engine):
    """Each byte is a message; a portion of them takes its time. Notes its name for each portion."""

    def __init__(self, name: str, clock: Clock, log: list[str]) -> None:
        super().__init__()
        self.phase = Phase.CONNECTION
        self.held = b""
        self.name, self.clock, self.log = name, clock, log

    def receive(self, data: Any, now: float, *, whole: bool = False, most: int = 0) -> int:
        assert most == PORTION
        waiting = self.held + bytes(data)
        self._handle(waiting[:most])
        rest = waiting[most:]
        self._fall_behind(rest)
        left = min(len(rest), len(data)) if whole else 0
        self.held = rest[: len(rest) - left]
        return left

    def _fall_behind(self, rest: bytes) -> None:
        self.behind = bool(rest)
        self.wants_input = not rest

    def _handle(self, messages: bytes) -> None:
        self.received.append(messages)
        self.events.append(DebugReceived(False, self.name))
        self.clock.now += TURN / (STEPS - 1)
        self.log.append(self.name)

    def receive_eof(self) -> None:
        super().receive_eof()
        self._fall_behind(b"")

    def answer(self, ask_id: int, answer: Answer) -> bool:
        rest, self.held = self.held[PORTION:], b""
        self._fall_behind(rest)
        self.held = rest
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("nacre.aio.driver.thread_time", made)
    return made


async def make(name: str, clock: Clock, log: list[str]) -> tuple[Driver, Slow, Transport, Owner]:
    loop = asyncio.get_running_loop()
    engine, transport, owner = Slow(name, clock, log), Transport(), Owner()
    made = Driver(engine, owner, loop)  # type: ignore[arg-type]
    made.connection_made(transport)  # type: ignore[arg-type]
    return made, engine, transport, owner


def arrive(driver: Driver, messages: bytes) -> None:
    buffer = driver.get_buffer(-1)
    buffer[: len(messages)] = messages
    driver.buffer_updated(len(messages))


async def turns() -> None:
    """Let the loop do all that waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_peer_has_its_turn_and_reading_stops_until_it_has_caught_up(clock: Clock) -> None:
    log: list[str] = []
    made, engine, transport, owner = await make("a", clock, log)
    messages = bytes(range(256)) * 2
    arrive(made, messages)
    assert log == ["a"] * STEPS
    assert len(owner.events) == STEPS, "events are handled after each portion"
    assert transport.calls == []
    await asyncio.sleep(0)
    assert transport.calls == ["pause"]
    await turns()
    assert b"".join(engine.received) == messages
    assert len(log) == len(messages) / PORTION
    assert transport.calls == ["pause", "resume"]
    assert made.get_buffer(-1).nbytes > len(messages), "nothing is left in it"


async def test_up_to_the_login_a_turn_is_one_portion(clock: Clock) -> None:
    """So who is to be accepted does not wait long for all who flood the server before a login."""
    log: list[str] = []
    made, engine, transport, _ = await make("a", clock, log)
    engine.phase = Phase.AUTHENTICATION
    messages = bytes(range(256))
    arrive(made, messages)
    assert log == ["a"]
    await turns()
    assert b"".join(engine.received) == messages
    assert transport.calls == ["pause", "resume"]


async def test_others_come_in_between(clock: Clock) -> None:
    """Also one whose bytes are read into the buffer in which the first one's wait."""
    log: list[str] = []
    first, engine, *_ = await make("a", clock, log)
    second, other, *_ = await make("b", clock, log)
    messages = bytes(range(256)) * 2
    arrive(first, messages)
    arrive(second, messages[::-1])
    await turns()
    assert b"".join(engine.received) == messages
    assert b"".join(other.received) == messages[::-1]
    text = "".join(log)
    # The order of two that both wait may be another one in each iteration of the loop.
    for name in "ab":
        assert name * (2 * STEPS + 1) not in text
    assert text.index("b") <= STEPS + 1
    assert text.rindex("a") > text.index("b")


async def test_a_transfer_is_handled_at_once(clock: Clock) -> None:
    log: list[str] = []
    made, _, transport, _ = await make("a", clock, log)
    arrive(made, bytes(PORTION))
    assert log == ["a"]
    await turns()
    assert log == ["a"]
    assert transport.calls == []


async def test_what_an_answer_leaves_waiting_is_caught_up_with(clock: Clock) -> None:
    log: list[str] = []
    made, engine, transport, _ = await make("a", clock, log)
    engine.held = bytes(2 * PORTION)
    made.answer(1, Granted())
    await turns()
    assert b"".join(engine.received) == bytes(PORTION)
    assert transport.calls == [], "it was done before anything more could be read"


async def test_the_end_drops_what_waits(clock: Clock) -> None:
    log: list[str] = []
    made, engine, _, owner = await make("a", clock, log)
    arrive(made, bytes(100 * PORTION))
    made.connection_lost(None)
    await turns()
    assert owner.lost
    assert log == ["a"] * STEPS
    assert engine.phase is Phase.CLOSED
