"""A connection that the server made, as streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.aio.channel import Channel, HasChannel
from nacre.aio.stream import Reader, Writer
from nacre.wire.numbers import MAIN

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection


class Tunnel(HasChannel):
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
