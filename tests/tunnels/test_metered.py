"""Streams and relays that wait for a meter, on a driver that notes its calls."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest

from fake_driver import FakeConnection, FakeDriver
from nacre.errors import ConnectionLost
from nacre.protocol.events import ChannelClosed, EofReceived
from nacre.tunnels.metered import MeteredReader, MeteredRelay, MeteredWriter, Way
from nacre.tunnels.relay import carry
from nacre.wire.numbers import MAIN
from parties import until


class FakeMeter:
    """Lets bytes pass as far as :attr:`allowed` goes; then it waits until there is more."""

    def __init__(self, up: int, down: int) -> None:
        self.allowed: dict[Way, int] = {"up": up, "down": down}
        self.counted: dict[Way, int] = {"up": 0, "down": 0}
        self.waits = 0
        self.users = 0
        self.error: ConnectionLost | None = None
        self._more = asyncio.Event()

    def take(self, way: Way, size: int) -> bool:
        self.counted[way] += size
        return self.counted[way] <= self.allowed[way]

    async def settle(self, way: Way) -> None:
        self.waits += 1
        while self.counted[way] > self.allowed[way]:
            if self.error is not None:
                raise self.error
            self._more.clear()
            await self._more.wait()

    def allow(self, way: Way, size: int) -> None:
        self.allowed[way] += size
        self._more.set()

    def fail(self) -> None:
        self.error = ConnectionLost("too much")
        self._more.set()

    def enter(self) -> None:
        self.users += 1

    def leave(self) -> None:
        self.users -= 1


class Ends:
    """A metered relay, with the program's end of its socket."""

    def __init__(self, meter: FakeMeter) -> None:
        self.program, self.near = socket.socketpair()
        self.program.setblocking(False)
        self.driver = FakeDriver()
        self.connection = FakeConnection(self.driver)
        self.channel = self.driver.channel()
        self.connection.channels.append(self.channel)
        self.meter = meter
        self.loop = asyncio.get_running_loop()

    async def start(self) -> None:
        make = partial(MeteredRelay, self.meter)
        await carry(self.connection, self.channel, self.near, make=make)  # type: ignore[arg-type]

    @property
    def sent(self) -> bytes:
        return bytes(self.driver.sent.get(MAIN, b""))

    @property
    def adjusted(self) -> int:
        return sum(call[1] for call in self.driver.calls if call[0] == "adjust")

    def from_peer(self, data: bytes) -> None:
        self.channel.sinks[MAIN].feed(data)
        self.driver.end_turn()

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(30):
            return await self.loop.sock_recv(self.program, size)


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends(FakeMeter(10, 10))
    await ends.start()
    yield ends
    ends.connection.end()
    ends.program.close()
    await until(lambda: not ends.connection.tasks)


async def test_what_is_allowed_passes_at_once(ends: Ends) -> None:
    waited = ends.meter.waits  # for those before
    ends.program.send(b"to peer")
    await until(lambda: ends.sent == b"to peer")
    ends.from_peer(b"to program")
    assert await ends.read(100) == b"to program"
    assert ends.adjusted == 10
    assert ends.meter.counted == {"up": 10, "down": 7}
    assert ends.meter.waits == waited


async def test_what_is_more_than_allowed_waits(ends: Ends) -> None:
    waited = ends.meter.waits
    ends.program.send(b"longer than it may be")
    await until(lambda: ends.meter.waits > waited)
    assert ends.sent == b""
    ends.program.send(b", and more")
    ends.meter.allow("down", 100)
    await until(lambda: ends.sent == b"longer than it may be, and more")


async def test_what_the_peer_has_sent_waits_in_its_order(ends: Ends) -> None:
    ends.from_peer(b"longer than it may be")
    await until(lambda: ends.meter.waits == 1)
    ends.from_peer(b", and more")
    assert ends.adjusted == 0
    ends.meter.allow("up", 11)
    await until(lambda: ends.meter.waits == 2)
    ends.meter.allow("up", 10)
    assert await ends.read(100) == b"longer than it may be, and more"
    assert ends.adjusted == 31
    ends.meter.allow("up", 100)
    ends.from_peer(b"the rest")
    assert await ends.read(100) == b"the rest"


@pytest.mark.parametrize("closes", [False, True])
async def test_the_end_comes_after_the_data(ends: Ends, closes: bool) -> None:
    ends.from_peer(b"longer than it may be")
    ends.channel.accept_eof(EofReceived(ends.channel.number))
    if closes:
        ends.program.shutdown(socket.SHUT_WR)
        await until(lambda: ("eof",) in ends.driver.calls)
    await until(lambda: ends.meter.waits == 1)
    ends.meter.allow("up", 100)
    assert await ends.read(100) == b"longer than it may be"
    assert await ends.read(100) == b""


@pytest.mark.parametrize("eof", [False, True])
async def test_a_connection_that_ends_before_resets_the_socket(eof: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    ends = Ends(FakeMeter(0, 0))
    ends.program.close()
    ends.near.close()
    ends.program, ends.near = program, near
    program.setblocking(False)
    await ends.start()
    ends.from_peer(b"what is not passed on")
    if eof:
        ends.channel.accept_eof(EofReceived(ends.channel.number))
    await until(lambda: ends.meter.waits == 1)
    ends.connection.end()
    with program, pytest.raises(ConnectionResetError):
        await ends.read(100)
    await until(lambda: not ends.connection.tasks)


async def test_a_relay_whose_meter_refuses_sends_nothing(ends: Ends) -> None:
    ends.program.send(b"longer than it may be")
    ends.meter.fail()
    await until(lambda: ends.meter.waits == 1 and not ends.connection.tasks)
    ends.from_peer(b"longer than it may be")
    await until(lambda: ends.meter.waits == 2 and not ends.connection.tasks)
    assert (ends.sent, ends.adjusted) == (b"", 0)


async def test_a_relay_uses_its_meter_until_its_channel_is_closed(ends: Ends) -> None:
    assert ends.meter.users == 1
    ends.channel.accept_eof(EofReceived(ends.channel.number))
    assert ends.meter.users == 1
    ends.channel.accept_closed(ChannelClosed(ends.channel.number))
    assert ends.meter.users == 0


async def test_a_writer_waits_before_it_sends() -> None:
    driver, meter = FakeDriver(), FakeMeter(0, 4)
    writer = MeteredWriter(driver.channel(), MAIN, meter)
    await writer.write(b"1234")
    writing = asyncio.ensure_future(writer.write(b"5678"))
    await until(lambda: meter.waits == 1)
    assert driver.sent[MAIN] == b"1234"
    meter.allow("down", 4)
    await writing
    assert driver.sent[MAIN] == b"12345678"
    meter.fail()
    with pytest.raises(ConnectionLost, match="too much"):
        await writer.write(b"9")


async def test_a_reader_waits_before_it_returns() -> None:
    driver, meter = FakeDriver(), FakeMeter(4, 0)
    reader = MeteredReader(driver.channel(), meter)
    reader.feed(b"1234")
    assert await reader.read(100) == b"1234"
    reader.feed(b"56")
    reading = asyncio.ensure_future(reader.read_chunks(100))
    await until(lambda: meter.waits == 1)
    assert not reading.done()
    meter.allow("up", 2)
    assert await reading == [b"56"]
    reader.end()
    assert await reader.read(1) == b""
    assert await reader.read_chunks(1) == []
