"""A relay between a real socket and a channel on a driver that notes its calls."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from fake_driver import FakeConnection, FakeDriver
from nacre.aio.channel import Channel
from nacre.aio.stream import write_chunks
from nacre.errors import ChannelOpenFailed, ConnectionLost
from nacre.protocol.asks import AskOpen, Granted
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    EofReceived,
    RequestReceived,
    Writable,
)
from nacre.protocol.requests import EndOfWrite
from nacre.testing import Pair
from nacre.tunnels.relay import READ, carry, discard, grant
from nacre.wire.blocks import Block
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN
from parties import until

LARGE = bytes(range(256)) * (1 << 14)


class Ends:
    """A relay, with the program's end of its socket."""

    def __init__(self) -> None:
        self.program, self.near = socket.socketpair()
        self.program.setblocking(False)
        self.driver = FakeDriver()
        self.connection = FakeConnection(self.driver)
        self.channel = self.driver.channel()
        self.connection.channels.append(self.channel)
        self.loop = asyncio.get_running_loop()

    async def start(self) -> None:
        await carry(self.connection, self.channel, self.near)  # type: ignore[arg-type]

    def from_peer(self, data: bytes) -> None:
        self.channel.sinks[MAIN].feed(data)
        self.driver.end_turn()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(30):
            await self.loop.sock_sendall(self.program, data)

    async def read(self, size: int) -> bytes:
        data = b""
        async with asyncio.timeout(30):
            while len(data) < size and (more := await self.loop.sock_recv(self.program, 1 << 20)):
                data += more
        return data

    async def ends(self) -> bool:
        """Return whether the program gets EOF next."""
        async with asyncio.timeout(30):
            return await self.loop.sock_recv(self.program, 1) == b""

    @property
    def sent(self) -> bytes:
        return bytes(self.driver.sent.get(MAIN, b""))

    @property
    def adjusted(self) -> int:
        return sum(call[1] for call in self.driver.calls if call[0] == "adjust")


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    yield ends
    ends.connection.end()
    ends.program.close()
    await until(lambda: not ends.connection.tasks)


@pytest.fixture
async def started(ends: Ends) -> Ends:
    await ends.start()
    return ends


async def test_both_directions(started: Ends) -> None:
    await started.send(b"to the peer")
    await until(lambda: started.sent == b"to the peer")
    started.from_peer(b"to the program")
    assert await started.read(14) == b"to the program"
    assert started.adjusted == 14


async def test_what_a_turn_brings_is_written_in_one_go_and_in_its_order(started: Ends) -> None:
    for part in (b"to ", b"the ", b"program"):
        started.channel.sinks[MAIN].feed(part)
    assert started.adjusted == 0, "nothing was written before the turn's end"
    started.driver.end_turn()
    assert await started.read(14) == b"to the program"
    assert [call for call in started.driver.calls if call[0] == "adjust"] == [("adjust", 14)]


def test_what_a_read_brings_is_sealed_into_one_block() -> None:
    """Memory of the outbox that grows is copied, and the pool takes blocks alone."""
    pair = Pair()
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    assert pair.client.connection.send_data(channel, bytes(READ)) == READ
    assert isinstance(pair.client.take_output().obj, Block)


async def test_several_pieces_go_to_the_socket_without_a_copy(
    started: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[Buffer]] = []

    def write(descriptor: int, chunks: list[Buffer]) -> list[Buffer]:
        assert descriptor == started.near.fileno()
        written.append(chunks)
        return write_chunks(descriptor, chunks)

    monkeypatch.setattr("nacre.tunnels.relay.write_chunks", write)
    pieces = [b"to ", b"the ", b"program"]
    for piece in pieces:
        started.channel.sinks[MAIN].feed(piece)
    started.driver.end_turn()
    assert await started.read(14) == b"to the program"
    assert [list(map(id, chunks)) for chunks in written] == [list(map(id, pieces))]


async def test_pieces_that_the_socket_does_not_take_keep_their_order(started: Ends) -> None:
    whole = bytearray()
    for turn in range(3):
        for number in range(3):
            piece = bytes((turn, number)) * (1 << 20)
            started.channel.sinks[MAIN].feed(piece)
            whole += piece
        started.driver.end_turn()
        assert started.adjusted == 0, "the socket is full from the first turn on"
    assert await started.read(len(whole)) == whole
    await until(lambda: started.adjusted == len(whole))


async def test_what_came_before_the_end_is_written(started: Ends) -> None:
    started.channel.sinks[MAIN].feed(b"the last")
    started.channel.accept_eof(EofReceived(3))
    assert await started.read(8) == b"the last"
    assert await started.ends()


