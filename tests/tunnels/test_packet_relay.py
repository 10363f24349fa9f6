"""A relay of packets, with a socket of packets in place of the device."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fake_driver import FakeConnection, FakeDriver
from nacre.aio.channel import Channel
from nacre.errors import ConnectionLost, NotUsableHere
from nacre.protocol.events import EofReceived, Writable
from nacre.tunnels.packet_relay import PacketRelay
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN
from parties import until
from tunnels.devices import stand_in

V4 = b"\0\0\0\x02"


class PacketDriver(FakeDriver):
    """Takes each message as a whole, while it has room."""

    def __init__(self) -> None:
        super().__init__()
        self.room = True
        self.messages: list[bytes] = []
        self.refused = 0

    def send_data(self, channel: int, data: Buffer, stream: int, *, at_once: bool = False) -> int:
        if not self.room:
            self.refused += 1
            return 0
        self.messages.append(bytes(data))
        return len(data)


class Ends:
    """A relay, with the network behind its device."""

    def __init__(self) -> None:
        self.device, self.network = stand_in()
        self.driver = PacketDriver()
        self.connection = FakeConnection(self.driver)
        self.channel: Channel = self.driver.channel()
        self.connection.channels.append(self.channel)
        connection: Any = self.connection
        self.relay = PacketRelay(connection, self.channel, self.device, "point-to-point")
        self.relay.start()

    async def read(self) -> bytes:
        async with asyncio.timeout(30):
            return await asyncio.get_running_loop().sock_recv(self.network, 65536)

    def close(self) -> None:
        self.channel.close()
        self.network.close()
        assert self.device.fileno() == -1


async def test_each_packet_is_a_message_and_each_message_a_packet() -> None:
    ends = Ends()
    for packet in (b"\x45one", b"\x46two"):
        ends.network.send(packet)
    await until(lambda: len(ends.driver.messages) == 2)
    assert ends.driver.messages == [V4 + b"\x45one", V4 + b"\x46two"]
    ends.channel.sinks[MAIN].feed(V4 + b"\x45back")
    ends.channel.sinks[MAIN].feed(V4 + b"\x45again")
    assert await ends.read() == b"\x45back"
    assert await ends.read() == b"\x45again"
    assert ends.driver.calls == [("adjust", 9), ("adjust", 10)]
    ends.close()


@pytest.mark.parametrize("congested", [True, False])
async def test_while_the_connection_takes_nothing_one_packet_is_held_and_none_is_read(
    congested: bool,
) -> None:
    ends = Ends()
    if congested:
        ends.driver.congested = True
    else:
        ends.driver.room = False
    ends.network.send(b"\x45first")
    await until(lambda: ends.connection.tasks)
    packets = [b"\x45%d" % number for number in range(100)]
    sent = 0
    for packet in packets:
        try:
            ends.network.send(packet)
        except BlockingIOError:  # the device's queue is full, and its network drops
            break
        sent += 1
    await asyncio.sleep(0)
    assert ends.driver.messages == []
    ends.driver.congested, ends.driver.room = False, True
    ends.driver.drained.wake()
    ends.channel.accept_writable(Writable(ends.channel.number))
    await until(lambda: len(ends.driver.messages) == sent + 1)
    assert ends.driver.messages == [V4 + packet for packet in [b"\x45first", *packets[:sent]]]
    ends.close()


async def test_what_the_device_does_not_take_is_dropped() -> None:
    ends = Ends()
    count = 0
    while ends.driver.calls.count(("adjust", 4 + 60000)) < 50:
        ends.channel.sinks[MAIN].feed(V4 + bytes(60000))  # more than its queue holds
        count += 1
    assert count == 50
    assert len(await ends.read()) == 60000
    ends.close()
    ends.channel.sinks[MAIN].feed(V4 + b"late")


async def test_the_end_of_either_side_is_the_end_of_the_other() -> None:
    ends = Ends()
    ends.channel.accept_eof(EofReceived(ends.channel.number))
    assert ("close",) in ends.driver.calls
    assert await ends.read() == b""
    ends.close()

    ends = Ends()
    ends.connection.end(ConnectionLost("gone"))
    assert await ends.read() == b""
    ends.close()

    ends = Ends()
    ends.network.close()  # which reads as the end of its packets
    await asyncio.sleep(0)
    ends.close()


async def test_a_device_that_is_removed_closes_the_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> bytes:
        raise OSError(77, "File descriptor in bad state")

    ends = Ends()
    monkeypatch.setattr("nacre.tunnels.packet_relay.os.read", gone)
    ends.network.send(b"\x45x")
    await until(lambda: ("close",) in ends.driver.calls)
    monkeypatch.undo()
    ends.close()


async def test_a_forked_child_has_no_device() -> None:
    ends = Ends()
    ends.relay.disown(NotUsableHere("forked"))  # as the child does
    ends.connection.loop.remove_reader(ends.device.fileno())
    assert await ends.read() == b""
    ends.close()
