"""The driver alone, between a transport that remembers and an engine that does as it is told."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from nacre.aio.busy_poll import AWAKE, BRIEF, BusyPoll
from nacre.aio.driver import EARLY, FLUSH, UNHEARD, Driver, set_service
from nacre.aio.receiving import RECEIVE, RECEIVE_UNAUTHENTICATED
from nacre.errors import ConnectionLost, DisconnectCode
from nacre.protocol.asks import Answer, Granted
from nacre.protocol.events import ConnectionEnded, DebugReceived, Event
from nacre.protocol.phases import Phase
from nacre.wire.blocks import SHARED_BLOCKS, Block
from nacre.wire.numbers import MAIN, STDERR
from parties import until


class Engine:
    """As much of an engine as a driver needs."""

    def __init__(self) -> None:
        self.phase = Phase.VERSION
        self.wants_input = True
        self.next_tick: float | None = None
        self.events: list[Event] = []
        self.output = bytearray()
        self.received: list[bytes] = []
        self.ticks: list[float] = []
        self.not_whole = 0
        self.behind = False

    @property
    def output_size(self) -> int:
        return len(self.output)

    def start(self, now: float) -> None:
        self.output += b"hello"

    def receive(self, data: Any, now: float, *, whole: bool = False, most: int = 0) -> int:
        self.received.append(bytes(data))
        return self.not_whole if whole else 0

    def receive_eof(self) -> None:
        self.phase = Phase.CLOSED
        self.events.append(ConnectionEnded(ConnectionLost("gone")))

    @property
    def connection(self) -> Engine:
        return self

    def send_data(self, channel: int, data: bytes, stream: int) -> int:
        self.output += data
        return len(data)

    def answer(self, ask_id: int, answer: Answer) -> bool:
        return True

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        self.output += description.encode()
        self.phase = Phase.CLOSED
        self.events.append(ConnectionEnded(None))

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        self.next_tick = None

    def take_events(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def take_output(self) -> memoryview:
        output, self.output = self.output, bytearray()
        return memoryview(output)


class Transport:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.unsent = 0
        self.closing = False

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Owner:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lost = False

    def transport_made(self) -> None:
        pass

    def handle(self, events: list[Event]) -> None:
        self.events += events

    def transport_lost(self) -> None:
        self.lost = True


def driver() -> tuple[Driver, Engine, Transport, Owner]:
    engine, transport, owner = Engine(), Transport(), Owner()
    made = Driver(engine, owner, asyncio.get_running_loop())  # type: ignore[arg-type]
    made.connection_made(transport)  # type: ignore[arg-type]
    return made, engine, transport, owner


async def test_the_first_words_leave_at_once() -> None:
    _, _, transport, _ = driver()
    assert transport.written == [b"hello"]


async def test_the_identification_line_has_a_segment_of_its_own() -> None:
    """Some scanners drop what follows it in the same one: a server's KEXINIT."""

    class Server(Engine):
        def start(self, now: float) -> None:
            self.output += b"SSH-2.0-x\r\npacket\nwith a line end"

    transport = Transport()
    engine = Server()
    driver = Driver(engine, Owner(), asyncio.get_running_loop())  # type: ignore[arg-type]
    driver.connection_made(transport)  # type: ignore[arg-type]
    assert transport.written == [b"SSH-2.0-x\r\n", b"packet\nwith a line end"]


async def test_connections_of_a_loop_share_a_buffer_and_get_little_of_it_at_first() -> None:
    (first, engine, _, _), (second, _, _, _) = driver(), driver()
    buffer = first.get_buffer(-1)
    assert len(buffer) == RECEIVE_UNAUTHENTICATED
    assert second.get_buffer(-1).obj is buffer.obj
    engine.phase = Phase.CONNECTION
    assert len(first.get_buffer(-1)) == RECEIVE
    buffer[:3] = b"abc"
    first.buffer_updated(3)
    assert engine.received == [b"abc"]


async def test_what_is_put_out_in_one_turn_leaves_in_one_write() -> None:
    made, engine, transport, _ = driver()

    async def send(part: bytes) -> None:
        engine.output += part
        made.touch()

    await asyncio.gather(send(b"a"), send(b"b"), send(b"c"))
    await asyncio.sleep(0)
    assert transport.written == [b"hello", b"abc"]


async def test_what_is_collected_before_the_write_leaves_in_the_same_turn() -> None:
    subject, engine, transport, _ = driver()
    transport.written.clear()

    def collect() -> None:
        engine.output += b"collected"
        subject.touch()

    subject.before_write(collect)
    engine.output += b"first "
    await asyncio.sleep(0)
    assert transport.written == [b"first collected"]
    await asyncio.sleep(0)
    assert transport.written == [b"first collected"]