async def test_a_full_window_stops_the_reading_until_it_has_room(started: Ends) -> None:
    started.driver.window = 1000
    sending = asyncio.create_task(started.send(LARGE))
    await until(lambda: started.driver.window == 0)
    await asyncio.sleep(0)
    assert len(started.sent) == 1000
    assert not sending.done()
    started.driver.window = 1 << 30
    started.channel.accept_writable(Writable(3))
    await sending
    await until(lambda: len(started.sent) == len(LARGE))
    assert started.sent == LARGE


async def test_a_congested_connection_stops_the_reading(started: Ends) -> None:
    started.driver.congested = True
    await started.send(b"early")
    await until(lambda: started.connection.tasks)
    await started.send(b" and late")
    assert started.sent == b""
    started.driver.congested = False
    started.driver.drained.wake()
    await until(lambda: started.sent == b"early and late")


async def test_a_program_that_does_not_read_stops_the_window(started: Ends) -> None:
    for _ in range(2):
        started.from_peer(LARGE)
    stopped = started.adjusted
    assert stopped < 2 * len(LARGE)
    started.from_peer(b"more")
    assert started.adjusted == stopped
    assert await started.read(2 * len(LARGE) + 4) == LARGE + LARGE + b"more"
    await until(lambda: started.adjusted == 2 * len(LARGE) + 4)


async def test_the_programs_eof_is_passed_on_alone(started: Ends) -> None:
    await started.send(b"all")
    started.program.shutdown(socket.SHUT_WR)
    await until(lambda: ("eof",) in started.driver.calls)
    assert started.sent == b"all"
    started.from_peer(b"answer")
    assert await started.read(6) == b"answer"
    assert ("close",) not in started.driver.calls


async def test_the_peers_eof_is_passed_on_alone(started: Ends) -> None:
    started.from_peer(b"all")
    started.channel.accept_eof(EofReceived(3))
    assert await started.read(3) == b"all"
    assert await started.ends()
    await started.send(b"answer")
    await until(lambda: started.sent == b"answer")
    assert ("close",) not in started.driver.calls


@pytest.mark.parametrize("first", ["program", "peer"])
async def test_the_channel_is_closed_when_both_have_ended(started: Ends, first: str) -> None:
    if first == "peer":
        started.channel.accept_eof(EofReceived(3))
    started.program.shutdown(socket.SHUT_WR)
    await until(lambda: ("eof",) in started.driver.calls)
    if first == "program":
        started.channel.accept_eof(EofReceived(3))
    await until(lambda: ("close",) in started.driver.calls)
    assert await started.ends()


async def test_a_peer_that_closes_ends_the_program(started: Ends) -> None:
    started.from_peer(b"last")
    started.channel.accept_closed(ChannelClosed(3))
    assert await started.read(4) == b"last"
    assert await started.ends()


async def test_a_peer_that_reads_no_more_gets_no_more(started: Ends) -> None:
    started.channel.accept_request(RequestReceived(3, EndOfWrite()))
    await started.send(b"lost")
    started.from_peer(b"still")
    assert await started.read(5) == b"still"
    assert started.sent == b""


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_program_that_is_gone_closes_the_channel(started: Ends, pieces: int) -> None:
    started.program.close()
    await until(lambda: ("eof",) in started.driver.calls)
    for _ in range(pieces):
        started.channel.sinks[MAIN].feed(b"what it can't get")
    started.driver.end_turn()
    await until(lambda: ("close",) in started.driver.calls)


async def ended_before_the_program_has_read(ends: Ends) -> None:
    ends.from_peer(LARGE)
    ends.program.shutdown(socket.SHUT_WR)
    await until(lambda: ("eof",) in ends.driver.calls)
    ends.channel.accept_eof(EofReceived(3))
    ends.channel.accept_closed(ChannelClosed(3))


async def test_a_slow_program_gets_everything_and_holds_the_connection(started: Ends) -> None:
    await ended_before_the_program_has_read(started)
    assert started.connection.holding == 1
    assert await started.read(len(LARGE)) == LARGE
    assert await started.ends()
    await until(lambda: not started.connection.holding)


async def test_a_slow_program_gets_everything_after_the_connection_has_ended(started: Ends) -> None:
    await ended_before_the_program_has_read(started)
    started.connection.end()
    assert await started.read(len(LARGE)) == LARGE
    assert await started.ends()


