"""An app's thread waits for a slow client, and for nobody when the client is gone."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest

from nacre.apps.output import AppOutput
from nacre.errors import StreamClosed


class Sink:
    """A client that takes data when it is told to.

    :ivar taken: the pieces that it took.
    """

    def __init__(self, *, open: bool = True) -> None:
        self.taken: list[bytes] = []
        self.gate = asyncio.Event()
        if open:
            self.gate.set()

    async def write(self, data: bytes) -> None:
        await self.gate.wait()
        self.taken.append(data)


class Broken:
    """A client that takes nothing more."""

    async def write(self, data: bytes) -> None:
        raise StreamClosed("the client has closed")


def printing(output: AppOutput, *texts: str) -> threading.Thread:
    def write() -> None:
        with suppress(StreamClosed):
            for text in texts:
                output.write(text)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


async def joined(thread: threading.Thread) -> None:
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()


async def test_all_that_is_printed_is_sent_in_order() -> None:
    output, sink = AppOutput(), Sink()
    thread = printing(output, *(f"{number}," for number in range(1000)))
    sending = asyncio.create_task(output.send(sink))
    await joined(thread)
    output.end()
    await asyncio.wait_for(sending, 30)
    assert b"".join(sink.taken).decode() == "".join(f"{number}," for number in range(1000))


async def test_a_thread_waits_while_the_client_is_slow() -> None:
    output, sink = AppOutput(unsent=10), Sink(open=False)
    sending = asyncio.create_task(output.send(sink))
    thread = printing(output, "x" * 10, "y")
    await asyncio.to_thread(thread.join, 0.05)
    assert thread.is_alive()
    sink.gate.set()
    await joined(thread)
    output.end()
    await asyncio.wait_for(sending, 30)
    assert b"".join(sink.taken) == b"x" * 10 + b"y"


async def test_a_thread_that_waits_goes_on_when_the_client_is_gone() -> None:
    output = AppOutput(unsent=1)
    thread = printing(output, "x", "y", "z")
    output.end(drop=True)
    await joined(thread)
    sink = Sink()
    await asyncio.wait_for(output.send(sink), 30)
    assert sink.taken == []


async def test_what_is_there_at_the_end_is_sent() -> None:
    output, sink = AppOutput(), Sink()
    await joined(printing(output, "a", "b"))
    output.end()
    await asyncio.wait_for(output.send(sink), 30)
    with pytest.raises(StreamClosed):
        output.write("c")
    assert sink.taken == [b"ab"]


async def test_a_closed_stream_ends_the_sending() -> None:
    output = AppOutput()
    await joined(printing(output, "a"))
    with pytest.raises(StreamClosed):
        await asyncio.wait_for(output.send(Broken()), 30)


def test_a_thread_goes_on_when_the_server_s_loop_is_closed() -> None:
    async def make() -> AppOutput:
        return AppOutput(unsent=1)

    output = asyncio.run(make())
    output.write("x")
    with pytest.raises(StreamClosed):
        output.write("x")
