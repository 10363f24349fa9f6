from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.aio.stream import Allowance, Collector, Reader, write_chunks
from nacre.errors import ConnectionLost, NacreError
from nacre.wire.codec import Buffer


class Credits:
    """A channel as far as a reader knows it."""

    def __init__(self) -> None:
        self.octets = 0
        self.stopped = False

    def adjust_window(self, count: int) -> None:
        assert count > 0
        self.octets += count

    def stop_writing(self) -> None:
        self.stopped = True

    @property
    def changed(self) -> Any:
        return self

    def wake(self) -> None:
        pass


def reader(*chunks: bytes, ended: bool = True) -> tuple[Reader, Credits]:
    credits = Credits()
    made = Reader(credits)  # type: ignore[arg-type]
    for chunk in chunks:
        made.feed(memoryview(bytearray(chunk)))
    if ended:
        made.end()
    return made, credits


async def test_read_returns_what_is_there_up_to_n() -> None:
    stream, credits = reader(b"abc", b"def")
    assert await stream.read(2) == b"ab"
    assert credits.octets == 2
    assert await stream.read(100) == b"cdef"
    assert credits.octets == 6
    assert stream.at_eof()
    assert await stream.read(1) == b""
    assert await stream.read() == b""
    assert await stream.readline() == b""


async def test_chunks_are_what_came_and_no_more_than_n() -> None:
    stream, credits = reader(b"abc", b"defg", b"h")
    assert [bytes(chunk) for chunk in await stream.read_chunks(5)] == [b"abc", b"de"]
    assert [bytes(chunk) for chunk in await stream.read_chunks(99)] == [b"fg", b"h"]
    assert await stream.read_chunks(99) == []
    assert credits.octets == 8


def test_what_a_pipe_does_not_take_is_left() -> None:
    source, sink = os.pipe()
    try:
        os.set_blocking(sink, False)
        content = os.urandom(300_000)
        left: list[Buffer] = [content[:7], content[7:200_000], memoryview(content)[200_000:]]
        left = write_chunks(sink, left)
        assert left, "it is full"
        with pytest.raises(BlockingIOError):
            write_chunks(sink, left)
        came = b""
        while len(came) < len(content):
            came += os.read(source, 1 << 20)
            if left:
                left = write_chunks(sink, left)
        assert came == content
        assert not left
    finally:
        os.close(source)
        os.close(sink)


async def test_reading_to_the_end_adjusts_the_window_while_it_waits() -> None:
    stream, credits = reader(b"abc", ended=False)
    task = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    assert credits.octets == 3
    stream.feed(b"def")
    stream.end()
    assert await task == b"abcdef"
    assert credits.octets == 6


async def test_a_cancelled_read_loses_nothing() -> None:
    stream, credits = reader(b"abc", ended=False)
    for call in (stream.read(), stream.readexactly(10), stream.readline()):
        task = asyncio.create_task(call)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    stream.feed(b"def")
    assert await stream.read(100) == b"abcdef"
    assert credits.octets == 6


async def test_two_readers_at_once_are_refused() -> None:
    stream, _ = reader(ended=False)
    first = asyncio.create_task(stream.read(1))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task"):
        await stream.read(1)
    stream.end()
    assert await first == b""


async def test_readexactly_raises_with_the_bytes_up_to_the_end() -> None:
    stream, _ = reader(b"abc", b"de")
    assert await stream.readexactly(4) == b"abcd"
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await stream.readexactly(4)
    assert caught.value.partial == b"e"


async def test_lines_end_where_they_end() -> None:
    stream, credits = reader(b"one\ntw", b"o\n", b"\nlast")
    assert [line async for line in stream] == [b"one\n", b"two\n", b"\n", b"last"]
    assert credits.octets == 13


async def test_a_line_that_is_too_long_stays_where_it_is() -> None:
    stream, _ = reader(b"0123456789", b"\nnext\n")
    with pytest.raises(ValueError, match="5"):
        await stream.readline(5)
    assert await stream.readline() == b"0123456789\n"
    assert await stream.readline(5) == b"next\n"


async def test_a_lost_connection_raises_once_the_data_is_read() -> None:
    stream, _ = reader(b"abc", ended=False)
    stream.end(ConnectionLost("gone"))
    for call in (stream.read(), stream.readline(), stream.readexactly(4)):
        with pytest.raises(ConnectionLost, match="gone"):
            await call
    assert await stream.read(100) == b"abc"
    for call in (stream.read(1), stream.read(), stream.readline(), stream.readexactly(1)):
        with pytest.raises(ConnectionLost, match="gone"):
            await call


async def test_a_lost_connection_after_eof_is_an_end() -> None:
    stream, _ = reader(b"abc")
    stream.end(ConnectionLost("gone"))
    assert await stream.read() == b"abc"
    assert await stream.read(1) == b""


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=20), max_size=10),
    sizes=st.lists(st.integers(1, 15), min_size=1),
)
def test_any_reads_give_back_all_bytes_and_the_whole_window(
    chunks: list[bytes], sizes: list[int]
) -> None:
    async def check() -> None:
        stream, credits = reader(*chunks)
        got = b""
        index = 0
        while not stream.at_eof():
            size = sizes[index % len(sizes)]
            part = await (stream.read(size) if index % 2 else stream.readline(1000))
            assert part
            got += part
            index += 1
            assert credits.octets == len(got)
        assert got == b"".join(chunks)

    asyncio.run(check())


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.octets = b""
        self.ends: list[object] = []

    def feed(self, data: Buffer) -> None:
        self.octets += data

    def end(self, error: NacreError | None = None) -> None:
        self.ends.append(error)


async def test_what_was_not_read_moves_to_a_sink() -> None:
    stream, credits = reader(b"abc", b"def", b"ghi", ended=False)
    assert await stream.read(4) == b"abcd"
    kept = Kept()
    stream.move_to(kept)
    assert kept.octets == b"efghi"
    assert kept.ends == []
    assert credits.octets == 4, "the rest is for the sink to credit"
    lost = ConnectionLost("gone")
    stream, credits = reader(b"abc", ended=False)
    stream.end(lost)
    stream.move_to(kept)
    assert kept.ends == [lost]
    assert credits.octets == 0


async def test_a_reader_that_credits_ahead_can_not_be_replaced() -> None:
    stream, _ = reader(b"abc", ended=False)
    task = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="up to its end"):
        stream.move_to(Kept())
    stream.end()
    assert await task == b"abc"


async def test_a_collector_stops_at_what_is_allowed() -> None:
    credits = Credits()
    allowance = Allowance(10)
    collector = Collector(credits, allowance)  # type: ignore[arg-type]
    other = Collector(credits, allowance)  # type: ignore[arg-type]
    collector.feed(b"12345")
    other.feed(b"12345")
    assert not allowance.exceeded
    other.feed(b"6")
    assert allowance.exceeded
    assert credits.stopped
    collector.feed(b"6")
    assert (collector.data, other.data) == (b"12345", b"12345")
    assert credits.octets == 10