async def test_a_program_that_never_reads_does_not_hold_a_connection_that_has_ended(
    started: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.tunnels.relay.LINGER", 0.01)
    await ended_before_the_program_has_read(started)
    started.connection.end()
    await until(lambda: started.near.fileno() < 0)
    assert len(await started.read(len(LARGE))) < len(LARGE)


async def test_a_lost_connection_resets_the_socket() -> None:
    """TCP alone has a reset: a program must not take what was cut off for whole."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    driver = FakeDriver()
    connection = FakeConnection(driver)
    connection.channels.append(driver.channel())
    await carry(connection, connection.channels[0], near)  # type: ignore[arg-type]
    connection.end(ConnectionLost("gone"))
    program.setblocking(False)
    with program, pytest.raises(ConnectionResetError):
        async with asyncio.timeout(30):
            await asyncio.get_running_loop().sock_recv(program, 1)


async def test_data_before_the_socket_is_attached_is_kept(ends: Ends) -> None:
    ends.channel.opened = False

    async def opened() -> None:
        ends.from_peer(b"early")
        ends.channel.accept_eof(EofReceived(3))

    carrying = asyncio.create_task(
        carry(ends.connection, ends.channel, ends.near, opened)  # type: ignore[arg-type]
    )
    await asyncio.sleep(0)
    ends.channel.accept_opened(ChannelOpened(3))
    await asyncio.wait_for(carrying, 30)
    assert await ends.read(5) == b"early"
    assert await ends.ends()


async def test_a_refused_channel_leaves_the_socket_to_the_caller(ends: Ends) -> None:
    ends.channel.opened = False
    carrying = asyncio.create_task(ends.start())
    await asyncio.sleep(0)
    ends.channel.accept_refused(ChannelRefused(3, 2, "refused"))
    with pytest.raises(ChannelOpenFailed):
        await asyncio.wait_for(carrying, 30)
    ends.near.sendall(b"still open")
    assert await ends.read(10) == b"still open"
    ends.near.close()


async def test_a_cancelled_opening_closes_the_channel(ends: Ends) -> None:
    ends.channel.opened = False
    carrying = asyncio.create_task(ends.start())
    await asyncio.sleep(0)
    carrying.cancel()
    await asyncio.wait({carrying})
    assert ends.driver.calls == [("close",)]
    ends.near.close()


def asked() -> AskOpen:
    ask = AskOpen(channel=3, channel_type="x", data=b"")
    ask.ask_id = 7
    return ask


class Quick(FakeConnection):
    """Its peer's channel is open as soon as it is granted."""

    def add_channel(self, channel: Channel) -> None:
        super().add_channel(channel)
        channel.accept_opened(ChannelOpened(channel.number))


async def test_a_granted_channel_is_relayed(ends: Ends) -> None:
    ends.connection = Quick(ends.driver)
    await grant(ends.connection, asked(), ends.near)  # type: ignore[arg-type]
    assert [type(answer) for answer in ends.connection.answers] == [Granted]
    (ends.channel,) = ends.connection.channels
    ends.from_peer(b"hello")
    assert await ends.read(5) == b"hello"


async def test_a_grant_that_fails_closes_the_socket(ends: Ends) -> None:
    granting = asyncio.create_task(
        grant(ends.connection, asked(), ends.near)  # type: ignore[arg-type]
    )
    await asyncio.sleep(0)
    ends.connection.end()
    await asyncio.wait_for(granting, 30)
    assert await ends.ends()


async def test_a_connection_lost_before_the_socket_is_joined_resets_it_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = socket.create_connection(listening.getsockname(), 10)
        near, _ = listening.accept()
    connection = FakeConnection(FakeDriver())
    channel = connection.driver.channel()
    carrying = asyncio.create_task(carry(connection, channel, near))  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        while not channel.sinks:  # noqa: ASYNC110
            await asyncio.sleep(0)
        channel.sinks[MAIN].feed(b"the beginning")
        channel.fail(ConnectionLost("gone"))
        await carrying
    program.settimeout(30)
    with program, pytest.raises(ConnectionResetError):
        list(iter(lambda: program.recv(100), b""))


@pytest.mark.parametrize("lost", [True, False])
async def test_a_socket_that_no_channel_was_joined_to(lost: bool) -> None:
    """After a refusal it is closed; after the loss of the connection it is reset."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = socket.create_connection(listening.getsockname(), 10)
        near, _ = listening.accept()
    connection = FakeConnection(FakeDriver())
    connection.ended = lost
    discard(connection, near)  # type: ignore[arg-type]
    with program:
        program.settimeout(30)
        if lost:
            with pytest.raises(ConnectionResetError):
                program.recv(1)
        else:
            assert program.recv(1) == b""
