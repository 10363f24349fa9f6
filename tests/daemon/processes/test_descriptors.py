"""Descriptors on the loop, and the pumps between them and a session's streams."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from nacre.daemon.processes import descriptors as descriptors_module
from nacre.daemon.processes.descriptors import (
    CHUNK,
    SOME,
    Descriptor,
    Printed,
    ProgramOutput,
    drop,
    pump_in,
    pump_in_noted,
    pump_out,
    stop,
)
from nacre.errors import ConnectionLost


class Sink:
    """A session's output: takes data until it is told to fail."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.pieces: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def write(self, data: bytes) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.data += data
        self.pieces.append(len(data))


class Source:
    """A session's input: some chunks, then the end or an error."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.chunks = list(chunks)
        self.error = error

    async def read(self, n: int = -1) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.error is not None:
            raise self.error
        return b""

    async def read_chunks(self, n: int) -> list[bytes]:
        data = await self.read(n)
        return [data] if data else []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for number in ends:
        try:
            os.close(number)
        except OSError:
            continue


async def test_a_read_returns_data_none_or_the_end(pipe: tuple[int, int]) -> None:
    descriptor = Descriptor(pipe[0])
    assert descriptor.read() is None
    os.write(pipe[1], b"data")
    assert descriptor.read() == b"data"
    assert not descriptor.ended
    os.close(pipe[1])
    assert descriptor.read() == b""
    assert descriptor.ended
    descriptor.close()
    descriptor.close()


async def test_a_terminal_whose_other_side_is_closed_is_at_its_end() -> None:
    master, slave = pty.openpty()
    os.close(slave)
    descriptor = Descriptor(master)
    assert descriptor.read() == b""  # EIO
    descriptor.close()


async def test_arrived_and_writable_wait_for_the_other_side(pipe: tuple[int, int]) -> None:
    reading, writing = Descriptor(pipe[0]), Descriptor(pipe[1])
    waiting = asyncio.create_task(reading.arrived())
    await asyncio.sleep(0)
    assert (reading.waits, reading.waiting, waiting.done()) == (1, True, False)
    async with asyncio.timeout(20):
        await writing.writable()
        os.write(pipe[1], b"x")
        assert await waiting == b"x"
    assert not reading.waiting
    reading.close()
    writing.close()


async def test_what_arrives_while_nobody_waits_stays_in_the_pipe(pipe: tuple[int, int]) -> None:
    reading = Descriptor(pipe[0])
    for data in (b"first", b"second"):
        os.write(pipe[1], data)
        async with asyncio.timeout(20):
            assert await reading.arrived() == data
    os.write(pipe[1], b"third")
    while reading._listens:  # noqa: ASYNC110 - until the loop notices that nobody waits
        await asyncio.sleep(0)
    assert reading.read() == b"third"
    reading.close()


async def test_the_end_arrives(pipe: tuple[int, int]) -> None:
    reading = Descriptor(pipe[0])
    os.close(pipe[1])
    async with asyncio.timeout(20):
        assert await reading.arrived() == b""
    assert reading.ended
    reading.close()


async def test_larger_reads_use_one_block(pipe: tuple[int, int]) -> None:
    descriptor = Descriptor(pipe[0])
    descriptor.read_much()
    os.write(pipe[1], b"first")
    first = descriptor.read()
    assert first == b"first"
    os.write(pipe[1], b"other")
    assert descriptor.read() == b"other"
    assert first == b"other"  # the next call may overwrite it
    descriptor.close()


async def test_unread_output_does_not_reset_the_process() -> None:
    """A process that prints on gets EPIPE, as with a pipe, and not ECONNRESET."""
    ours, theirs = socket.socketpair()
    printed = Printed(ours.detach())
    with theirs:
        theirs.sendall(b"x" * 1000)
        printed.close()
        with pytest.raises(BrokenPipeError):
            theirs.sendall(b"more")


async def test_output_is_sent_whole_and_in_order(pipe: tuple[int, int]) -> None:
    sink: Any = Sink()
    source = Descriptor(pipe[0])
    data = os.urandom(3 * CHUNK + 7)

    def write() -> None:
        with open(pipe[1], "wb") as file:
            file.write(data)

    async with asyncio.timeout(20):
        await asyncio.gather(asyncio.to_thread(write), pump_out(source, sink))
    assert bytes(sink.data) == data
    assert max(sink.pieces) > SOME  # after a full read more is read at a time
    source.close()


async def test_nothing_is_read_before_the_sink_has_taken_what_was(pipe: tuple[int, int]) -> None:
    sink: Any = Sink()
    sink.open.clear()
    source = Descriptor(pipe[0])
    pumping = asyncio.create_task(pump_out(source, sink, b"first"))
    await asyncio.sleep(0)
    os.write(pipe[1], b"second")
    await asyncio.sleep(0)
    assert os.read(pipe[0], 100) == b"second"  # it was still there
    sink.open.set()
    os.close(pipe[1])
    async with asyncio.timeout(10):
        await pumping
    assert bytes(sink.data) == b"first"
    source.close()


async def test_a_sink_that_takes_no_more_ends_the_pump(pipe: tuple[int, int]) -> None:
    sink: Any = Sink()
    sink.error = ConnectionLost("gone")
    source = Descriptor(pipe[0])
    async with asyncio.timeout(10):
        await pump_out(source, sink, b"data")
    assert not source.ended
    source.close()


async def test_a_pump_yields_to_other_tasks(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors_module, "TURN", 1)
    sink: Any = Sink()
    source = Descriptor(pipe[0])
    os.write(pipe[1], b"second")
    os.close(pipe[1])
    pumping = asyncio.create_task(pump_out(source, sink, b"first"))
    await asyncio.sleep(0)
    assert bytes(sink.data) == b"first"
    async with asyncio.timeout(10):
        await pumping
    assert bytes(sink.data) == b"firstsecond"
    source.close()


async def test_an_output_without_data_takes_no_task(pipe: tuple[int, int]) -> None:
    ended = asyncio.Event()
    tasks = len(asyncio.all_tasks())
    sink: Any = Sink()
    program = ProgramOutput(Descriptor(pipe[0]), sink, ended.set)
    os.close(pipe[1])
    async with asyncio.timeout(10):
        await ended.wait()
    assert (program.ended, len(asyncio.all_tasks())) == (True, tasks)
    await program.stop()


async def test_an_output_sends_and_then_ends(pipe: tuple[int, int]) -> None:
    ended = asyncio.Event()
    sink: Any = Sink()
    program = ProgramOutput(Descriptor(pipe[0]), sink, ended.set)
    assert not program.ended
    os.write(pipe[1], b"data")
    os.close(pipe[1])
    async with asyncio.timeout(10):
        await ended.wait()
    assert bytes(sink.data) == b"data"
    await program.stop()


async def test_a_stopped_output_raises_what_should_not_have_ended_it(
    pipe: tuple[int, int],
) -> None:
    ended = asyncio.Event()
    sink: Any = Sink()
    sink.error = ZeroDivisionError("a bug")
    program = ProgramOutput(Descriptor(pipe[0]), sink, ended.set)
    os.write(pipe[1], b"data")
    async with asyncio.timeout(10):
        await ended.wait()
    with pytest.raises(ZeroDivisionError):
        await program.stop()


async def test_stop_cancels_a_task_and_waits_for_it() -> None:
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await stop(task)
    assert (cleaned, task.cancelled()) == ([True], True)


async def test_input_waits_for_a_process_that_reads_slowly(pipe: tuple[int, int]) -> None:
    data = os.urandom(1 << 20)
    source: Any = Source(data[:10], data[10:])
    sink = Descriptor(pipe[1])

    def read() -> bytes:
        with open(pipe[0], "rb") as file:
            return file.read()

    async def feed() -> None:
        await pump_in(source, sink)
        sink.close()

    async with asyncio.timeout(20):
        _, taken = await asyncio.gather(feed(), asyncio.to_thread(read))
    assert taken == data


@pytest.mark.parametrize("broken", [True, False])
async def test_input_ends_with_the_process_or_the_connection(
    pipe: tuple[int, int], broken: bool
) -> None:
    if broken:
        os.close(pipe[0])
    source: Any = Source(b"data", error=ConnectionLost("gone"))
    sink = Descriptor(pipe[1])
    async with asyncio.timeout(10):
        await pump_in(source, sink)
    sink.close()


async def test_drop_reads_to_the_end_or_the_error() -> None:
    whole: Any = Source(b"a", b"b")
    lost: Any = Source(b"a", error=ConnectionLost("gone"))
    for source in (whole, lost):
        await drop(source)
        assert source.chunks == []


async def test_what_a_process_has_taken_is_noted_while_it_may_be() -> None:
    reading, writing = os.pipe()
    sink = Descriptor(writing)
    shown = iter([True, False, True])
    noted: list[bytes] = []

    async def note(data: bytes) -> None:
        noted.append(data)

    source: Any = Source(b"name\n", b"secret\n", b"more\n")
    await pump_in_noted(source, sink, note, lambda: next(shown))
    assert noted == [b"name\n", b"more\n"]
    assert os.read(reading, 100) == b"name\nsecret\nmore\n"
    sink.close()
    os.close(reading)


async def test_it_is_asked_again_after_a_wait_whether_input_may_be_noted() -> None:
    reading, writing = os.pipe()
    sink = Descriptor(writing)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    asked = 0

    def shown() -> bool:
        nonlocal asked
        asked += 1
        return asked == 1  # before the pipe has room

    noted: list[bytes] = []

    async def note(data: bytes) -> None:
        noted.append(data)

    source: Any = Source(b"secret")
    pump = asyncio.create_task(pump_in_noted(source, sink, note, shown))
    while not asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    os.set_blocking(reading, False)
    async with asyncio.timeout(20):
        with suppress(BlockingIOError):
            while os.read(reading, 65536):
                pass
        await pump
    assert (asked, noted) == (2, [])
    sink.close()
    os.close(reading)


async def test_a_process_that_takes_no_more_ends_what_is_noted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sink = Descriptor(writing)
    source: Any = Source(b"x", b"y")
    async with asyncio.timeout(20):
        await pump_in_noted(source, sink, _never, lambda: True)
    assert source.chunks == [b"y"]
    sink.close()


async def _never(data: bytes) -> None:
    raise AssertionError(data)
