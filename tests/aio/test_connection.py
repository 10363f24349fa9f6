"""A connection of either role, on an engine that does as it is told."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from nacre.aio.connection import COMMON, BaseConnection
from nacre.errors import (
    ChannelOpenFailed,
    ConnectionLost,
    DisconnectCode,
    LocalProtocolError,
    NacreError,
)
from nacre.protocol.asks import Answer, AskGlobalRequest, Denied
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ConnectionEnded,
    Data,
    DebugReceived,
    Event,
    GlobalRequestAnswered,
    PongReceived,
)
from nacre.protocol.phases import Phase
from nacre.wire.numbers import MAIN


class Engine:
    """Puts out the names of the calls; events are given to it."""

    def __init__(self) -> None:
        self.phase = Phase.CONNECTION
        self.wants_input = True
        self.behind = False
        self.next_tick: float | None = None
        self.events: list[Event] = []
        self.calls: list[tuple[Any, ...]] = []
        self.output = bytearray()
        self.channels = 0

    @property
    def connection(self) -> Engine:
        return self

    @property
    def output_size(self) -> int:
        return len(self.output)

    def _note(self, *call: Any) -> None:
        if self.phase is Phase.CLOSED:
            raise LocalProtocolError("the connection has ended")
        self.calls.append(call)
        self.output += f"{call[0]} ".encode()

    def start(self, now: float) -> None:
        self._note("start")

    def take_events(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def take_output(self) -> memoryview:
        output, self.output = self.output, bytearray()
        return memoryview(output)

    def receive_eof(self) -> None:
        self.end(ConnectionLost("the peer is gone"))

    def end(self, error: NacreError | None) -> None:
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.CLOSED
            self.events.append(ConnectionEnded(error))

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        self._note("disconnect", code, description)
        self.end(None)

    def answer(self, ask_id: int, answer: Answer) -> bool:
        self._note("answer", ask_id, answer)
        return True

    def ping(self, data: bytes = b"") -> None:
        self._note("ping")

    def rekey(self) -> None:
        self._note("rekey")

    def open_channel(self, channel_type: str, data: bytes) -> int:
        self._note("open", channel_type)
        self.channels += 1
        return self.channels

    def send_global_request(self, name: str, data: bytes) -> int:
        self._note("request", name)
        return len(self.calls)

    def adjust_window(self, channel: int, count: int) -> None:
        self._note("adjust", channel, count)


class Transport:
    def __init__(self) -> None:
        self.written = b""
        self.closing = False
        self.aborted = False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, name: str) -> None: ...

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def write_eof(self) -> None: ...

    def abort(self) -> None:
        self.closing = self.aborted = True


class Connection(BaseConnection):
    """Fails at a debug message, and keeps what is logged of it; slotted as the server's are."""

    __slots__ = ("logged",)

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, keepalive=None, keepalive_count=3)  # type: ignore[arg-type]
        self.logged: list[str] = []

    def record_error(self, what: str, error: Exception) -> None:
        self.logged.append(what)

    def _on_debug(self, event: DebugReceived) -> None:
        raise ValueError("a mistake")


Connection.handlers = {**COMMON, DebugReceived: Connection._on_debug}


class Party:
    """A connection with its engine and its transport."""

    def __init__(self) -> None:
        self.engine, self.transport = Engine(), Transport()
        self.connection = Connection(self.engine)
        self.connection.driver.connection_made(self.transport)  # type: ignore[arg-type]
        self.engine.calls.clear()

    async def happens(self, *events: Event) -> None:
        """Let the engine report events, and let the tasks that they wake run."""
        self.engine.events += events
        self.connection.driver.touch()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.fixture
async def party() -> Party:
    return Party()


async def test_users_may_keep_state_on_a_connection_and_weakly_by_it() -> None:
    connection = Connection(Engine())
    known = WeakKeyDictionary({connection: "by it"})
    connection.mine = "on it"  # type: ignore[attr-defined]
    assert known[connection] == "by it"


async def test_a_handler_that_fails_ends_the_connection(party: Party) -> None:
    waiting = asyncio.create_task(party.connection.request("x", b""))
    await asyncio.sleep(0)
    await party.happens(DebugReceived(False, "trouble"))
    error = party.connection.error
    assert isinstance(error, NacreError)
    assert isinstance(error.__cause__, ValueError)
    assert party.connection.logged == [str(error)]
    assert "acting on DebugReceived failed" in str(error)
    assert party.engine.calls[-1] == (
        "disconnect",
        DisconnectCode.BY_APPLICATION,
        "internal error",
    )
    with pytest.raises(NacreError, match="acting on"):
        await waiting


