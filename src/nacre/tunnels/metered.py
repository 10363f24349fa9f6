"""Streams and relays whose data is counted, and waits where it is more than a rate allows.

What is limited is a class of its own, so that what is not limited pays nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from nacre.aio.stream import Reader, Writer
from nacre.errors import NacreError
from nacre.tunnels.relay import Relay

if TYPE_CHECKING:
    from nacre.aio.channel import Channel
    from nacre.aio.connection import BaseConnection
    from nacre.wire.codec import Buffer

Way: TypeAlias = Literal["up", "down"]
"""``up`` is from the client to the server, whoever has opened the channel."""


class TransferMeter(Protocol):
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
    """A reader whose :meth:`read` and :meth:`read_chunks` wait before they return.

    The window is open by then for what they return, so the peer may send one more window meanwhile.
    Other methods count nothing.
    """

    __slots__ = ("_meter",)

    def __init__(self, channel: Channel, meter: TransferMeter) -> None:
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

    def __init__(self, channel: Channel, stream: int, meter: TransferMeter) -> None:
        super().__init__(channel, stream)
        self._meter = meter

    async def write(self, data: Buffer) -> None:
        """See :meth:`nacre.Writer.write`."""
        if not self._meter.take("down", len(data)):
            await self._meter.settle("down")
        await super().write(data)


class MeteredRelay(Relay):
    """A relay that waits before it passes data on, in each direction.

    What the peer has sent meanwhile is kept; it is bounded by the window, as for a slow socket. If
    the connection ends before all was passed on, the socket is reset.
    """

    def __init__(self, meter: TransferMeter, connection: BaseConnection, channel: Channel) -> None:
        super().__init__(connection, channel)
        self._meter = meter
        self._left = False
        self._holding = False
        meter.enter()
        channel.on_change = self._leave_when_closed

    def _leave_when_closed(self) -> None:
        if self._channel.closed and not self._left:
            self._left = True
            self._meter.leave()

    # --- to the peer ---

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

    # --- from the peer ---

    def _flush(self) -> None:
        if self._holding:
            return
        size = _size(self._fed)
        if not size or self._transport is None or self._meter.take("up", size):
            super()._flush()
            return
        self._holding = True
        self._connection.spawn(self._flush_later(size), holds=True)

    async def _flush_later(self, counted: int) -> None:
        """Pass on what the peer has sent, also while this waits.

        :param counted: bytes that the meter was told of.
        """
        passed = False
        try:
            await self._meter.settle("up")
            while (size := _size(self._fed)) > counted:
                self._meter.take("up", size - counted)
                counted = size
                await self._meter.settle("up")
            passed = True
        except NacreError:
            pass  # the connection ends
        finally:
            self._holding = False
            self._cut_off = self._cut_off or not passed
            if passed:
                super()._flush()
            if self._channel_ended and self._transport is not None:
                self._end_socket()

    def _end_socket(self) -> None:
        if not self._holding or self._cut_off:
            super()._end_socket()

    def _close(self) -> None:
        if not self._holding:
            super()._close()


def _size(chunks: list[Buffer]) -> int:
    return sum(map(len, chunks))