async def test_an_answer_that_needs_no_other_task_leaves_in_the_same_turn() -> None:
    made, engine, transport, owner = driver()
    transport.written.clear()

    def collect() -> None:
        assert len(owner.events) == 2
        engine.output += b"answer"
        made.touch()

    def handle(events: list[Event]) -> None:
        if not owner.events:
            made.before_write(collect, at_once=True)
        owner.events += events

    owner.handle = handle  # type: ignore[method-assign]
    engine.events += [DebugReceived(False, "one"), DebugReceived(False, "two")]
    made.buffer_updated(1)
    assert transport.written == [b"answer"]
    engine.events.append(DebugReceived(False, "three"))
    engine.output += b"reply"
    made.buffer_updated(1)
    assert transport.written == [b"answer"], "others are waited for again"
    await asyncio.sleep(0)
    assert transport.written == [b"answer", b"reply"]


async def test_much_output_does_not_wait_for_the_end_of_the_turn() -> None:
    made, _, transport, _ = driver()
    assert made.send_data(7, bytes(FLUSH - 1), MAIN) == FLUSH - 1
    assert len(transport.written) == 1
    made.send_data(7, b"x", MAIN)
    assert len(transport.written[1]) == FLUSH


class Reporting(Engine):
    """Notes each take of its output, and has an event at it, as SSH-1's engine has for writers."""

    def __init__(self, *events: Event) -> None:
        super().__init__()
        self.taken: list[int] = []
        self.after = list(events)

    def take_output(self) -> memoryview:
        self.taken.append(self.output_size)
        if self.output_size >= FLUSH:
            self.events += self.after
        return super().take_output()


@pytest.mark.parametrize("events", [[], [DebugReceived(False, "room")]])
async def test_a_turn_follows_much_output_only_for_its_events(events: list[Event]) -> None:
    engine, owner = Reporting(*events), Owner()
    made = Driver(engine, owner, asyncio.get_running_loop())  # type: ignore[arg-type]
    made.connection_made(Transport())  # type: ignore[arg-type]
    engine.taken.clear()
    made.send_data(7, bytes(FLUSH), MAIN)
    await asyncio.sleep(0)
    assert owner.events == events
    assert engine.taken == ([FLUSH, 0] if events else [FLUSH])


async def test_data_leaves_at_the_end_of_the_turn() -> None:
    made, _, transport, _ = driver()
    made.send_data(7, b"a", MAIN)
    made.send_data(8, b"b", STDERR)
    assert transport.written == [b"hello"]
    await asyncio.sleep(0)
    assert transport.written == [b"hello", b"ab"]


async def test_a_call_that_fails_schedules_a_turn_without_a_write() -> None:
    made, _, transport, _ = driver()
    with pytest.raises(AttributeError):
        made.touch().no_such_call()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert transport.written == [b"hello"]


async def test_the_end_is_handled_before_disconnect_returns() -> None:
    made, _, transport, owner = driver()
    made.disconnect(DisconnectCode.BY_APPLICATION, "goodbye")
    assert isinstance(owner.events[-1], ConnectionEnded)
    assert transport.written == [b"hello"]
    await asyncio.sleep(0)
    assert transport.written == [b"hello", b"goodbye"]
    assert transport.calls == ["close"]
    made.connection_lost(None)


class Keeping(Transport):
    """Keeps what it was given, as one of asyncio does with what the socket did not take."""

    def write(self, data: memoryview) -> None:
        self.written.append(data[5:])  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", [Transport(), Keeping()])
