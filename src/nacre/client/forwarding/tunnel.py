"""A connection that the server made, as streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.aio.channel import Channel
from nacre.aio.stream import Reader, Writer
from nacre.aio.waiting import ClosesAtOnce, Later
from nacre.wire.numbers import MAIN

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection


class Tunnel(ClosesAtOnce):
    """A connection that the server made for us. ``async with`` closes it at the end.

    ``nacre.connect(..., sock=tunnel)`` logs in to what is at its other end.

    :ivar reader: reads from its other end.
    :ivar writer: writes to it; ``write_eof`` ends this direction and keeps the other one open.
    :ivar via: the SSH connection that carries it.
    """

    def __init__(self, channel: Channel, via: BaseConnection) -> None:
        self.reader = Reader(channel)
        self.writer = Writer(channel)
        self.via = via
        self._channel = channel
        channel.sinks = {MAIN: self.reader}

    def close(self) -> Later[None]:
        """Close the connection. It acts at once; await the result to wait for the end."""
        self._channel.close()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when both sides have closed it."""
        while not self._channel.closed:
            await self._channel.changed.wait()
