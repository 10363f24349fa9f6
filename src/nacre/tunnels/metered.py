"""Streams and relays whose data is counted, and waits where it is more than a rate allows.

What is limited is a class of its own, so that what is not limited pays nothing.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from nacre.aio.stream import Reader, Writer
from nacre.errors import NacreError
from nacre.tunnels.relay import Make, Relay

if TYPE_CHECKING:
    from nacre.aio.channel import Channel
    from nacre.aio.connection import BaseConnection
    from nacre.wire.codec import Buffer

Way: TypeAlias = Literal["up", "down"]
"""``up`` is from the client to the server, whoever has opened the channel."""


class Meter(Protocol):
    """Counts the data of the channels of one connection."""

    def take(self, way: Way, size: int) -> bool:
        """Count bytes; return False if :meth:`settle` is to be awaited before they are passed on.

        :param way: ``up`` or ``down``.
        """

    async def settle(self, way: Way) -> None:
        """Wait until the bytes that were counted may be passed on.

        :raises NacreError: they may not: the connection ends.
        """

    def enter(self) -> None:
        """Begin to use the meter for one channel or session."""

    def leave(self) -> None:
        """End what :meth:`enter` has begun."""


class MeteredReader(Reader):
    """A reader whose :meth:`read` and :meth:`read_chunks` wait; the window opens as they return."""

    __slots__ = ("_meter",)

    def __init__(self, channel: Channel, meter: Meter) -> None:
        super().__init__(channel)
        self._meter = meter

    async def read(self, n: int = -1) -> bytes:
        """See :meth:`nacre.Reader.read`."""
        data = await super().read(n)
        await self._count(len(data))
        return data

    async def read_chunks(self, n: int) -> list[Buffer]:
        """See :meth:`nacre.Reader.read_chunks`."""
        chunks = await super().read_chunks(n)
        await self._count(sum(map(len, chunks)))
        return chunks

    async def _count(self, size: int) -> None:
        if not self._meter.take("up", size):
            await self._meter.settle("up")


class MeteredWriter(Writer):
    """A writer that waits before it sends."""

    __slots__ = ("_meter",)

    def __init__(self, channel: Channel, stream: int, meter: Meter) -> None:
        super().__init__(channel, stream)
        self._meter = meter

    async def write(self, data: Buffer) -> None:
        """See :meth:`nacre.Writer.write`."""
        if not self._meter.take("down", len(data)):
            await self._meter.settle("down")
        await super().write(data)


class MeteredRelay(Relay):
    """A relay that waits before it sends what the socket gives, and before it opens the window."""

    def __init__(self, meter: Meter, connection: BaseConnection, channel: Channel) -> None:
        super().__init__(connection, channel)
        self._meter = meter
        self._left = False
        meter.enter()
        channel.on_change = self._leave_when_closed

    def _leave_when_closed(self) -> None:
        if self._channel.closed and not self._left:
            self._left = True
            self._meter.leave()

    def buffer_updated(self, nbytes: int) -> None:
        if self._meter.take("down", nbytes):
            super().buffer_updated(nbytes)
            return
        assert self._transport is not None
        self._transport.pause_reading()
        self._connection.spawn(self._send_later(bytes(self._buffer.view[:nbytes])))

    async def _send_later(self, data: bytes) -> None:
        with suppress(NacreError):
            await self._meter.settle("down")
            await self._catch_up(data)

    def _adjust_window(self) -> None:
        if not self._consumed or self._meter.take("up", self._consumed):
            super()._adjust_window()
            return
        count, self._consumed = self._consumed, 0
        self._connection.spawn(self._adjust_later(count))

    async def _adjust_later(self, count: int) -> None:
        with suppress(NacreError):
            await self._meter.settle("up")
            self._channel.adjust_window(count)


async def metered_relay(meter: Meter) -> Make:
    """Return what makes relays; it waits for what earlier channels have sent too much.

    Otherwise the first window of each channel would cost nothing.

    :raises NacreError: no more may be sent: the connection ends.
    """
    ways: tuple[Way, Way] = ("up", "down")
    for way in ways:
        await meter.settle(way)
    return partial[Any](MeteredRelay, meter)
