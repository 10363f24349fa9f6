"""The memory that a loop's connections share: packets that are read in pieces come out whole."""

from __future__ import annotations

import asyncio
import random

from nacre.aio.driver import Driver
from nacre.aio.receiving import RECEIVE, ReceiveBuffer
from nacre.limits import KIB
from nacre.protocol.events import Data, Event
from nacre.testing import Pair

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
    assert buffer.tenant is end.driver
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
