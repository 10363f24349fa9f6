"""The transport over a pair of streams, with streams that a test controls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nacre.aio.carrier import UNWRITTEN, Streams, StreamTransport
from nacre.errors import ConnectionLost, PeerSilent


class Protocol(asyncio.BufferedProtocol):
    """Notes what it is told; its buffer has four bytes."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.buffer = memoryview(bytearray(4))
        self.lost = asyncio.Event()
        self.keeps = False
        self.task: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.task = asyncio.current_task()
        self.told.append(bytes(self.buffer[:nbytes]))

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keeps

    def pause_writing(self) -> None:
        self.told.append("full")

    def resume_writing(self) -> None:
        self.told.append("room")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(exc)
        self.lost.set()


class Ends:
    """Both streams: what a test puts in is read, what is written is noted.

    :ivar room: cleared, the writing stream takes nothing more.
    """

    name = "gate"

    def __init__(self) -> None:
        self.written: list[object] = []
        self.room = asyncio.Event()
        self.room.set()
        self.failure: Exception | None = None
        self._incoming: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def put(self, data: bytes | Exception) -> None:
        self._incoming.put_nowait(data)

    async def read(self, n: int, /) -> bytes:
        data = await self._incoming.get()
        if isinstance(data, Exception):
            raise data
        return data

    def write(self, data: Any, /) -> None:
        if self.failure is not None:
            raise self.failure
        self.written.append(bytes(data))

    async def drain(self) -> None:
        await self.room.wait()

    def write_eof(self) -> None:
        self.written.append("eof")

    async def _closed(self) -> None:
        self.written.append("closed")

    def streams(self, **options: Any) -> Streams:
        return Streams(
            self, self, close=self._closed, abort=lambda: self.written.append("aborted"), **options
        )


async def started(ends: Ends, **options: Any) -> tuple[StreamTransport, Protocol]:
    protocol = Protocol()
    transport = StreamTransport(protocol, ends.streams(**options))
    await transport.start()
    assert protocol.told.pop() == "made"
    return transport, protocol


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_data_is_handed_over_in_parts_that_fit_and_not_from_a_task() -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    ends.put(b"abcdefghi")
    await turns()
    assert protocol.told == [b"abcd", b"efgh", b"i"]
    assert protocol.task is None
    transport.abort()
    await protocol.lost.wait()


async def test_a_pause_holds_what_was_read() -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    transport.pause_reading()
    assert not transport.is_reading()
    ends.put(b"ab")
    ends.put(b"cd")
    await turns()
    assert protocol.told == []
    assert ends._incoming.qsize() == 1
    transport.resume_reading()
    await turns()
    assert protocol.told == [b"ab", b"cd"]
    transport.abort()
    await protocol.lost.wait()


async def test_the_end_closes_unless_the_protocol_keeps_it_open() -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    protocol.keeps = True
    ends.put(b"")
    await turns()
    assert protocol.told == ["eof"]
    transport.write(b"last")
    transport.close()
    transport.close()
    transport.write(b"too late")
    await protocol.lost.wait()
    assert protocol.told == ["eof", None]
    assert ends.written == [b"last", "closed"]

    ends = Ends()
    transport, protocol = await started(ends)
    ends.put(b"")
    await protocol.lost.wait()
    assert protocol.told == ["eof", None]
    assert ends.written == ["closed"]
    assert transport.is_closing()


async def test_more_than_a_bound_is_congestion() -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    ends.room.clear()
    transport.write(bytes(UNWRITTEN))
    assert protocol.told == []
    transport.write(b"x")
    assert protocol.told == ["full"]
    assert transport.get_write_buffer_size() == UNWRITTEN + 1
    ends.room.set()
    await turns()
    assert protocol.told == ["full", "room"]
    assert transport.get_write_buffer_size() == 0
    transport.abort()
    await protocol.lost.wait()


async def test_eof_follows_what_was_written() -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    assert transport.can_write_eof()
    ends.room.clear()
    transport.write(b"ab")
    transport.write_eof()
    await turns()
    assert ends.written == [b"ab"]
    ends.room.set()
    await turns()
    assert ends.written == [b"ab", "eof"]
    transport.abort()
    await protocol.lost.wait()


async def test_after_a_failed_write_the_reading_stream_says_why() -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    ends.failure = BrokenPipeError()
    transport.write(bytes(UNWRITTEN + 1))
    await turns()
    assert protocol.told == ["full", "room"]
    transport.write(b"dropped")
    assert transport.get_write_buffer_size() == 0
    reason = ConnectionLost("why")
    ends.put(reason)
    await protocol.lost.wait()
    assert protocol.told[2:] == [reason]
    assert ends.written == ["closed"]


@pytest.mark.parametrize("before", ["nothing", "close"])
async def test_an_abort_drops_what_was_not_written(before: str) -> None:
    ends = Ends()
    transport, protocol = await started(ends)
    ends.room.clear()
    transport.write(b"ab")
    await turns()
    transport.write(b"cd")
    if before == "close":
        transport.close()
        await turns()
        assert not protocol.lost.is_set()
    transport.abort()
    await protocol.lost.wait()
    transport.abort()
    assert ends.written == [b"ab", "aborted", "closed"]
    assert protocol.told == [None]
    assert transport.get_write_buffer_size() == 0


async def test_an_error_is_that_of_the_jump_host() -> None:
    ends = Ends()
    _, protocol = await started(ends, via=ends)
    error = PeerSilent("silent")
    ends.put(error)
    await protocol.lost.wait()
    (blamed,) = protocol.told
    assert isinstance(blamed, PeerSilent)
    assert (blamed.hop, str(blamed)) == ("gate", "jump host gate: silent")
    assert (error.hop, str(error)) == ("", "silent")
    assert blamed.__cause__ is error


async def test_an_error_of_an_earlier_jump_host_and_others_stay_as_they_are() -> None:
    streams = Ends().streams(via=Ends())
    error = PeerSilent("silent")
    error.hop = "before"
    assert streams.blame(error) is error
    other = OSError(5, "other")
    assert streams.blame(other) is other
    assert streams.blame(None) is None
    lost = ConnectionLost("x")
    assert Ends().streams().blame(lost) is lost
