"""A channel alone, on a driver that notes its calls."""

from __future__ import annotations

import asyncio

import pytest

from fake_driver import FakeDriver
from nacre.errors import ChannelOpenFailed, ConnectionLost, NacreError, StreamClosed
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    EofReceived,
    RequestAnswered,
    RequestReceived,
    Writable,
)
from nacre.protocol.phases import Phase
from nacre.protocol.requests import EndOfWrite, ExitStatus, Request, Shell
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN, STDERR


class Sink:
    """Notes its end."""

    def __init__(self) -> None:
        self.ends: list[NacreError | None] = []

    def feed(self, data: Buffer) -> None:
        raise AssertionError("no data here")

    def end(self, error: NacreError | None = None) -> None:
        self.ends.append(error)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


async def test_the_peers_confirmation_opens_it(driver: FakeDriver) -> None:
    channel = driver.channel()
    channel.opened = False
    waiting = asyncio.create_task(channel.wait_opened())
    await asyncio.sleep(0)
    assert not waiting.done()
    channel.accept_opened(ChannelOpened(3))
    await asyncio.wait_for(waiting, 30)


async def test_a_refusal_is_raised_where_the_opening_is_waited_for(driver: FakeDriver) -> None:
    channel = driver.channel()
    channel.opened = False
    waiting = asyncio.create_task(channel.wait_opened())
    await asyncio.sleep(0)
    channel.accept_refused(ChannelRefused(3, 2, "no\x1b way"))
    with pytest.raises(ChannelOpenFailed, match="no") as caught:
        await asyncio.wait_for(waiting, 30)
    assert caught.value.code == 2
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("success", [True, False])
async def test_an_answer_is_that_of_its_request(driver: FakeDriver, success: bool) -> None:
    channel = driver.channel()
    first, second = (channel.request(Shell(), want_reply=True) for _ in range(2))
    answers = asyncio.gather(channel.granted(second), channel.granted(first))
    await asyncio.sleep(0)
    channel.accept_answer(RequestAnswered(3, first, success))
    channel.accept_answer(RequestAnswered(3, second, not success))
    assert await asyncio.wait_for(answers, 30) == [not success, success]


async def test_a_channel_closed_before_the_answer_grants_nothing(driver: FakeDriver) -> None:
    channel = driver.channel()
    waiting = asyncio.create_task(channel.granted(channel.request(Shell(), want_reply=True)))
    await asyncio.sleep(0)
    channel.close()
    assert await asyncio.wait_for(waiting, 30) is False


async def test_a_lost_connection_is_raised_in_place_of_an_answer(driver: FakeDriver) -> None:
    channel = driver.channel()
    waiting = asyncio.create_task(channel.granted(channel.request(Shell(), want_reply=True)))
    await asyncio.sleep(0)
    channel.fail(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost, match="gone"):
        await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize("end", ["closed by us", "closed by both", "engine"])
def test_after_its_end_the_engine_is_called_no_more(driver: FakeDriver, end: str) -> None:
    channel = driver.channel()
    if end == "closed by us":
        channel.close()
    elif end == "closed by both":
        channel.accept_closed(ChannelClosed(3))
    else:
        driver.phase = Phase.CLOSED
    driver.calls.clear()
    assert channel.request(Shell()) == 0
    channel.adjust_window(5)
    channel.send_eof(MAIN)
    channel.close()
    assert driver.calls == []


@pytest.mark.parametrize("reason", ["congested", "closing", "closed", "end of write"])
def test_no_data_is_taken(driver: FakeDriver, reason: str) -> None:
    channel = driver.channel()
    driver.congested = reason == "congested"
    if reason == "closing":
        channel.close()
    elif reason == "closed":
        channel.accept_closed(ChannelClosed(3))
    elif reason == "end of write":
        channel.accept_request(RequestReceived(3, EndOfWrite()))
    assert channel.send(b"data", MAIN) == 0
    assert channel.takes_no_data is (reason != "congested")
    assert driver.sent == {}


def test_data_is_taken_up_to_the_window(driver: FakeDriver) -> None:
    driver.window = 6
    channel = driver.channel(MAIN, STDERR)
    assert channel.send(b"1234", STDERR) == 4
    assert channel.send(b"5678", MAIN) == 2
    assert driver.sent == {STDERR: b"1234", MAIN: b"56"}


def test_eof_is_sent_when_all_streams_have_ended_and_once(driver: FakeDriver) -> None:
    channel = driver.channel(MAIN, STDERR)
    channel.send_eof(STDERR)
    channel.send_eof(STDERR)
    assert driver.calls == []
    channel.send_eof(MAIN)
    channel.send_eof(MAIN)
    assert driver.calls == [("eof",)]


def test_closing_ends_the_sinks_and_sends_close_once(driver: FakeDriver) -> None:
    channel, sink = driver.channel(), Sink()
    channel.sinks = {MAIN: sink}
    channel.close()
    channel.close()
    assert driver.calls == [("close",)]
    assert sink.ends == [None]
    with pytest.raises(StreamClosed, match="closed"):
        channel.check_writable()


def test_eof_ends_the_sinks_and_keeps_the_other_direction(driver: FakeDriver) -> None:
    channel, sink, changes = driver.channel(), Sink(), []
    channel.sinks = {MAIN: sink}
    channel.on_change = lambda: changes.append(channel.eof_received)
    channel.accept_eof(EofReceived(3))
    assert (sink.ends, changes) == ([None], [True])
    assert channel.send(b"x", MAIN) == 1


def test_the_first_end_counts(driver: FakeDriver) -> None:
    channel, sink = driver.channel(), Sink()
    channel.sinks = {MAIN: sink}
    lost = ConnectionLost("gone")
    channel.fail(lost)
    channel.accept_closed(ChannelClosed(3))
    assert sink.ends == [lost]
    assert channel.error is lost


def test_requests_without_a_decision_are_passed_on(driver: FakeDriver) -> None:
    channel, passed = driver.channel(), list[Request]()
    channel.accept_request(RequestReceived(3, ExitStatus(1)))
    channel.on_request = passed.append
    channel.accept_request(RequestReceived(3, ExitStatus(2)))
    assert passed == [ExitStatus(2)]


async def test_room_in_the_window_wakes_the_writer(driver: FakeDriver) -> None:
    channel = driver.channel()
    waiting = asyncio.create_task(channel.wait_writable())
    await asyncio.sleep(0)
    channel.accept_writable(Writable(3))
    await asyncio.wait_for(waiting, 30)


async def test_a_peer_that_reads_no_more_wakes_the_writer(driver: FakeDriver) -> None:
    driver.congested = True
    channel = driver.channel()
    waiting = asyncio.create_task(channel.wait_uncongested())
    await asyncio.sleep(0)
    channel.accept_request(RequestReceived(3, EndOfWrite()))
    await asyncio.wait_for(waiting, 30)
    with pytest.raises(StreamClosed, match="reads no more"):
        channel.check_writable()


async def test_drain_waits_for_the_socket(driver: FakeDriver) -> None:
    driver.congested = True
    channel = driver.channel()
    draining = asyncio.create_task(channel.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    assert driver.flushed == 1
    driver.congested = False
    driver.drained.wake()
    await asyncio.wait_for(draining, 30)
    assert driver.flushed == 2


async def test_drain_raises_what_ended_the_connection(driver: FakeDriver) -> None:
    channel = driver.channel()
    channel.fail(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost, match="gone"):
        await channel.drain()