async def test_events_after_the_end_are_dropped(party: Party) -> None:
    await party.happens(ConnectionEnded(None), DebugReceived(False, "too late"))
    assert party.connection.logged == []


async def test_what_no_channel_wants_adjusts_its_window(party: Party) -> None:
    channel = party.connection.open_channel("session")
    await party.happens(ChannelOpened(channel.number), Data(channel.number, b"12345", MAIN))
    assert party.engine.calls == [("open", "session"), ("adjust", channel.number, 5)]


async def test_a_channel_that_the_engine_refuses(party: Party) -> None:
    party.engine.phase = Phase.CLOSED
    with pytest.raises(ChannelOpenFailed, match="has ended"):
        party.connection.open_channel("session")


async def test_an_answer_is_that_of_its_request(party: Party) -> None:
    first = asyncio.create_task(party.connection.request("first", b""))
    second = asyncio.create_task(party.connection.request("second", b""))
    await asyncio.sleep(0)
    await party.happens(
        GlobalRequestAnswered(2, False, b"ignored"), GlobalRequestAnswered(1, True, b"data")
    )
    assert await asyncio.wait_for(first, 30) == b"data"
    assert await asyncio.wait_for(second, 30) is None


async def test_a_request_without_an_answer_raises_what_ended_the_connection(party: Party) -> None:
    waiting = asyncio.create_task(party.connection.request("first", b""))
    await asyncio.sleep(0)
    await party.happens(ConnectionEnded(ConnectionLost("cut off")))
    with pytest.raises(ConnectionLost, match="cut off"):
        await asyncio.wait_for(waiting, 30)
    with pytest.raises(ConnectionLost, match="cut off"):
        await party.connection.request("second", b"")


async def test_probes_are_answered_in_order(party: Party) -> None:
    first = asyncio.create_task(party.connection.keepalive())
    second = asyncio.create_task(party.connection.keepalive())
    await asyncio.sleep(0)
    await party.happens(PongReceived(b""))
    assert (first.done(), second.done()) == (True, False)
    # A global request of another kind that is refused answers a probe too.
    await party.happens(GlobalRequestAnswered(99, False, b""))
    assert await asyncio.wait_for(second, 30) >= 0


async def test_a_probe_that_the_end_overtakes_raises(party: Party) -> None:
    waiting = asyncio.create_task(party.connection.keepalive())
    await asyncio.sleep(0)
    await party.happens(ConnectionEnded(ConnectionLost("cut off")))
    with pytest.raises(ConnectionLost, match="cut off"):
        await asyncio.wait_for(waiting, 30)


async def test_global_requests_of_the_peer_are_refused(party: Party) -> None:
    ask = AskGlobalRequest(name="x", data=b"")
    ask.ask_id = 5
    await party.happens(ask)
    assert [(call[:2], type(call[2])) for call in party.engine.calls] == [(("answer", 5), Denied)]


async def test_tasks_end_with_the_connection(party: Party) -> None:
    before = party.connection.spawn(forever())
    await asyncio.sleep(0)
    await party.happens(ConnectionEnded(None))
    after = party.connection.spawn(forever())
    await asyncio.wait_for(asyncio.wait({before, after}), 30)
    assert before.cancelled()
    assert after.cancelled()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_close_sends_disconnect_and_waits_for_the_transport(party: Party) -> None:
    closing = asyncio.ensure_future(party.connection.close())
    assert party.connection.closed
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert party.transport.written.endswith(b"disconnect ")
    assert party.transport.closing
    assert not closing.done()
    party.connection.driver.connection_lost(None)
    await asyncio.wait_for(closing, 30)
    assert party.connection.error is None


async def test_abort_drops_what_was_not_sent(party: Party) -> None:
    party.connection.open_channel("session")
    party.connection.abort()
    assert party.transport.aborted
    assert b"open" not in party.transport.written
    party.connection.driver.connection_lost(None)


async def test_a_lost_transport_has_the_systems_reason(party: Party) -> None:
    reset = ConnectionResetError("reset")
    party.connection.driver.connection_lost(reset)
    assert isinstance(party.connection.error, ConnectionLost)
    assert party.connection.error.__cause__ is reset


async def test_idle_is_when_the_last_channel_is_closed(party: Party) -> None:
    one, two = (party.connection.open_channel("session") for _ in range(2))
    waiting = asyncio.create_task(party.connection.wait_idle())
    await party.happens(ChannelOpened(one.number), ChannelClosed(one.number))
    assert not waiting.done()
    await party.happens(ChannelOpened(two.number), ChannelClosed(two.number))
    await asyncio.wait_for(waiting, 30)
