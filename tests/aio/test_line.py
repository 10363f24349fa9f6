"""A channel as the line of a sub-protocol."""

from __future__ import annotations

import asyncio

import pytest

from fake_driver import FakeDriver
from nacre.aio.line import ChannelLine
from nacre.aio.stream import SLICE
from nacre.errors import StreamClosed
from nacre.limits import KIB
from nacre.protocol.events import Writable
from nacre.wire.numbers import MAIN


def test_one_window_adjust_for_many_small_messages() -> None:
    driver = FakeDriver()
    line = ChannelLine(driver.channel())
    for _ in range(8):
        line.adjust_window(1000)
    assert driver.calls == []
    line.adjust_window(192)
    assert driver.calls == [("adjust", 8192)]
    line.adjust_window(1000)
    assert driver.calls == [("adjust", 8192)]


def test_large_messages_adjust_the_window_at_once() -> None:
    driver = FakeDriver()
    line = ChannelLine(driver.channel())
    line.adjust_window(32 * KIB)
    line.adjust_window(32 * KIB)
    assert driver.calls == [("adjust", 32 * KIB)] * 2


@pytest.mark.parametrize(
    ("window", "size", "taken"),
    [(1 << 30, 10, 10), (1 << 30, SLICE + 1, SLICE), (5, 10, 5), (0, 10, 0)],
)
def test_what_can_be_written_without_waiting(window: int, size: int, taken: int) -> None:
    driver = FakeDriver(window)
    line = ChannelLine(driver.channel())
    assert line.try_write(bytes(size)) == taken
    assert len(driver.sent[MAIN]) == taken


async def test_write_waits_for_the_window() -> None:
    driver = FakeDriver(window=3)
    channel = driver.channel()
    writing = asyncio.create_task(ChannelLine(channel).write(b"123456"))
    await asyncio.sleep(0)
    assert driver.sent[MAIN] == b"123"
    assert not writing.done()
    driver.window = 10
    channel.accept_writable(Writable(3))
    await asyncio.wait_for(writing, 30)
    assert driver.sent[MAIN] == b"123456"


async def test_the_end_of_a_line_is_that_of_its_channel() -> None:
    driver = FakeDriver()
    line = ChannelLine(driver.channel())
    line.before_write(lambda: None)
    assert len(driver.collectors) == 1
    line.close()
    await line.wait_closed()
    assert driver.calls == [("close",)]
    with pytest.raises(StreamClosed):
        await line.write(b"x")
