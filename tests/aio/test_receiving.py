"""The memory that a loop's connections share: packets that are read in pieces come out whole."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import mmap
import os
import random
import warnings
from weakref import ReferenceType, ref

import pytest

import nacre
from nacre.aio.driver import Driver
from nacre.aio.receiving import RECEIVE, ReceiveBuffer
from nacre.limits import KIB
from nacre.protocol.events import Data, Event
from nacre.testing import Pair
from parties import PASSWORD, client_for, handle

SIZE = 200 * KIB


class Quiet:
    """Owns a driver, and keeps the data that its engine reports."""

    def __init__(self) -> None:
        self.data = bytearray()

    def transport_made(self) -> None:
        pass

    def handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Data):
                self.data += event.data

    def transport_lost(self) -> None:
        pass


class End:
    """A server with a driver, and packets of a client that are on their way to it."""

    def __init__(self, seed: int) -> None:
        pair = Pair()
        pair.run()
        channel = pair.client.connection.open_channel("session")
        pair.run()
        self.owner = Quiet()
        self.driver = Driver(pair.server, self.owner, asyncio.get_running_loop())
        self.sent = random.Random(seed).randbytes(5 * SIZE)
        for start in range(0, len(self.sent), SIZE):
            pair.client.connection.send_data(channel, self.sent[start : start + SIZE])
        self.wire = memoryview(pair.client.take_output())

    def read(self, count: int) -> memoryview:
        """Do as a loop does with so many bytes; returns where they came to lie."""
        room = self.driver.get_buffer(-1)
        part, self.wire = self.wire[:count], self.wire[count:]
        room[: len(part)] = part
        self.driver.buffer_updated(len(part))
        return room


async def test_the_rest_of_a_packet_is_read_behind_its_beginning() -> None:
    end = End(1)
    buffer = ReceiveBuffer.of(asyncio.get_running_loop())
    end.read(SIZE + 1000)
    assert buffer.tenant is not None
    assert buffer.tenant() is end.driver
    # A packet has some bytes beside its data; the beginning of the second one is what is left.
    assert 900 < RECEIVE - len(end.read(50_000)) < 1000
    assert len(end.owner.data) == SIZE
    while end.wire:
        end.read(300_000)
    assert end.owner.data == end.sent
    assert buffer.tenant is None


async def test_connections_that_read_in_turn_spoil_nothing() -> None:
    ends = [End(seed) for seed in range(3)]
    draw = random.Random(4)
    while any(end.wire for end in ends):
        end = draw.choice([end for end in ends if end.wire])
        for _ in range(draw.randrange(1, 4)):
            end.read(draw.choice([1, 3, 5000, SIZE - 1, SIZE, SIZE + 60]))
    assert [end.owner.data for end in ends] == [end.sent for end in ends]


async def test_a_connection_that_is_lost_leaves() -> None:
    end, other = End(1), End(2)
    end.read(100)
    end.driver.connection_lost(None)
    assert ReceiveBuffer.of(asyncio.get_running_loop()).tenant is None
    while other.wire:
        other.read(SIZE)
    assert other.owner.data == other.sent


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 100])
def test_a_loop_that_is_gone_leaves_no_memory(left: int) -> None:
    """Whatever is kept by loop must not keep the loop, also not by way of a connection."""

    async def work() -> ReferenceType[asyncio.AbstractEventLoop]:
        end = End(1)
        if left:
            end.read(left)
        end.driver._exchange.poll.stay_awake(end.driver.loop.time())
        return ref(end.driver.loop)

    loops = [asyncio.run(work()) for _ in range(3)]
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3


@pytest.mark.slow
def test_connections_of_many_loops_leave_none_of_them(host_key: nacre.PrivateKey) -> None:
    """The same from end to end, with sockets: programs that call asyncio.run for each job."""

    async def work(*, cut: bool) -> ReferenceType[asyncio.AbstractEventLoop]:
        policy = nacre.Users({"alice": PASSWORD})
        server = await nacre.listen(host_keys=[host_key], policy=policy, handler=handle)
        ssh = await client_for(server)
        assert (await ssh.run("cat", input="x")).stdout == "x"
        process = await ssh.process("hang")
        await process.stdin.write(bytes(1000))
        if not cut:
            await ssh.close()
            await server.close()
        return ref(asyncio.get_running_loop())

    loops = [asyncio.run(work(cut=False)) for _ in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # what work() leaves open, on purpose
        loops += [asyncio.run(work(cut=True)) for _ in range(3)]
        gc.collect()
    assert [loop() for loop in loops] == [None] * 6


def test_a_loop_takes_the_memory_of_one_that_is_closed() -> None:
    """Nothing has to be collected before: a program may call asyncio.run again and again."""
    first, second, third = (asyncio.new_event_loop() for _ in range(3))
    view = ReceiveBuffer.of(first).view
    assert ReceiveBuffer.of(second).view is not view
    first.close()
    taken = ReceiveBuffer.of(third)
    assert taken.view is view
    assert taken.shared
    assert ReceiveBuffer.of(third) is taken
    second.close()
    third.close()


def test_reads_begin_in_the_middle_of_a_page() -> None:
    """A copy to the beginning of one is slow where what a program wrote begins there, too."""
    loop = asyncio.new_event_loop()
    view = ReceiveBuffer.of(loop).view
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    assert address % mmap.PAGESIZE == mmap.PAGESIZE // 2
    assert len(view) == RECEIVE
    loop.close()


def test_a_forked_child_has_a_buffer_of_its_own() -> None:
    loop = asyncio.new_event_loop()
    view = ReceiveBuffer.of(loop).view
    view[:4] = b"ours"
    if not (child := os.fork()):
        view[:4] = b"them"
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert bytes(view[:4]) == b"ours"
    loop.close()