async def test_the_memory_of_what_left_is_used_again(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare: list[Block] = []
    monkeypatch.setattr(SHARED_BLOCKS, "_spare", spare)
    engine = Engine()
    made = Driver(engine, Owner(), asyncio.get_running_loop())  # type: ignore[arg-type]
    made.connection_made(transport)  # type: ignore[arg-type]
    block = engine.output = SHARED_BLOCKS.take()
    made.flush()
    assert len(transport.written[1]) >= len(block) - 5
    assert spare == ([] if isinstance(transport, Keeping) else [block])


async def test_an_open_question_stops_the_reading() -> None:
    made, engine, transport, _ = driver()
    engine.wants_input = False
    made.touch()
    await asyncio.sleep(0)
    assert transport.calls == ["pause"]
    engine.wants_input = True
    made.touch()
    await asyncio.sleep(0)
    assert transport.calls == ["pause", "resume"]


async def test_events_of_handlers_come_after_those_before() -> None:
    made, engine, _, owner = driver()
    first, second, third = (DebugReceived(False, name) for name in ("1", "2", "3"))
    seen = owner.events

    def handle(events: list[Event]) -> None:
        for event in events:
            if event is first:
                engine.events.append(third)
                made.answer(1, Granted())
            seen.append(event)

    owner.handle = handle  # type: ignore[method-assign]
    engine.events += [first, second]
    made.answer(0, Granted())
    assert seen == [first, second, third]
    await asyncio.sleep(0)


async def test_a_tick_comes_when_it_is_due() -> None:
    made, engine, _, _ = driver()
    loop = asyncio.get_running_loop()
    due = engine.next_tick = loop.time() + 0.02
    made.touch()
    await asyncio.sleep(0)
    await until(lambda: engine.ticks)
    assert engine.ticks[0] >= due - 0.001


async def test_the_end_closes_the_transport_and_then_does_not_wait_for_ever(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("nacre.aio.driver.LINGER", 0.01)
    made, _, transport, owner = driver()
    assert made.eof_received() is False
    assert isinstance(owner.events[-1], ConnectionEnded)
    assert transport.calls == ["close"]
    await until(lambda: "abort" in transport.calls)
    assert transport.calls == ["close", "abort"]
    reset = ConnectionResetError("reset")
    made.connection_lost(reset)
    assert made.cause is reset
    assert owner.lost


async def test_the_peer_may_read_our_last_words_before_the_socket_is_closed() -> None:
    made, engine, transport, _ = driver()
    engine.wants_input = False
    made.touch()
    await asyncio.sleep(0)
    engine.phase = Phase.CLOSED
    engine.output += b"goodbye"
    made.half_close = True
    made.touch()
    await asyncio.sleep(0)
    assert transport.written[-1] == b"goodbye"
    assert transport.calls == ["pause", "write_eof", "resume"]
    made.connection_lost(None)


async def test_a_peer_that_goes_on_after_our_last_words_is_cut_off() -> None:
    made, engine, transport, _ = driver()
    engine.phase = Phase.CLOSED
    made.half_close = True
    made.touch()
    await asyncio.sleep(0)
    before = len(engine.received)
    for _ in range(UNHEARD // 10_000):
        made.get_buffer(-1)
        made.buffer_updated(10_000)
    assert transport.calls == ["write_eof"]
    made.buffer_updated(10_000)
    assert transport.calls == ["write_eof", "abort"]
    assert len(engine.received) == before
    made.connection_lost(None)


async def test_a_peer_that_has_reset_the_connection_reads_no_last_words() -> None:
    made, engine, transport, _ = driver()

    def not_connected() -> None:
        raise OSError(107, "Transport endpoint is not connected")

    transport.write_eof = not_connected  # type: ignore[method-assign]
    engine.phase = Phase.CLOSED
    made.half_close = True
    made.touch()
    await asyncio.sleep(0)
    assert transport.calls == ["abort"]
    made.connection_lost(None)


class Clock:
    """A loop's own time, put forward by hand; counts how often the loop was to stay awake."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.awake = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        monkeypatch.setattr(BusyPoll, "stay_awake", lambda _poll, _now: self.count())

    def count(self) -> None:
        self.awake += 1


@pytest.mark.parametrize(
    ("before", "sent", "waited", "came", "awake"),
    [
        (b"answer", b"question", AWAKE / 2, b"answer", 1),
        (b"", b"question", AWAKE / 2, b"answer", 1),
        (b"answer", b"question", AWAKE * 2, b"answer", 0),
        (b"answer", bytes(BRIEF + 1), AWAKE / 2, b"answer", 0),
        (b"answer", b"question", AWAKE / 2, bytes(BRIEF + 1), 0),
        (bytes(BRIEF + 1), b"window adjust", AWAKE / 2, b"the rest", 0),
    ],
)
async def test_a_quick_exchange_of_short_messages_keeps_the_loop_awake(
    monkeypatch: pytest.MonkeyPatch,
    before: bytes,
    sent: bytes,
    waited: float,
    came: bytes,
    awake: int,
) -> None:
    clock = Clock(monkeypatch)
    made, engine, _, _ = driver()
    engine.phase = Phase.CONNECTION
    clock.now += 1
    receive(made, before)
    engine.output += sent
    made.flush()
    clock.now += waited
    receive(made, came)
    assert clock.awake == awake


async def test_what_comes_early_and_is_not_answered_is_acknowledged_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acknowledged: list[int] = []
    made, engine, _, _ = driver()
    monkeypatch.setattr(
        "nacre.aio.driver._acknowledge", lambda _: acknowledged.append(len(engine.received))
    )
    receive(made, b"a server's line")
    engine.phase = Phase.CONNECTION
    receive(made, b"its host keys")
    engine.output += b"answer"
    receive(made, b"question")
    made.flush()
    receive(made, bytes(EARLY))
    receive(made, b"much later")
    assert acknowledged == [1, 2, 4]


def receive(subject: Driver, data: bytes) -> None:
    subject.get_buffer(-1)[: len(data)] = data
    subject.buffer_updated(len(data))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
async def test_the_class_of_service_of_a_connection(family: socket.AddressFamily) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        driver: Any = SimpleNamespace(transport=SimpleNamespace(get_extra_info=lambda name: sock))
        level, option = (
            (socket.IPPROTO_IP, socket.IP_TOS)
            if family == socket.AF_INET
            else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
        )
        for code, found in ((0x48, 0x48), (None, 0x48), (0x10, 0x10)):
            set_service(driver, code)
            assert sock.getsockopt(level, option) == found
